// SPDX-License-Identifier: Apache-2.0
// Addresses as values. No kernel, no resolver: names never parse.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <netinet/in.h>

#include "base/result.h"

namespace weir {

enum class Family : std::uint8_t { v4, v6 };
inline constexpr Family kBothFamilies[] = {Family::v4, Family::v6};

/// "IPv4" / "IPv6".
std::string_view to_text(Family family);

using Port = std::uint16_t;

/// One IPv4 or IPv6 address; IPv4-mapped IPv6 stays IPv6 unless unmapped() is asked for. Zone ids are not kept.
class IpAddr {
 public:
  /// 0.0.0.0
  constexpr IpAddr() = default;
  static IpAddr v4(std::uint32_t host_order);
  static IpAddr from(const in_addr& address);
  static IpAddr from(const in6_addr& address);
  /// Text as inet_pton(3) takes it; errors (usage) name the text.
  static Result<IpAddr> parse(std::string_view text);
  static IpAddr any(Family family);       ///< 0.0.0.0 or ::
  static IpAddr loopback(Family family);  ///< 127.0.0.1 or ::1

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::v4; }
  /// 4 or 16 bytes in network order.
  std::string_view bytes() const { return {reinterpret_cast<const char*>(bytes_.data()), is_v4() ? 4U : 16U}; }
  in_addr to_in_addr() const;
  in6_addr to_in6_addr() const;
  bool is_loopback() const;     ///< 127.0.0.0/8 or ::1
  bool is_unspecified() const;  ///< 0.0.0.0 or ::
  bool is_link_local() const;   ///< 169.254.0.0/16 or fe80::/10
  /// ::ffff:a.b.c.d becomes a.b.c.d; anything else is returned as it is.
  IpAddr unmapped() const;
  std::string to_text() const;

  friend bool operator==(const IpAddr&, const IpAddr&) = default;
  friend auto operator<=>(const IpAddr&, const IpAddr&) = default;

 private:
  Family family_ = Family::v4;
  std::array<std::uint8_t, 16> bytes_{};  // v4 uses the first four; the rest stay zero, so that comparison is right
};

/// Address and prefix length; host bits are cleared on construction.
class Cidr {
 public:
  /// 0.0.0.0/0
  Cidr() = default;
  /// `prefix` must be within the family's 32 or 128 bits.
  Cidr(IpAddr address, unsigned prefix);
  /// "10.0.0.0/8", "fd00::/8", or a bare address (= full length). Host bits are tolerated, as istio-iptables does.
  static Result<Cidr> parse(std::string_view text);
  static Cidr everything(Family family) { return {IpAddr::any(family), 0}; }

  const IpAddr& address() const { return address_; }
  unsigned prefix() const { return prefix_; }
  Family family() const { return address_.family(); }
  bool contains(const IpAddr& address) const;
  std::string to_text() const;

  friend bool operator==(const Cidr&, const Cidr&) = default;
  friend auto operator<=>(const Cidr&, const Cidr&) = default;

 private:
  IpAddr address_;
  unsigned prefix_ = 0;
};

/// Address and port.
struct SocketAddr {
  IpAddr ip;
  Port port = 0;

  /// "10.0.0.1:80", "[fd00::1]:80".
  static Result<SocketAddr> parse(std::string_view text);
  /// From what the kernel filled in; anything but AF_INET/AF_INET6 is an error (internal).
  static Result<SocketAddr> from(const sockaddr_storage& storage);
  /// Fills `storage` and returns its used length.
  socklen_t to_sockaddr(sockaddr_storage& storage) const;
  std::string to_text() const;

  friend bool operator==(const SocketAddr&, const SocketAddr&) = default;
  friend auto operator<=>(const SocketAddr&, const SocketAddr&) = default;
};

}  // namespace weir

template <>
struct std::hash<weir::IpAddr> {
  std::size_t operator()(const weir::IpAddr& address) const noexcept { return std::hash<std::string_view>{}(address.bytes()); }
};
template <>
struct std::hash<weir::SocketAddr> {
  std::size_t operator()(const weir::SocketAddr& address) const noexcept {
    return std::hash<weir::IpAddr>{}(address.ip) * 65599U + address.port;
  }
};
