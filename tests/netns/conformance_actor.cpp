// SPDX-License-Identifier: Apache-2.0
#include "tests/netns/conformance_actor.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <iostream>
#include <map>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

#include "base/ip.h"
#include "base/text.h"
#include "kernel/socket.h"

namespace weir::conformance {

namespace {

bool wait_for(FdRef fd, short events, int limit_ms) {
  pollfd item{fd.get(), events, 0};
  int ready;
  do ready = ::poll(&item, 1, limit_ms);
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

std::string plain(const SocketAddr& address) { return SocketAddr{address.ip.unmapped(), address.port}.to_text(); }

/// ip(7), ipv6(7): may have, and may serve, addresses that are not this machine's.
std::string make_transparent(FdRef fd, Family family) {
  const int on = 1;
  const bool v4 = family == Family::v4;
  if (::setsockopt(fd.get(), v4 ? SOL_IP : SOL_IPV6, v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT, &on, sizeof on) != 0)
    return errno_text(errno);
  return "ok";
}

/// One thread for all listeners of a process.
class Server {
 public:
  std::string listen(const std::string& label, Port port, bool is_transparent) {
    for (Family family : kBothFamilies) {
      auto listener = kernel::listen_tcp({IpAddr::any(family), port});
      if (!listener) return listener.error().to_text();
      if (is_transparent)
        if (auto said = make_transparent(listener->ref(), family); said != "ok") return said;
      listeners_.emplace_back(std::move(*listener), label);
    }
    return "ok";
  }
  void start() {
    std::thread([this] { loop(); }).detach();
  }

 private:
  void loop() {
    for (;;) {
      std::vector<pollfd> items;
      for (auto& [fd, label] : listeners_) items.push_back({fd.get(), POLLIN, 0});
      for (auto& fd : connections_) items.push_back({fd.get(), POLLIN, 0});
      ::poll(items.data(), items.size(), -1);
      std::vector<UniqueFd> kept;
      for (std::size_t i = 0; i < connections_.size(); ++i)
        if (items[listeners_.size() + i].revents == 0 || echo(connections_[i])) kept.push_back(std::move(connections_[i]));
      connections_ = std::move(kept);
      for (std::size_t i = 0; i < listeners_.size(); ++i)
        if (items[i].revents != 0) welcome(listeners_[i].first, listeners_[i].second);
    }
  }
  static bool echo(UniqueFd& fd) {
    char buffer[256];
    auto got = kernel::receive(fd.ref(), buffer);
    if (got.would_block) return true;
    return got.ok() && kernel::send(fd.ref(), std::span<const char>(buffer, got.bytes)).ok();
  }
  void welcome(UniqueFd& listener, const std::string& label) {
    auto accepted = kernel::accept(listener.ref());
    if (!accepted || !*accepted) return;
    auto fd = std::move((*accepted)->fd);
    auto original = kernel::original_dst(fd.ref()), local = kernel::local_address(fd.ref());
    std::string line = fmt::format("{} od={} la={} peer={}\n", label, original ? plain(*original) : original.error().to_text(),
                                   local ? plain(*local) : "?", (*accepted)->peer.ip.unmapped().to_text());
    (void)kernel::send(fd.ref(), std::span<const char>(line.data(), line.size()));
    connections_.push_back(std::move(fd));
  }

  std::vector<std::pair<UniqueFd, std::string>> listeners_;
  std::vector<UniqueFd> connections_;
};

void serve_udp(UniqueFd fd, std::string label) {
  std::thread([fd = std::move(fd), label = std::move(label)] {
    for (;;) {
      char buffer[256];
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      if (::recvfrom(fd.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size) < 0) continue;
      const std::string answer = fmt::format("{} peer={}", label, SocketAddr::from(from)->ip.unmapped().to_text());
      ::sendto(fd.get(), answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&from), size);
    }
  }).detach();
}

/// A line that the other side says, or why there is none.
std::string read_line(FdRef fd, int limit_ms) {
  std::string line;
  while (line.find('\n') == std::string::npos) {
    char buffer[512];
    if (!wait_for(fd, POLLIN, limit_ms)) return "TIMEOUT";
    auto got = kernel::receive(fd, buffer);
    if (got.error == ECONNRESET) return "RST";
    if (got.error != 0) return errno_text(got.error);
    if (got.eof) return line.empty() ? "CLOSED" : line;
    line.append(buffer, got.bytes);
  }
  return line.substr(0, line.find('\n'));
}

/// A connecting socket with somebody else's address. `source`: "borrowed/ADDRESS" or "borrowed/ADDRESS/MARK".
Result<UniqueFd> connect_borrowed(const SocketAddr& to, const std::string& source) {
  const auto parts = split(source, '/');
  UniqueFd fd(::socket(to.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (auto said = make_transparent(fd.ref(), to.ip.family()); said != "ok") return fail(ErrorCode::io, "{}", said);
  if (parts.size() > 2) {
    const auto mark = static_cast<std::uint32_t>(*parse_uint(parts[2]));
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &mark, sizeof mark) != 0) return fail_errno(errno, "SO_MARK");
  }
  sockaddr_storage storage;
  socklen_t size = SocketAddr{*IpAddr::parse(parts.at(1)), 0}.to_sockaddr(storage);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) return fail_errno(errno, "bind");
  size = to.to_sockaddr(storage);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0 && errno != EINPROGRESS)
    return fail_errno(errno, "connect");
  return fd;
}

