// SPDX-License-Identifier: Apache-2.0
// A copy of a request for another cluster; whatever becomes of it, the original's client never knows.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "http/h1.h"
#include "proxy/context.h"
#include "proxy/upstream_connection.h"

namespace weir::proxy {

class HttpMirror final : public Session, public UpstreamUser {
 public:
  /// Sends `bytes` (a whole request of `method`) to an endpoint of the cluster, reads the answer and throws it away.
  static void start(Context& context, ClusterRuntime& cluster, const SocketAddr& destination, std::string method,
                    std::string bytes);
  ~HttpMirror() override;

 private:
  explicit HttpMirror(Context& context) : context_(context) {}
  void on_socket_event() override;
  void on_connection_offered(std::unique_ptr<UpstreamConnection>) override {}
  void on_connection_allowed() override {}
  void drive();
  bool send();
  bool receive();
  void take();
  void end(bool reusable);

  Context& context_;
  Ref<EndpointRuntime> endpoint_;
  std::unique_ptr<UpstreamConnection> upstream_;
  std::string method_;
  Outgoing out_;
  http::ResponseHead response_;
  http::BodyReader body_;
  std::size_t resume_ = 0;
  bool has_head_ = false, ended_ = false;
  std::optional<io::Timer> limit_;
};

}  // namespace weir::proxy
