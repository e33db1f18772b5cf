// SPDX-License-Identifier: Apache-2.0
// Who and what is not captured, beyond istio-iptables' lists: values of a policy and of a match.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/port_set.h"

namespace weir::capture {

/// A packet's mark (of its socket: SO_MARK) under the mask.
struct MarkMatch {
  std::uint32_t value = 0;
  std::uint32_t mask = 0xffffffff;
  bool contains(std::uint32_t mark) const { return (mark & mask) == value; }
  /// "1337", "0x500", "0x500/0xff00"; the error (usage) names the text.
  static Result<MarkMatch> parse(std::string_view text);
  std::string to_text() const;  ///< "0x500/0xff00", without a full mask "0x539"
  friend bool operator==(const MarkMatch&, const MarkMatch&) = default;
};

/// A cgroup of the second hierarchy with all below it.
struct Cgroup {
  std::string path;      ///< below the hierarchy's root, without slashes at its ends: "kubepods/pod1/app"
  std::uint64_t id = 0;  ///< the kernel's number of that directory
  /// True for a process in `cgroup` (a path like ours).
  bool contains(std::string_view cgroup) const;
  unsigned level() const;  ///< how deep below the root: 3 for "a/b/c"
  friend bool operator==(const Cgroup&, const Cgroup&) = default;
};

/// One entry of --exclude-outbound or --exclude-inbound: a range of addresses with ports.
struct Exclusion {
  enum class Protocol : std::uint8_t { any, tcp, udp };
  Cidr cidr;
  PortSet ports;  ///< destination ports; empty: all
  Protocol protocol = Protocol::any;
  /// "10.0.0.0/8", "10.0.0.0/8:443", "10.0.0.1:8000-8999/tcp", "[fd00::/8]:443/udp", "fd00::/8/tcp"; the error (usage) names the
  /// text and what would be right.
  static Result<Exclusion> parse(std::string_view text);
  friend bool operator==(const Exclusion&, const Exclusion&) = default;
};

/// What UDP to QUIC's ports becomes.
enum class Quic : std::uint8_t { pass, refuse };

}  // namespace weir::capture
