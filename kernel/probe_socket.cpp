// SPDX-License-Identifier: Apache-2.0
#include "kernel/probe_socket.h"

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <netinet/in.h>
#include <net/if.h>
#include <sys/fsuid.h>
#include <sys/socket.h>

#include "base/scope_exit.h"
#include "kernel/address.h"
#include "kernel/socket.h"

namespace weir::kernel {

namespace {

const sockaddr* generic(const sockaddr_storage& storage) { return reinterpret_cast<const sockaddr*>(&storage); }

/// The calling thread's.
bool become(std::uint32_t uid, std::uint32_t gid) {
  ::setfsgid(gid);
  ::setfsuid(uid);
  return static_cast<std::uint32_t>(::setfsuid(static_cast<uid_t>(-1))) == uid &&
         static_cast<std::uint32_t>(::setfsgid(static_cast<gid_t>(-1))) == gid;
}

Result<UniqueFd> socket_of(const ProbePacket& packet) {
  const auto uid = static_cast<std::uint32_t>(::setfsuid(static_cast<uid_t>(-1)));
  const auto gid = static_cast<std::uint32_t>(::setfsgid(static_cast<gid_t>(-1)));
  // In this order, since without uid 0 another gid may not be taken any more.
  ScopeExit back([&] {
    ::setfsuid(uid);
    ::setfsgid(gid);
  });
  if (!become(packet.uid, packet.gid)) return fail_errno(EPERM, "sending as uid {} gid {}", packet.uid, packet.gid);
  UniqueFd fd(::socket(packet.to.ip.is_v4() ? AF_INET : AF_INET6,
                       (packet.is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "opening a socket as uid {} gid {}", packet.uid, packet.gid);
  return fd;
}

}  // namespace

Result<ProbeSent> send_probe(const ProbePacket& packet) {
  auto fd = socket_of(packet);
  if (!fd) return pass(fd.error());
  sockaddr_storage storage;
  const SocketAddr from{packet.source.value_or(IpAddr::any(packet.to.ip.family())), packet.source_port};
  socklen_t size = from.to_sockaddr(storage);
  if (::bind(fd->get(), generic(storage), size) != 0) return fail_errno(errno, "binding a probe to {}", from.to_text());
  size = packet.to.to_sockaddr(storage);
  ProbeSent sent{.fd = std::move(*fd)};
  int error = 0;
  if (packet.is_tcp) {
    if (::connect(sent.fd.get(), generic(storage), size) != 0) error = errno;
  } else {
    const std::array<char, kProbePayload> payload{};
    if (::sendto(sent.fd.get(), payload.data(), payload.size(), 0, generic(storage), size) < 0) error = errno;
  }
  sent.was_refused = error == ECONNREFUSED;
  // A datagram that a rule drops on its way out is EPERM.
  if (error != 0 && error != EINPROGRESS && error != ECONNREFUSED && error != EPERM)
    return fail_errno(error, "sending a probe to {}", packet.to.to_text());
  return sent;
}

bool was_refused(const ProbeSent& sent) { return sent.was_refused || connect_error(sent.fd.ref()) == ECONNREFUSED; }

std::optional<bool> listens(Port port) {
  // "   0: 00000000:3A9E 00000000:0000 0A …": number, local and remote address with port, state (0A: TCP_LISTEN).
  const std::string wanted = fmt::format(":{:04X}", port);
  bool is_known = false;
  for (const char* file : {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"}) {
    std::ifstream stream(file);
    is_known |= stream.is_open();
    std::string number, local, remote, state;
    for (std::string line; std::getline(stream, line);) {
      std::istringstream words(line);
      words >> number >> local >> remote >> state;
      if (state == "0A" && local.ends_with(wanted)) return true;
    }
  }
  return is_known ? std::optional(false) : std::nullopt;
}

Result<Egress> egress(Netlink& netlink, const IpAddr& destination) {
  UniqueFd fd(::socket(destination.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "opening a socket");
  sockaddr_storage storage;
  const socklen_t size = SocketAddr{destination, 9}.to_sockaddr(storage);
  if (::connect(fd.get(), generic(storage), size) != 0) return fail_errno(errno, "no route to {}", destination.to_text());
  auto local = local_address(fd.ref());
  if (!local) return pass(local.error());
  auto all = addresses(netlink, destination.family());
  if (!all) return pass(all.error());
  if (local->ip == destination || destination.is_loopback()) return Egress{.interface = "lo", .source = local->ip};
  for (const InterfaceAddress& address : *all) {
    std::array<char, IF_NAMESIZE> name{};
    if (address.address == local->ip && ::if_indextoname(address.interface_index, name.data()) != nullptr)
      return Egress{.interface = name.data(), .source = local->ip};
  }
  return fail(ErrorCode::environment, "no interface has the address {}", local->ip.to_text());
}

}  // namespace weir::kernel