/// A connecting socket from this address and port, though what is left of an earlier connection may have them still. `source`:
/// "at/ADDRESS/PORT".
Result<UniqueFd> connect_again(const SocketAddr& to, const std::string& source) {
  const auto parts = split(source, '/');
  UniqueFd fd(::socket(to.ip.is_v4() ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return fail_errno(errno, "SO_REUSEADDR");
  sockaddr_storage storage;
  const SocketAddr own{*IpAddr::parse(parts.at(1)), static_cast<Port>(*parse_uint(parts.at(2)))};
  socklen_t size = own.to_sockaddr(storage);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) return fail_errno(errno, "bind");
  size = to.to_sockaddr(storage);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0 && errno != EINPROGRESS)
    return fail_errno(errno, "connect");
  return fd;
}

std::string connect(const SocketAddr& to, const std::string& source, int limit_ms, UniqueFd& into) {
  kernel::ConnectOptions options;
  const bool is_borrowed = source.starts_with("borrowed/"), is_again = source.starts_with("at/");
  if (source.starts_with("mark="))
    options.mark = static_cast<std::uint32_t>(*parse_uint(std::string_view(source).substr(5)));
  else if (source != "-" && !is_borrowed && !is_again)
    options.source = *IpAddr::parse(source);
  auto fd = is_borrowed ? connect_borrowed(to, source) : is_again ? connect_again(to, source) : kernel::connect_tcp(to, options);
  if (!fd) return fd.error().sys_errno() == ECONNREFUSED ? "RST" : fd.error().to_text();
  if (!wait_for(fd->ref(), POLLOUT, limit_ms)) return "TIMEOUT";
  if (int error = kernel::connect_error(fd->ref()); error != 0) return error == ECONNREFUSED ? "RST" : errno_text(error);
  into = std::move(*fd);
  return read_line(into.ref(), limit_ms);
}

/// `source`: words between slashes, "port=PORT" and "mark=MARK".
std::string send_datagram(const SocketAddr& to, std::string_view source, int limit_ms) {
  UniqueFd fd(::socket(to.ip.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage storage;
  for (std::string_view word : split(source, '/')) {
    const auto number = static_cast<std::uint32_t>(word.size() > 5 ? parse_uint(word.substr(5)).value_or(0) : 0);
    if (word.starts_with("mark=") && ::setsockopt(fd.get(), SOL_SOCKET, SO_MARK, &number, sizeof number) != 0)
      return errno_text(errno);
    if (!word.starts_with("port=")) continue;
    const SocketAddr own{IpAddr::any(to.ip.family()), static_cast<Port>(number)};
    socklen_t own_size = own.to_sockaddr(storage);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), own_size) != 0) return errno_text(errno);
  }
  socklen_t size = to.to_sockaddr(storage);
  if (::sendto(fd.get(), "?", 1, 0, reinterpret_cast<const sockaddr*>(&storage), size) < 0)
    return errno == EPERM ? "REFUSED" : errno_text(errno);
  if (!wait_for(fd.ref(), POLLIN, limit_ms)) return "TIMEOUT";
  char buffer[512];
  sockaddr_storage from{};
  socklen_t from_size = sizeof from;
  ssize_t got = ::recvfrom(fd.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &from_size);
  if (got < 0) return errno_text(errno);
  return fmt::format("{} from={}", std::string_view(buffer, static_cast<std::size_t>(got)), SocketAddr::from(from)->to_text());
}

