// SPDX-License-Identifier: Apache-2.0
// A new connection until its chain is known: waits for the client's first bytes where the chain hangs on them, but never while
// the server wants to speak first.
//
// While the client is silent, the upstream of the chain for raw TCP is dialled (after WorkerOptions::server_first_wait, at once
// where the destination is known for it). If the server speaks, the connection is raw TCP and the destination is remembered; if
// the client does, its bytes decide, and the dialled connection is used or dropped.
#pragma once

#include <memory>
#include <optional>

#include "proxy/detector.h"
#include "proxy/downstream.h"
#include "proxy/tcp_connector.h"

namespace weir::proxy {

class Opening final : public Session, private SocketUser {
 public:
  /// Takes an accepted connection whose addresses are known. `bound`: the listener that accepted it.
  static void start(Context& context, UniqueFd fd, const SocketAddr& peer, const SocketAddr& original,
                    const routing::Listener& bound, std::shared_ptr<ListenerStats> stats);
  ~Opening() override;
  void drain() override;

 private:
  Opening(Context& context, UniqueFd fd);
  void on_socket_event() override;
  void drive();
  void read_client();
  void listen_to_server();
  void speculate();
  void decide(Detection detection);
  void proceed();
  void refuse();
  void end();
  void on_timer();

  std::unique_ptr<Downstream> downstream_;
  std::unique_ptr<TcpConnector> speculative_;
  const routing::FilterChain* speculative_chain_ = nullptr;
  std::optional<io::Timer> timer_;  // of server_first_wait, then of the limit from the first byte
  bool speculated_ = false, ended_ = false;
};

}  // namespace weir::proxy
