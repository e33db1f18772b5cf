// SPDX-License-Identifier: Apache-2.0
// One connection to an endpoint: connecting, lent to a request or tunnel, or idle in its endpoint's pool.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kernel/socket.h"
#include "proxy/cluster_runtime.h"
#include "proxy/socket.h"

namespace weir::proxy {

/// Who uses a connection, or waits for one.
class UpstreamUser : public SocketUser {
 public:
  /// One became free at the endpoint one waits for.
  virtual void on_connection_offered(std::unique_ptr<UpstreamConnection> connection) = 0;
  /// One may now be opened.
  virtual void on_connection_allowed() = 0;

 protected:
  ~UpstreamUser() = default;
};

class UpstreamConnection final : private SocketUser {
 public:
  enum class State : std::uint8_t { connecting, connected, failed };

  /// Starts to connect; `user` hears of the outcome by on_socket_event(), later. What is decided at once is in state connected or
  /// failed when this returns (and `user` hears nothing).
  /// `source`: the client's address is kept, where the endpoint can answer it (same family, not the loopback).
  static std::unique_ptr<UpstreamConnection> open(Ref<EndpointRuntime> endpoint, SocketUser& user,
                                                  const std::optional<ClientSource>& source = {});
  ~UpstreamConnection();

  State state() const { return state_; }
  bool timed_out() const { return timed_out_; }
  /// "delayed connect error: Connection refused", "connection timeout"; if failed.
  const std::string& failure() const { return failure_; }
  Socket& socket() { return *socket_; }
  EndpointRuntime& endpoint() { return *endpoint_; }
  const std::optional<ClientSource>& source() const { return source_; }
  /// Asked of the kernel once.
  const std::optional<SocketAddr>& local_address();

  /// Lends it out; it was idle.
  void lend(SocketUser& user);
  bool reused() const { return served_ > 0; }
  void count_request() { ++served_; }
  io::TimePoint opened_at() const { return opened_at_; }

  Buffer in;  ///< received, not yet dealt with

  /// Takes it back after a complete response: to a request that waits, into the pool, or to its end.
  static void give_back(std::unique_ptr<UpstreamConnection> connection);

 private:
  UpstreamConnection(Ref<EndpointRuntime> endpoint, SocketUser& user, const std::optional<ClientSource>& source);
  void start();
  kernel::ConnectOptions connect_options(const IpAddr& to) const;
  void fail(std::string reason);
  void on_socket_event() override;
  void arm_timer(io::Duration delay);
  void on_timer();
  void on_idle_event();
  void close_idle();

  Ref<EndpointRuntime> endpoint_;
  const std::optional<ClientSource> source_;
  Held limit_;  // counts as a connection of the cluster
  SocketUser* user_;
  std::optional<Socket> socket_;
  std::optional<io::Timer> timer_;  // of connecting, then of idling
  State state_ = State::connecting;
  bool timed_out_ = false, idle_ = false;
  std::uint32_t served_ = 0;
  io::TimePoint opened_at_, idle_since_;
  std::string failure_;
  std::optional<SocketAddr> local_;
};

}  // namespace weir::proxy
