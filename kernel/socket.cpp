// SPDX-License-Identifier: Apache-2.0
#include "kernel/socket.h"

#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/text.h"

namespace weir::kernel {

namespace {

Result<> set_int(FdRef fd, int level, int name, int value, const char* what) {
  if (::setsockopt(fd.get(), level, name, &value, sizeof value) != 0) return fail_errno(errno, "setting {}", what);
  return {};
}

int domain(Family family) { return family == Family::v4 ? AF_INET : AF_INET6; }

sockaddr* generic(sockaddr_storage& storage) { return reinterpret_cast<sockaddr*>(&storage); }

Result<sockaddr_un> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(ErrorCode::usage, "unix socket path \"{}\" must have 1 to {} bytes", printable(path),
                sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

template <class GetName>
Result<SocketAddr> name_of(FdRef fd, GetName get_name, const char* what) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (get_name(fd.get(), generic(storage), &size) != 0) return fail_errno(errno, "{}", what);
  return SocketAddr::from(storage);
}

IoResult outcome(ssize_t n, bool reading) {
  IoResult result;
  if (n > 0) {
    result.bytes = static_cast<std::size_t>(n);
  } else if (n == 0) {
    result.eof = reading;
  } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
    result.would_block = true;
  } else {
    result.error = errno;
  }
  return result;
}

}  // namespace

