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
  /// While the start gate is closed, what comes by here waits; nothing without a gate.
  void add_hold(Chain chain);
  /// What both directions begin with. Without the second, connections that are older than the rules would be translated in
  /// mid-stream and so reset.
  void add_only_new_tcp(Chain chain);

  void start_gate() { plan_.start_gate = policy_.start_gate; }
  /// As istio-iptables: by the first address of a range, so 127.0.0.0/8 does and 0.0.0.0/0 does not.
  bool includes_loopback() const;

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
void plan_guards(Planner& planner);
void plan_inbound(Planner& planner);
void plan_outbound(Planner& planner);

}  // namespace weir::capture
