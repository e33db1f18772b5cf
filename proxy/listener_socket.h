// SPDX-License-Identifier: Apache-2.0
// A listening socket of one worker: accepts in batches, asks for the original destination, refuses loops.
#pragma once

#include <memory>

#include "proxy/context.h"

namespace weir::proxy {

class ListenerSocket final : private io::ReadyHandler {
 public:
  /// `is_capture`: connections come here by redirection.
  ListenerSocket(Context& context, ListeningSocket socket, bool is_capture);
  ListenerSocket(const ListenerSocket&) = delete;
  ListenerSocket& operator=(const ListenerSocket&) = delete;

  const SocketAddr& address() const { return address_; }
  bool is_capture() const { return is_capture_; }
  bool is_inbound() const { return bound_ != nullptr && bound_->direction == routing::Direction::inbound; }
  /// From now on connections are this listener's; null: they are reset. Begins to accept.
  void serve(const routing::Listener* bound);

 private:
  void on_readable() override;
  void on_writable() override {}
  void take(UniqueFd fd, const SocketAddr& peer);
  Result<SocketAddr> original_of(FdRef fd) const;
  bool is_loop(const SocketAddr& original) const;
  void report_loop(const SocketAddr& peer, const SocketAddr& original);

  Context& context_;
  UniqueFd fd_;
  const SocketAddr address_;
  const bool is_capture_;
  const routing::Listener* bound_ = nullptr;  // of context_.snapshot
  std::shared_ptr<ListenerStats> stats_;
  io::Watch watch_;
  io::Timer pause_;
  io::TimePoint loop_reported_{};
};

}  // namespace weir::proxy
