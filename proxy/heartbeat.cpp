// SPDX-License-Identifier: Apache-2.0
#include "proxy/heartbeat.h"

#include <sys/socket.h>

#include "base/ip.h"
#include "base/well_known.h"
#include "kernel/socket.h"

namespace weir::proxy {

namespace {

UniqueFd open_socket(Family family, std::optional<std::uint32_t> mark) {
  UniqueFd fd(::socket(family == Family::v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // Without the right to it the proxy is known by its uid.
  if (fd && mark) (void)kernel::set_mark(fd.ref(), *mark);
  return fd;
}

Result<> beat(FdRef fd, Family family) {
  const SocketAddr to{IpAddr::loopback(family), well_known::kHeartbeatPort};
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  const char byte = 0;
  if (::sendto(fd.get(), &byte, 1, MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&storage), length) < 0)
    return fail_errno(errno, "heartbeat to {}", to.to_text());
  return {};
}

}  // namespace

Heartbeat::Heartbeat(std::optional<std::uint32_t> mark)
    : v4_(open_socket(Family::v4, mark)), v6_(open_socket(Family::v6, mark)) {}

Result<> Heartbeat::send() {
  Result<> v4 = beat(v4_.ref(), Family::v4);
  Result<> v6 = beat(v6_.ref(), Family::v6);
  if (!v4 && !v6) return v4;
  return {};
}

HeartbeatTimer::HeartbeatTimer(io::Executor& executor, std::chrono::milliseconds interval, std::optional<std::uint32_t> mark)
    : heartbeat_(mark), interval_(interval), timer_(executor, [this] { start(); }) {}

void HeartbeatTimer::start() {
  (void)heartbeat_.send();
  timer_.expires_after(interval_);
}

}  // namespace weir::proxy
