// SPDX-License-Identifier: Apache-2.0
#include "base/ip.h"

#include <arpa/inet.h>
#include <cassert>
#include <cstring>

#include "base/text.h"

namespace weir {

std::string_view to_text(Family family) { return family == Family::v4 ? "IPv4" : "IPv6"; }

IpAddr IpAddr::v4(std::uint32_t host_order) {
  in_addr address{htonl(host_order)};
  return from(address);
}

IpAddr IpAddr::from(const in_addr& address) {
  IpAddr ip;
  std::memcpy(ip.bytes_.data(), &address, 4);
  return ip;
}

IpAddr IpAddr::from(const in6_addr& address) {
  IpAddr ip;
  ip.family_ = Family::v6;
  std::memcpy(ip.bytes_.data(), &address, 16);
  return ip;
}

Result<IpAddr> IpAddr::parse(std::string_view text) {
  std::string terminated(text);
  in_addr a4{};
  if (inet_pton(AF_INET, terminated.c_str(), &a4) == 1) return from(a4);
  in6_addr a6{};
  if (terminated.size() == text.size() && inet_pton(AF_INET6, terminated.c_str(), &a6) == 1) return from(a6);
  return fail(ErrorCode::usage, "\"{}\" is not an IP address; write it like 10.0.0.1 or fd00::1", printable(text));
}

IpAddr IpAddr::any(Family family) { return family == Family::v4 ? IpAddr() : from(in6addr_any); }
IpAddr IpAddr::loopback(Family family) { return family == Family::v4 ? v4(INADDR_LOOPBACK) : from(in6addr_loopback); }

in_addr IpAddr::to_in_addr() const {
  assert(is_v4());
  in_addr address{};
  std::memcpy(&address, bytes_.data(), 4);
  return address;
}

in6_addr IpAddr::to_in6_addr() const {
  assert(!is_v4());
  in6_addr address{};
  std::memcpy(&address, bytes_.data(), 16);
  return address;
}

bool IpAddr::is_loopback() const { return is_v4() ? bytes_[0] == 127 : *this == loopback(Family::v6); }
bool IpAddr::is_unspecified() const { return *this == any(family_); }
bool IpAddr::is_link_local() const {
  return is_v4() ? bytes_[0] == 169 && bytes_[1] == 254 : bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

IpAddr IpAddr::unmapped() const {
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (is_v4() || std::memcmp(bytes_.data(), kMapped, 12) != 0) return *this;
  in_addr address{};
  std::memcpy(&address, bytes_.data() + 12, 4);
  return from(address);
}

std::string IpAddr::to_text() const {
  char buffer[INET6_ADDRSTRLEN];
  return inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), buffer, sizeof buffer);
}

namespace {

IpAddr masked(const IpAddr& address, unsigned prefix) {
  std::uint8_t bytes[16] = {};
  std::size_t size = address.bytes().size();
  std::memcpy(bytes, address.bytes().data(), size);
  for (std::size_t i = 0; i < size; ++i) {
    unsigned kept = prefix > i * 8 ? prefix - static_cast<unsigned>(i) * 8 : 0;
    if (kept < 8) bytes[i] = static_cast<std::uint8_t>(bytes[i] & (0xff00U >> kept));
  }
  if (address.is_v4()) {
    in_addr a{};
    std::memcpy(&a, bytes, 4);
    return IpAddr::from(a);
  }
  in6_addr a{};
  std::memcpy(&a, bytes, 16);
  return IpAddr::from(a);
}

}  // namespace

Cidr::Cidr(IpAddr address, unsigned prefix) : address_(masked(address, prefix)), prefix_(prefix) {
  assert(prefix <= address.bytes().size() * 8);
}

Result<Cidr> Cidr::parse(std::string_view text) {
  auto wrong = [&] {
    return fail(ErrorCode::usage, "\"{}\" is not a CIDR; write it like 10.0.0.0/8 or fd00::/8", printable(text));
  };
  std::size_t slash = text.find('/');
  auto address = IpAddr::parse(text.substr(0, slash));
  if (!address) return wrong();
  unsigned bits = static_cast<unsigned>(address->bytes().size() * 8);
  if (slash == std::string_view::npos) return Cidr(*address, bits);
  auto prefix = parse_uint(text.substr(slash + 1), bits);
  if (!prefix) return wrong();
  return Cidr(*address, static_cast<unsigned>(*prefix));
}

bool Cidr::contains(const IpAddr& address) const { return address.family() == family() && masked(address, prefix_) == address_; }

std::string Cidr::to_text() const { return fmt::format("{}/{}", address_.to_text(), prefix_); }

Result<SocketAddr> SocketAddr::parse(std::string_view text) {
  auto wrong = [&] {
    return fail(ErrorCode::usage, "\"{}\" is not an address with a port; write it like 10.0.0.1:80 or [fd00::1]:80",
                printable(text));
  };
  std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return wrong();
  std::string_view host = text.substr(0, colon);
  bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  auto ip = IpAddr::parse(host);
  auto port = parse_uint(text.substr(colon + 1), 65535);
  if (!ip || !port || bracketed == ip->is_v4()) return wrong();
  return SocketAddr{*ip, static_cast<Port>(*port)};
}

Result<SocketAddr> SocketAddr::from(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    return SocketAddr{IpAddr::from(in.sin_addr), ntohs(in.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, &storage, sizeof in6);
    return SocketAddr{IpAddr::from(in6.sin6_addr), ntohs(in6.sin6_port)};
  }
  return fail(ErrorCode::internal, "address family {} is neither IPv4 nor IPv6", storage.ss_family);
}

socklen_t SocketAddr::to_sockaddr(sockaddr_storage& storage) const {
  std::memset(&storage, 0, sizeof storage);
  if (ip.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr = ip.to_in_addr();
    std::memcpy(&storage, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(port);
  in6.sin6_addr = ip.to_in6_addr();
  std::memcpy(&storage, &in6, sizeof in6);
  return sizeof in6;
}

std::string SocketAddr::to_text() const {
  return ip.is_v4() ? fmt::format("{}:{}", ip.to_text(), port) : fmt::format("[{}]:{}", ip.to_text(), port);
}

}  // namespace weir
