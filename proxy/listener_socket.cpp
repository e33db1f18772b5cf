// SPDX-License-Identifier: Apache-2.0
#include "proxy/listener_socket.h"

#include <algorithm>

#include "base/log.h"
#include "proxy/opening.h"

namespace weir::proxy {

namespace {
constexpr int kBatch = 64;
constexpr auto kPause = std::chrono::milliseconds(100);
}  // namespace

ListenerSocket::ListenerSocket(Context& context, ListeningSocket socket, bool is_capture)
    : context_(context),
      fd_(std::move(socket.fd)),
      address_(socket.address),
      is_capture_(is_capture),
      stats_(context.stats.listener(address_.to_text())),
      watch_(context.executor, fd_.ref(), *this),
      pause_(context.executor, [this] { watch_.want_read(); }) {
  // Accepted sockets inherit it. Without it they are slower, not wrong.
  (void)kernel::set_nodelay(fd_.ref());
}

void ListenerSocket::serve(const routing::Listener* bound) {
  bound_ = bound;
  if (bound != nullptr && bound->transparent)
    if (auto set = kernel::set_transparent(fd_.ref(), address_.ip.family()); !set)
      log::warn("{}: {}; connections by TPROXY do not come here", address_.to_text(), set.error().to_text());
  watch_.want_read();
}

void ListenerSocket::on_readable() {
  Scope scope(context_.sessions);
  for (int i = 0; i < kBatch; ++i) {
    auto accepted = kernel::accept(fd_.ref());
    if (!accepted) {
      // Out of descriptors or memory: trying again at once would only burn time.
      context_.stats.proxy.accept_failed.add();
      log::warn("cannot accept on {}: {}; is the limit of open files (ulimit -n) too low?", address_.to_text(),
                accepted.error().to_text());
      pause_.expires_after(kPause);
      return;
    }
    if (!*accepted) break;
    take(std::move((*accepted)->fd), (*accepted)->peer);
  }
  watch_.want_read();
}

void ListenerSocket::take(UniqueFd fd, const SocketAddr& peer) {
  if (bound_ == nullptr) {
    context_.stats.proxy.config_wait_expired.add();
    (void)kernel::set_reset_on_close(fd.ref());
    return;
  }
  auto original = original_of(fd.ref());
  if (!original) {
    context_.stats.proxy.original_dst_failed.add();
    log::warn("closing a connection from {}: {}", peer.to_text(), original.error().to_text());
    return;
  }
  if (is_capture_ && is_loop(*original)) {
    report_loop(peer, *original);
    (void)kernel::set_reset_on_close(fd.ref());
    return;
  }
  stats_->downstream_cx_total.add();
  stats_->downstream_cx_active.add();
  Opening::start(context_, std::move(fd), peer, *original, *bound_, stats_);
}

/// A TPROXY rule hands connections over as they were addressed; one with our own port in its address was redirected (or dialled
/// us).
Result<SocketAddr> ListenerSocket::original_of(FdRef fd) const {
  if (!bound_->use_original_dst && !is_capture_) return kernel::local_address(fd);
  if (bound_->transparent)
    if (auto local = kernel::local_address(fd); !local || local->port != address_.port) return local;
  return kernel::original_dst(fd);
}

/// Invariant 2: who dials one of our own ports would make us dial ourselves for ever.
bool ListenerSocket::is_loop(const SocketAddr& original) const {
  const auto& ports = context_.options.capture_ports;
  if (std::find(ports.begin(), ports.end(), original.port) == ports.end()) return false;
  return original.ip.is_loopback() || original.ip.is_unspecified() || kernel::is_local_address(original.ip);
}

void ListenerSocket::report_loop(const SocketAddr& peer, const SocketAddr& original) {
  context_.stats.proxy.loops_refused.add();
  io::TimePoint now = context_.executor.now();
  if (loop_reported_ != io::TimePoint{} && now - loop_reported_ < std::chrono::minutes(1)) return;
  loop_reported_ = now;
  log::warn(
      "refused a connection from {} to {}: that is this proxy's own port, forwarding it would loop; dial the service's port "
      "instead "
      "(reported once a minute)",
      peer.to_text(), original.to_text());
}

}  // namespace weir::proxy
