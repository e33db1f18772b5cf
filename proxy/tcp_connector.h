// SPDX-License-Identifier: Apache-2.0
// Finds and dials the upstream of a TCP chain: cluster by weight, endpoint by the balancer, other endpoints after failures.
#pragma once

#include <memory>
#include <vector>

#include "proxy/stream_info.h"
#include "proxy/upstream_connection.h"

namespace weir::proxy {

class Snapshot;

class TcpConnector final : public UpstreamUser {
 public:
  enum class State : std::uint8_t { connecting, connected, failed };

  /// `owner` hears of everything that happens later. All references must outlive this.
  TcpConnector(Context& context, const Snapshot& snapshot, const routing::TcpManager& manager, const SocketAddr& destination,
               const std::optional<ClientSource>& source, SocketUser& owner);
  ~TcpConnector();
  /// The outcome may be there at once.
  void start();
  void set_owner(SocketUser& owner) { owner_ = &owner; }

  State state() const { return state_; }
  UpstreamConnection& connection() { return *connection_; }
  EndpointRuntime* endpoint() { return endpoint_.get(); }
  ClusterRuntime* cluster() { return cluster_.get(); }
  std::uint32_t attempts() const { return attempts_; }
  ResponseFlags flags() const { return flags_; }  ///< why it failed
  const std::string& failure() const { return failure_; }

 private:
  void on_socket_event() override;
  void on_connection_offered(std::unique_ptr<UpstreamConnection>) override {}
  void on_connection_allowed() override {}
  void attempt();
  void look();

  Context& context_;
  const Snapshot& snapshot_;
  const routing::TcpManager& manager_;
  const SocketAddr destination_;
  const std::optional<ClientSource> source_;
  SocketUser* owner_;
  State state_ = State::connecting;
  Ref<ClusterRuntime> cluster_;
  Ref<EndpointRuntime> endpoint_;
  std::vector<Ref<EndpointRuntime>> tried_;
  std::unique_ptr<UpstreamConnection> connection_;
  std::uint32_t attempts_ = 0;
  ResponseFlags flags_;
  std::string failure_;
};

}  // namespace weir::proxy
