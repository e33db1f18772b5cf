// SPDX-License-Identifier: Apache-2.0
// A connection that a TCP chain serves: dial, relay, one record at the end.
#pragma once

#include <memory>
#include <optional>

#include "proxy/downstream.h"
#include "proxy/relay.h"
#include "proxy/tcp_connector.h"

namespace weir::proxy {

class TcpSession final : public Session, private SocketUser {
 public:
  /// `connector`: one that was started already for this chain while the client was silent; may be null.
  TcpSession(std::unique_ptr<Downstream> downstream, std::unique_ptr<TcpConnector> connector);
  ~TcpSession() override;
  void start();

 private:
  void on_socket_event() override;
  void drive();
  void connected();
  void finish();
  void on_idle();
  void fill_info(StreamInfo& info);

  std::unique_ptr<Downstream> downstream_;
  const routing::TcpManager& manager_;
  TcpRuntime& runtime_;
  std::unique_ptr<TcpConnector> connector_;
  std::optional<Relay> relay_;
  std::optional<io::Timer> idle_timer_;
  io::TimePoint last_activity_;
  ConnectionSeries* series_ = nullptr;
  bool finished_ = false;
};

}  // namespace weir::proxy
