// SPDX-License-Identifier: Apache-2.0
// A policy turned into ordered steps, and the oracle that says what they do to a packet. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/port_set.h"
#include "capture/exclusions.h"
#include "capture/policy.h"

namespace weir::capture {

/// Where a step stands. A packet from outside meets zone_inbound, guard_inbound, tracked_inbound, transparent_inbound, then
/// inbound; one from a process of the sandbox meets zone_outbound, guard_outbound, mark_outbound, then outbound, and if it stays
/// in the sandbox tracked_inbound and transparent_inbound too, as it then is. `capture_*` verdicts lead to the to_* chains.
///  - zone_*: every packet, before connection tracking (raw).
///  - guard_*: every packet as its sender addressed it: after connection tracking, so that a reset is one of the connection that
///    it answers, and before NAT.
///  - tracked_inbound: every packet, and what connection tracking thinks of it (mangle PREROUTING).
///  - mark_outbound, transparent_inbound, to_transparent: mode tproxy only. mark_outbound (mangle OUTPUT, which routes again if
///  the
///    mark changed) marks by whom and for what a packet is; transparent_inbound (mangle PREROUTING, after tracked_inbound)
///    decides which first packets the proxy's transparent socket takes; to_transparent gives them to it. What they pass goes on
///    to NAT.
///  - udp_outbound: every packet of a process of the sandbox, between mark_outbound and outbound (mangle OUTPUT).
///  - inbound, outbound: decide once, on a connection's first packet (nat PREROUTING, nat OUTPUT).
///  - kept_flags: no packet; its steps keep what was asked (asked.h).
enum class Chain : std::uint8_t {
  zone_inbound,
  zone_outbound,
  guard_inbound,
  guard_outbound,
  tracked_inbound,
  inbound,
  outbound,
  to_inbound,
  to_outbound,
  to_dns,
  mark_outbound,
  transparent_inbound,
  to_transparent,
  udp_outbound,
  kept_flags
};
inline constexpr Chain kChains[] = {
    Chain::zone_inbound,    Chain::zone_outbound, Chain::guard_inbound,  Chain::guard_outbound,
    Chain::tracked_inbound, Chain::mark_outbound, Chain::to_transparent, Chain::transparent_inbound,
    Chain::to_inbound,      Chain::to_outbound,   Chain::to_dns,         Chain::inbound,
    Chain::outbound,        Chain::udp_outbound,  Chain::kept_flags};
std::string_view name(Chain chain);
/// Chains that stand in every plan; the others are there only if they have steps, since each costs every packet a little.
bool is_always_there(Chain chain);

enum class Verdict : std::uint8_t {
  pass,                 ///< leave alone: direct
  capture_inbound,      ///< go on in to_inbound
  capture_outbound,     ///< go on in to_outbound
  redirect,             ///< to redirect_port of this sandbox
  reset,                ///< refuse with a TCP reset
  refuse,               ///< refuse with an ICMP error (port unreachable), for what is not TCP
  hold,                 ///< drop while the gate is closed (the kernel sends SYNs again), else go on
  open_gate,            ///< open the start gate for good, go on
  proxy_lives,          ///< for the plan's open_after from now on Match::proxy_is_down does not hold, go on
  drop,                 ///< away with it, silently
  capture_dns,          ///< go on in to_dns
  zone,                 ///< connection tracking keeps it in a zone of its own; no later step of the chain looks at it
  mark,                 ///< set the packet's mark to Step::mark, go on (iptables: MARK --set-mark)
  mark_connection,      ///< set the connection's mark to Step::mark, go on (iptables: CONNMARK --set-mark)
  capture_transparent,  ///< go on in to_transparent
  transparent,          ///< to the transparent socket on redirect_port, address unchanged, mark unchanged; go on if there is none
                ///< (iptables: TPROXY --on-port, with a mark of 0/0. That drops where no socket listens, so what follows must
                ///< stand before it)
};
std::string_view name(Verdict verdict);

/// All that is set must hold; an empty list or set asks nothing. Not both a list and its negation.
struct Match {
  enum class Protocol : std::uint8_t { any, tcp, not_tcp, udp };
  enum class Syn : std::uint8_t { any, first, later };  ///< first: SYN without ACK; later: every other TCP packet
  Protocol protocol = Protocol::any;
  Syn syn = Syn::any;
  std::string in_interface, out_interface;  ///< "lo", "eth0", "eth+"
  std::string not_in_interface, not_out_interface;
  std::vector<Cidr> source;
  std::vector<Cidr> destination, not_destination;  ///< lists hold both families; a family without an entry in `destination` never
                                                   ///< matches, one without an entry in `not_destination` always
  PortSet ports, not_ports;                        ///< TCP destination ports; with Protocol::udp UDP ones
  PortSet source_ports;                            ///< of the same protocol
  std::vector<std::uint32_t> uids, not_uids, gids, not_gids;  ///< of the sending socket's creator
  std::optional<MarkMatch> sender_mark;                       ///< of the packet, as its socket gave it
  std::optional<Cgroup> cgroup;                               ///< of the sending socket
  bool to_this_sandbox = false;                               ///< the destination is an address of this sandbox
  bool from_elsewhere = false;  ///< the source is no address of this sandbox (who sends here has borrowed it: IP_TRANSPARENT)
  std::optional<std::uint32_t> mark, not_mark, connection_mark;  ///< of the packet, of its connection; all 32 bits
  bool is_invalid = false;  ///< connection tracking cannot place it (a segment of no connection it knows, wrong flags, …)
  bool to_excluded_domain = false;  ///< the destination is an address of one of the plan's excluded_domains, as DNS has it now
  bool proxy_is_down = false;       ///< the last Verdict::proxy_lives is longer ago than the plan's open_after, or never was
  friend bool operator==(const Match&, const Match&) = default;
};
/// "tcp, out lo, to not 127.0.0.1/32 ::1/128, port not 15008, uid 1337"; "everything" if nothing is asked.
std::string to_text(const Match& match);

struct Step {
  Chain chain = Chain::outbound;
  Match match;
  Verdict verdict = Verdict::pass;
  Port redirect_port = 0;  ///< for Verdict::redirect
  std::uint16_t zone = 0;  ///< for Verdict::zone
  std::uint32_t mark = 0;  ///< for Verdict::mark and mark_connection
  std::string why;         ///< names the flag or default that wants it; at most 120 bytes, printable ASCII without quotes
  friend bool operator==(const Step&, const Step&) = default;
};
/// "pass", "redirect to 15001", "reset", …
std::string verdict_text(const Step& step);

/// What has `mark` is delivered in the sandbox whatever its destination: `ip rule add fwmark MARK lookup TABLE` and `ip route add
/// local default dev lo table TABLE`, in both families.
struct ReplyRoute {
  std::uint32_t mark = 0, table = 0;
  friend bool operator==(const ReplyRoute&, const ReplyRoute&) = default;
};

struct CapturePlan {
  std::vector<Step> steps;  ///< in order within each chain; chains in the order of kChains
  std::optional<Nanoseconds> start_gate;
  std::optional<Nanoseconds> open_after;      ///< as in the policy
  std::vector<std::string> excluded_domains;  ///< `weir-init watch` keeps their addresses
  /// A family that the sandbox has and that cannot be programmed is cut off (with_blocked); else applying is refused.
  bool block_missing_family = false;
  /// ::6/128 must be an address of lo, since the proxy speaks to its workload from it (127.0.0.6 is one by itself).
  bool needs_inbound_source6 = true;
  std::optional<ReplyRoute> reply_route;  ///< mode tproxy
  friend bool operator==(const CapturePlan&, const CapturePlan&) = default;
};

/// The chains that the plan needs, in the order of kChains.
std::vector<Chain> chains_of(const CapturePlan& plan);

/// The one place that decides. `policy` must have no errors (validate). Mode none gives an empty plan.
CapturePlan plan(const CapturePolicy& policy);

/// The plan where this family cannot be programmed: what is not of the sandbox itself is cut off in it.
CapturePlan with_blocked(CapturePlan plan, Family family);

/// A packet that opens a connection (or a lone datagram).
struct Packet {
  bool from_outside = false;  ///< else from a process of the sandbox
  std::string interface;      ///< comes in by (from outside) or goes out by; "lo" for what stays in the sandbox
  bool is_tcp = true;
  bool is_first = true;  ///< a SYN without ACK
  IpAddr source, destination;
  Port source_port = 0;  ///< 0: one that no rule names
  Port port = 0;
  std::uint32_t uid = 0, gid = 0;   ///< meaningful if not from_outside
  bool to_this_sandbox = false;     ///< the destination is one of the sandbox's addresses
  bool gate_is_closed = false;      ///< the start gate still holds
  bool is_invalid = false;          ///< connection tracking cannot place it
  bool from_elsewhere = false;      ///< the source is none of the sandbox's addresses, though a process here sends it
  std::uint32_t mark = 0;           ///< SO_MARK of the socket
  std::string cgroup;               ///< of the sending socket, like Cgroup::path; "": of none
  bool to_excluded_domain = false;  ///< the destination is an address of an excluded domain
  bool proxy_is_down = false;       ///< and has been for longer than open_after
};

enum class Outcome : std::uint8_t {
  direct,
  inbound,
  outbound,
  reset,
  held,
  dropped,
  dns,
  refused
};  ///< inbound/outbound: to that port of the proxy
std::string_view name(Outcome outcome);

struct Judgement {
  Outcome outcome = Outcome::direct;
  Port port = 0;                 ///< of the proxy, for inbound and outbound
  const Step* step = nullptr;    ///< that decided (of the plan given); nullptr: none matched, so direct
  const Step* target = nullptr;  ///< that carries it out, if it is another one: the redirect
  std::string why;
};

/// What the plan does to the packet: the oracle of every backend, and the engine of `explain`.
Judgement judge(const CapturePlan& plan, const Packet& packet);

/// The plan for people: a line per step with match, verdict and why.
std::string to_text(const CapturePlan& plan);

}  // namespace weir::capture