std::uint16_t checksum(const std::string& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
    sum += (static_cast<unsigned char>(bytes[i]) << 8U) | static_cast<unsigned char>(bytes[i + 1]);
  while (sum >> 16U != 0) sum = (sum & 0xffffU) + (sum >> 16U);
  return htons(static_cast<std::uint16_t>(~sum));
}

/// Bare FIN and ACK from a raw socket.
std::string send_fin(const SocketAddr& to, int limit_ms) {
  const bool v4 = to.ip.is_v4();
  UniqueFd fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  sockaddr_storage storage;
  socklen_t size = SocketAddr{to.ip, 0}.to_sockaddr(storage);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) return errno_text(errno);
  auto own = kernel::local_address(fd.ref());
  if (!own) return own.error().to_text();
  static std::uint16_t port = 20000;  // no connection's
  tcphdr header{};
  header.source = htons(++port);
  header.dest = htons(to.port);
  header.seq = header.ack_seq = htonl(1);
  header.doff = sizeof header / 4;
  header.fin = header.ack = 1;
  const std::uint16_t length = htons(sizeof header);
  const std::string addresses = std::string(own->ip.bytes()) + std::string(to.ip.bytes());
  const std::string length_text(reinterpret_cast<const char*>(&length), sizeof length);
  // RFC 9293 3.1 and RFC 8200 8.1: the order of length and protocol does not matter to the sum.
  const std::string summed = addresses + std::string(1, '\0') + char{IPPROTO_TCP} + length_text;
  header.check = checksum(summed + std::string(reinterpret_cast<const char*>(&header), sizeof header));
  if (::send(fd.get(), &header, sizeof header, 0) < 0) return errno_text(errno);
  while (wait_for(fd.ref(), POLLIN, limit_ms)) {
    alignas(4) char buffer[512];
    const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    const std::size_t skip = v4 && got > 0 ? static_cast<std::size_t>(reinterpret_cast<const iphdr*>(buffer)->ihl) * 4 : 0;
    if (got < static_cast<ssize_t>(skip + sizeof header)) continue;
    tcphdr answer;
    std::memcpy(&answer, buffer + skip, sizeof answer);
    if (answer.dest == header.source && answer.rst != 0) return "ANSWERED";
  }
  return "TIMEOUT";
}

class Obedience {
 public:
  std::string answer(const std::vector<std::string_view>& words) {
    const std::string_view verb = words.at(0);
    if (verb == "serve" || verb == "serve-transparent") return serve(words);
    if (verb == "serve-udp") return serve_udp_ports(words, {IpAddr::any(Family::v6)});  // it hears IPv4 too
    if (verb == "serve-local-udp") return serve_udp_ports(words, {IpAddr::loopback(Family::v4), IpAddr::loopback(Family::v6)});
    if (verb == "close") {
      kept_.reset();
      return "ok";
    }
    if (verb == "ping") return ping(std::string(words.at(1)));
    const SocketAddr to{*IpAddr::parse(words.at(1)), static_cast<Port>(*parse_uint(words.at(2)))};
    if (verb == "open") return connect(to, "-", 5000, kept_);
    const int limit = static_cast<int>(*parse_uint(words.at(4)));
    if (verb == "fin") return send_fin(to, limit);
    UniqueFd connection;
    return verb == "tcp" ? connect(to, std::string(words.at(3)), limit, connection) : send_datagram(to, words.at(3), limit);
  }

