// SPDX-License-Identifier: Apache-2.0
// How a plan is written: what the planning steps of each concern (plan_*.cpp) share. Within this room only.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "capture/plan.h"

namespace weir::capture {

/// ::1/128: what localhost is in IPv6.
extern const Cidr kLoopback6;

/// The plan as far as it has got. Each concern adds its steps in the order in which they must hold within their chain.
class Planner {
 public:
  explicit Planner(const CapturePolicy& policy) : policy_(policy) {}
  const CapturePolicy& policy() const { return policy_; }
  CapturePlan take() && { return std::move(plan_); }

  void add(Chain chain, Match match, Verdict verdict, std::string why, Port redirect_port = 0);
  /// TCP to one of the ports; nothing if there are none. The why is the flag and the ports.
  void add_ports(Chain chain, const PortSet& ports, Verdict verdict, const std::string& flag);
  /// Where captured connections come by: they wait while the start gate is closed, and pass if there is no proxy and the sandbox
  /// is to be open then. Nothing if neither is asked for.
  void add_hold(Chain chain);
  /// The match for each of the marks by which the proxy's packets are known.
  std::vector<Match> sent_by_proxy(const Match& match) const;
  /// The flag and value for one of those.
  std::string known_by(const Match& match) const;
  /// What both directions begin with. Without the second, connections that are older than the rules would be translated in
  /// mid-stream and so reset.
  void add_only_new_tcp(Chain chain);
  /// The second alone.
  void add_older_tcp(Chain chain);
  /// UDP that matches belongs to this zone of connection tracking.
  void add_zone(Chain chain, Match match, std::uint16_t zone, std::string why);

  /// `verdict`: mark or mark_connection.
  void add_mark(Chain chain, Match match, Verdict verdict, std::uint32_t mark, std::string why);

  void reply_route(const ReplyRoute& route) { plan_.reply_route = route; }
  void fail_mode() {
    plan_.start_gate = policy_.start_gate;
    plan_.open_after = policy_.open_after;
    plan_.excluded_domains = policy_.exclude_domains;
    plan_.block_missing_family = policy_.block_missing_family;
  }
  /// As istio-iptables: by the first address of a range, so 127.0.0.0/8 does and 0.0.0.0/0 does not.
  bool includes_loopback() const;
  /// Inbound connections go to a transparent socket.
  bool is_transparent() const { return policy_.mode == Mode::tproxy && policy_.inbound_ports.kind != Selection::none; }
  bool captures_dns() const { return policy_.dns != Selection::none; }

 private:
  const CapturePolicy& policy_;
  CapturePlan plan_;
};

PortSet only(Port port);
/// An address as the range of itself.
Cidr host(const char* address);
std::string joined(const std::vector<std::uint32_t>& ids);
/// Lists of people may be long: a why stays within what a rule comment can hold.
std::string shortened(std::string text);

// The concerns.
void plan_fail_mode(Planner& planner);
void plan_guards(Planner& planner);
void plan_inbound(Planner& planner);
/// Mode tproxy: whose inbound connections the proxy's transparent socket takes. Nothing in other modes.
void plan_transparent(Planner& planner);
/// Which inbound ports are captured, the same in both modes; what is left is passed.
void add_inbound_ports(Planner& planner, Chain chain, Verdict capture, bool only_to_this_sandbox);
void plan_outbound(Planner& planner);
/// Where captured DNS goes, and the zones that keep the proxy's own queries apart; nothing if DNS is not captured.
void plan_dns(Planner& planner);
void plan_quic(Planner& planner);
/// The proxy, and senders that are excluded.
void pass_senders(Planner& planner, Chain chain);
/// Destinations that are excluded, for the protocol that the chain decides about.
void pass_destinations(Planner& planner, Chain chain, Exclusion::Protocol protocol);
/// Callers from outside that are excluded.
void pass_sources(Planner& planner, Chain chain);
/// The step of `outbound` that captures queries; called where it stands in that chain's order.
void capture_dns(Planner& planner);
/// The same queries, where UDP is looked at before that: they go to the proxy, so they are no way around it.
void pass_captured_dns(Planner& planner, Chain chain);

inline constexpr Port kDnsPort = 53;

}  // namespace weir::capture
