// SPDX-License-Identifier: Apache-2.0
#include "kernel/netlink_listener.h"

#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <linux/netlink.h>

namespace weir::kernel {

Result<NetlinkListener> NetlinkListener::open(NetlinkBus bus, unsigned group) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                       bus == NetlinkBus::route ? NETLINK_ROUTE : NETLINK_NETFILTER));
  if (!fd) return fail_errno(errno, "opening a netlink socket");
  const sockaddr_nl any{.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0)
    return fail_errno(errno, "binding a netlink socket");
  const int size = 1 << 20;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
    return fail_errno(errno, "listening to the kernel's netlink group {}", group);
  return NetlinkListener(std::move(fd));
}

Result<std::vector<NetlinkMessage>> NetlinkListener::receive(Nanoseconds limit) {
  pollfd item{fd_.get(), POLLIN, 0};
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
  if (::poll(&item, 1, static_cast<int>(wait)) <= 0) return std::vector<NetlinkMessage>();
  alignas(nlmsghdr) std::array<char, 65536> buffer;
  const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (size < 0) return fail_errno(errno, "receiving from the kernel by netlink");
  std::vector<NetlinkMessage> found;
  auto left = static_cast<unsigned>(size);
  // NLMSG_NEXT takes const away.
  for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, left); header = NLMSG_NEXT(header, left))
    found.emplace_back(reinterpret_cast<const char*>(header), header->nlmsg_len);
  return found;
}

}  // namespace weir::kernel