 private:
  /// What is transparent comes first: the thread that serves all starts with "serve".
  std::string serve(const std::vector<std::string_view>& words) {
    const bool is_transparent = words[0] == "serve-transparent";
    for (std::size_t i = 1; i < words.size(); ++i) {
      const auto parts = split(words[i], '=');
      auto said = server_.listen(std::string(parts[0]), static_cast<Port>(*parse_uint(parts[1])), is_transparent);
      if (said != "ok") return said;
    }
    if (!is_transparent) server_.start();
    return "ok";
  }
  static std::string serve_udp_ports(const std::vector<std::string_view>& words, const std::vector<IpAddr>& addresses) {
    for (std::size_t i = 1; i < words.size(); ++i)
      for (const IpAddr& address : addresses) {
        const auto parts = split(words[i], '=');
        UniqueFd fd(::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_storage storage;
        socklen_t size = SocketAddr{address, static_cast<Port>(*parse_uint(parts[1]))}.to_sockaddr(storage);
        if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) return errno_text(errno);
        serve_udp(std::move(fd), std::string(parts[0]));
      }
    return "ok";
  }
  std::string ping(const std::string& text) {
    const std::string line = text + "\n";
    if (auto sent = kernel::send(kept_.ref(), std::span<const char>(line.data(), line.size())); !sent.ok())
      return errno_text(sent.error);
    return read_line(kept_.ref(), 5000);
  }

  Server server_;
  UniqueFd kept_;
};

/// As a proxy of mode TPROXY: no more root, but CAP_NET_ADMIN kept (capabilities(7)).
bool keep_net_admin() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  data[0].permitted = data[0].effective = 1U << CAP_NET_ADMIN;
  return ::syscall(SYS_capset, &header, data) == 0;
}

}  // namespace

int run_actor(unsigned uid, unsigned gid, bool keeps_net_admin) {
  if (keeps_net_admin) ::prctl(PR_SET_KEEPCAPS, 1L);
  // The numbers must be right before the first socket: a socket's owner is who made it.
  if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 || ::setresuid(uid, uid, uid) != 0) return 1;
  if (keeps_net_admin && !keep_net_admin()) return 1;
  static Obedience obedience;  // its threads live as long as the process
  for (std::string line; std::getline(std::cin, line);) std::cout << obedience.answer(split(line, ' ')) << std::endl;
  std::_Exit(0);
}

std::unique_ptr<Actor> Actor::start(unsigned uid, unsigned gid, bool own_namespace) {
  int there[2], back[2];
  if (::pipe2(there, O_CLOEXEC) != 0 || ::pipe2(back, O_CLOEXEC) != 0) return nullptr;
  UniqueFd child_in(there[0]), in(there[1]), out(back[0]), child_out(back[1]);
  std::vector<std::string> arguments;
  if (own_namespace) arguments = {"unshare", "--net", "--"};
  for (std::string word : {std::string("/proc/self/exe"), std::string("--actor"), std::to_string(uid), std::to_string(gid),
                           std::string(uid == 1337 || gid == 1337 ? "net-admin" : "-")})
    arguments.push_back(word);
  // unshare(1) would take /proc/self/exe for itself.
  char self[4096];
  ssize_t size = ::readlink("/proc/self/exe", self, sizeof self);
  if (size <= 0) return nullptr;
  arguments[own_namespace ? 3 : 0] = std::string(self, static_cast<std::size_t>(size));
  auto child = kernel::Child::start({.arguments = arguments, .in = child_in.ref(), .out = child_out.ref()});
  if (!child) return nullptr;
  return std::unique_ptr<Actor>(new Actor(std::move(*child), std::move(in), std::move(out)));
}

void Actor::tell(const std::string& line) {
  const std::string bytes = line + "\n";
  if (::write(in_.get(), bytes.data(), bytes.size()) < 0) unread_ += "GONE\n";
}

std::string Actor::hear() {
  while (unread_.find('\n') == std::string::npos) {
    char buffer[1024];
    ssize_t got = ::read(out_.get(), buffer, sizeof buffer);
    if (got <= 0) return "GONE";
    unread_.append(buffer, static_cast<std::size_t>(got));
  }
  const std::string line = unread_.substr(0, unread_.find('\n'));
  unread_.erase(0, line.size() + 1);
  return line;
}

std::string Actor::ask(const std::string& line) {
  tell(line);
  return hear();
}

}  // namespace weir::conformance