Result<UniqueFd> listen_tcp(const SocketAddr& address, int backlog, bool reuse_port) {
  UniqueFd fd(::socket(domain(address.ip.family()), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "socket for {}", address.to_text());
  if (auto r = set_int(fd.ref(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"); !r) return pass(r.error());
  if (reuse_port)
    if (auto r = set_int(fd.ref(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"); !r) return pass(r.error());
  if (!address.ip.is_v4())
    if (auto r = set_int(fd.ref(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"); !r) return pass(r.error());
  sockaddr_storage storage;
  socklen_t size = address.to_sockaddr(storage);
  if (::bind(fd.get(), generic(storage), size) != 0 || ::listen(fd.get(), backlog) != 0) {
    int error = errno;
    if (error == EADDRINUSE)
      return pass(Error(ErrorCode::environment,
                        fmt::format("cannot listen on {}: another process already does; find it with: ss -ltnp 'sport = :{}'",
                                    address.to_text(), address.port),
                        error));
    if (error == EADDRNOTAVAIL)
      return pass(Error(ErrorCode::environment,
                        fmt::format("cannot listen on {}: the address is not on this machine; see: ip addr", address.to_text()),
                        error));
    return fail_errno(error, "cannot listen on {}", address.to_text());
  }
  return fd;
}

Result<UniqueFd> listen_unix(const std::string& path, mode_t mode) {
  auto address = unix_address(path);
  if (!address) return pass(address.error());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "socket for {}", path);
  if (::bind(fd.get(), generic(*address), sizeof *address) != 0) {
    int error = errno;
    struct stat info {};
    if (error != EADDRINUSE || ::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode))
      return fail_errno(error, "cannot listen on {}", path);
    if (auto other = connect_unix(path); other && connect_error(other->ref()) == 0)
      return fail(ErrorCode::environment, "cannot listen on {}: another process already does", path);
    ::unlink(path.c_str());
    if (::bind(fd.get(), generic(*address), sizeof *address) != 0) return fail_errno(errno, "cannot listen on {}", path);
  }
  if (::chmod(path.c_str(), mode) != 0) return fail_errno(errno, "setting the mode of {}", path);
  if (::listen(fd.get(), 1024) != 0) return fail_errno(errno, "cannot listen on {}", path);
  return fd;
}

Result<std::optional<Accepted>> accept(FdRef listener) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  UniqueFd fd(::accept4(listener.get(), generic(storage), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) {
    // The last four: the connection died in the queue, or the network told of an error; accept(2) asks to treat them like EAGAIN.
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == ENETDOWN ||
        errno == EHOSTUNREACH)
      return std::nullopt;
    return fail_errno(errno, "accept");
  }
  SocketAddr peer;
  if (storage.ss_family == AF_INET || storage.ss_family == AF_INET6) peer = *SocketAddr::from(storage);
  return Accepted{std::move(fd), peer};
}

Result<UniqueFd> connect_tcp(const SocketAddr& address, const ConnectOptions& options) {
  UniqueFd fd(::socket(domain(address.ip.family()), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "socket for {}", address.to_text());
  if (options.mark)
    if (auto r = set_mark(fd.ref(), *options.mark); !r) return pass(r.error());
  sockaddr_storage storage;
  if (options.source) {
    if (auto r = options.transparent ? set_transparent(fd.ref(), options.source->family())
                                     : set_int(fd.ref(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1, "IP_BIND_ADDRESS_NO_PORT");
        !r)
      return pass(r.error());
    socklen_t size = SocketAddr{*options.source, 0}.to_sockaddr(storage);
    if (::bind(fd.get(), generic(storage), size) != 0) return fail_errno(errno, "binding source {}", options.source->to_text());
  }
  socklen_t size = address.to_sockaddr(storage);
  if (::connect(fd.get(), generic(storage), size) != 0 && errno != EINPROGRESS)
    return fail_errno(errno, "connect to {}", address.to_text());
  return fd;
}

Result<UniqueFd> connect_unix(const std::string& path) {
  auto address = unix_address(path);
  if (!address) return pass(address.error());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "socket for {}", path);
  if (::connect(fd.get(), generic(*address), sizeof *address) != 0 && errno != EINPROGRESS)
    return fail_errno(errno, "connect to {}", path);
  return fd;
}

std::optional<int> connect_progress(FdRef fd, const SocketAddr& address) {
  sockaddr_storage storage;
  socklen_t size = address.to_sockaddr(storage);
  if (::connect(fd.get(), generic(storage), size) == 0 || errno == EISCONN) return 0;
  if (errno == EALREADY || errno == EINPROGRESS || errno == EINTR) return std::nullopt;
  return errno;
}

int connect_error(FdRef fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

Result<SocketAddr> original_dst(FdRef fd) {
  auto local = local_address(fd);
  if (!local) return local;
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  bool v4 = local->ip.is_v4();
  int failed = ::getsockopt(fd.get(), v4 ? SOL_IP : SOL_IPV6, v4 ? SO_ORIGINAL_DST : IP6T_SO_ORIGINAL_DST, &storage, &size);
  if (failed == 0) return SocketAddr::from(storage);
  if (errno == ENOENT || errno == ENOPROTOOPT || errno == EOPNOTSUPP) return local;
  return fail_errno(errno, "asking the socket for its original destination");
}

bool is_local_address(const IpAddr& address) {
  UniqueFd fd(::socket(domain(address.family()), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage storage;
  socklen_t size = SocketAddr{address, 0}.to_sockaddr(storage);
  return fd && ::bind(fd.get(), generic(storage), size) == 0;
}

Result<SocketAddr> local_address(FdRef fd) { return name_of(fd, ::getsockname, "getsockname"); }
Result<SocketAddr> peer_address(FdRef fd) { return name_of(fd, ::getpeername, "getpeername"); }

Result<> set_nodelay(FdRef fd) { return set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"); }

Result<> set_keepalive(FdRef fd, std::chrono::seconds idle, std::chrono::seconds interval, int probes) {
  if (auto r = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE"); !r) return r;
  if (auto r = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(idle.count()), "TCP_KEEPIDLE"); !r) return r;
  if (auto r = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(interval.count()), "TCP_KEEPINTVL"); !r) return r;
  return set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, probes, "TCP_KEEPCNT");
}

Result<> set_reset_on_close(FdRef fd) {
  linger now{.l_onoff = 1, .l_linger = 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now) != 0) return fail_errno(errno, "setting SO_LINGER");
  return {};
}

Result<> set_mark(FdRef fd, std::uint32_t mark) {
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) return fail_errno(errno, "setting SO_MARK {}", mark);
  return {};
}

Result<> set_transparent(FdRef fd, Family family) {
  return family == Family::v4 ? set_int(fd, IPPROTO_IP, IP_TRANSPARENT, 1, "IP_TRANSPARENT")
                              : set_int(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT");
}

bool can_be_transparent() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return fd && set_mark(fd.ref(), 1) && set_transparent(fd.ref(), Family::v4);
}

IoResult receive(FdRef fd, std::span<char> into) {
  ssize_t n;
  do n = ::recv(fd.get(), into.data(), into.size(), 0);
  while (n < 0 && errno == EINTR);
  return outcome(n, true);
}

IoResult peek(FdRef fd, std::span<char> into) {
  ssize_t n;
  do n = ::recv(fd.get(), into.data(), into.size(), MSG_PEEK);
  while (n < 0 && errno == EINTR);
  return outcome(n, true);
}

IoResult send(FdRef fd, std::span<const char> bytes, bool more) {
  ssize_t n;
  do n = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | (more ? MSG_MORE : 0));
  while (n < 0 && errno == EINTR);
  return outcome(n, false);
}

IoResult send(FdRef fd, std::span<const iovec> pieces, bool more) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg does not write to it
  message.msg_iovlen = pieces.size();
  ssize_t n;
  do n = ::sendmsg(fd.get(), &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
  while (n < 0 && errno == EINTR);
  return outcome(n, false);
}

void shutdown_write(FdRef fd) { ::shutdown(fd.get(), SHUT_WR); }

}  // namespace weir::kernel
