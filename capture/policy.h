// SPDX-License-Identifier: Apache-2.0
// What one workload asks to have captured. A value: no kernel, no files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/duration.h"
#include "base/ip.h"
#include "base/port_set.h"
#include "base/problem.h"
#include "base/well_known.h"
#include "capture/exclusions.h"

namespace weir::capture {

/// How inbound connections reach the proxy (outbound ones are always redirected). tproxy: by a transparent socket, so that it
/// sees the client's address and the one that was dialled. none: sidecar.istio.io/interceptionMode NONE, capture nothing.
enum class Mode : std::uint8_t { redirect, tproxy, none };
enum class Selection : std::uint8_t { none, list, all };

/// Which destinations outbound capture takes. `none`: no CIDR (included ports still capture).
struct CidrSelection {
  Selection kind = Selection::none;
  std::vector<Cidr> list;
  friend bool operator==(const CidrSelection&, const CidrSelection&) = default;
};

/// Which destination ports inbound capture takes.
struct PortSelection {
  Selection kind = Selection::none;
  PortSet list;
  friend bool operator==(const PortSelection&, const PortSelection&) = default;
};

/// Whose outbound traffic is captured, by the socket's gid: all but `exclude`, or only `include`.
struct OwnerGroups {
  bool all = true;
  std::vector<std::uint32_t> include;  ///< used if not `all`
  std::vector<std::uint32_t> exclude;  ///< used if `all`
  friend bool operator==(const OwnerGroups&, const OwnerGroups&) = default;
};

/// A uid and gid that no process has: what --proxy-uid=none comes to.
inline constexpr std::uint32_t kNobodysId = 0xfffffffe;

/// Both IP families, always (invariant 10). Defaults are istio-iptables': outbound and inbound capture nothing until asked.
struct CapturePolicy {
  Mode mode = Mode::redirect;
  Port outbound_port = well_known::kOutboundPort;
  Port inbound_port = well_known::kInboundPort;
  Port tunnel_port = well_known::kTunnelPort;
  std::vector<std::uint32_t> proxy_uids = {well_known::kProxyUid};
  std::vector<std::uint32_t> proxy_gids = {well_known::kProxyGid};
  /// By what else the proxy's own traffic is known, beside its uids and gids.
  std::optional<MarkMatch> proxy_mark;
  std::vector<Cgroup> proxy_cgroups;
  /// Senders whose outbound traffic is never captured.
  std::vector<std::uint32_t> exclude_uids;
  std::vector<Cgroup> exclude_cgroups;
  std::vector<Exclusion> exclude_outbound;   ///< by destination
  std::vector<Exclusion> exclude_inbound;    ///< by source and destination port; of TCP
  std::vector<std::string> exclude_domains;  ///< outbound, by the addresses that DNS has for them
  /// Outbound UDP to these ports, where TCP would be captured.
  Quic quic = Quic::pass;
  PortSet quic_ports = PortSet::of(443);
  PortSelection inbound_ports;
  PortSet inbound_exclude_ports;  ///< effective only when inbound_ports is all
  CidrSelection outbound_cidrs;
  std::vector<Cidr> outbound_exclude_cidrs;
  PortSet outbound_include_ports;
  PortSet outbound_exclude_ports;
  std::vector<std::string> exclude_interfaces;      ///< "eth0", or "eth+" for every name that begins so
  std::vector<std::string> kube_virt_interfaces;    ///< traffic that comes in here counts as outbound
  Cidr loopback_cidr4{IpAddr::v4(0x7f000001), 32};  ///< what "localhost" is in IPv4; in IPv6 always ::1/128
  OwnerGroups owner_groups;
  /// Which DNS queries (TCP and UDP, port 53) of the workload go to dns_port: none, those to dns_servers, or all.
  Selection dns = Selection::none;
  std::vector<IpAddr> dns_servers;  ///< used if `list`
  Port dns_port = well_known::kDnsPort;
  /// Mode tproxy: what has this mark is delivered in the sandbox, by this routing table: so the workload's answers to a client
  /// whose address the proxy has taken come back to the proxy. The proxy sets it on such connections if it likes; others must not
  /// have it.
  std::uint32_t tproxy_mark = well_known::kTproxyMark;
  std::uint32_t tproxy_route_table = well_known::kRouteTable;
  bool drop_invalid = false;  ///< drop what connection tracking cannot place, of every protocol
  /// Where an IP family is there and cannot be programmed: cut it off instead of refusing to program anything.
  bool block_missing_family = false;
  /// Start gate: new captured connections wait (their SYNs are dropped) until the proxy's uid sends its first packet, at most so
  /// long. nullopt: no gate.
  std::optional<Nanoseconds> start_gate;
  /// Fail mode: without a proxy captured connections are refused (nullopt), or go direct as soon as the proxy has not sent a
  /// heartbeat for so long.
  std::optional<Nanoseconds> open_after;

  friend bool operator==(const CapturePolicy&, const CapturePolicy&) = default;
};

/// What is wrong or without effect in a policy, all at once, by the names of the flags. No errors means that plan() may be
/// called.
std::vector<Problem> validate(const CapturePolicy& policy);

}  // namespace weir::capture
