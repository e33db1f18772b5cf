// SPDX-License-Identifier: Apache-2.0
#include "capture/plan.h"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "capture/planner.h"

namespace weir::capture {

namespace {

void plan_targets(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  for (auto [chain, port, flag] : {std::tuple{Chain::to_inbound, policy.inbound_port, "--inbound-capture-port"},
                                   std::tuple{Chain::to_outbound, policy.outbound_port, "--envoy-port"}}) {
    planner.add_hold(chain);
    planner.add(chain, {.protocol = Match::Protocol::tcp}, Verdict::redirect, fmt::format("{} {}", flag, port), port);
  }
}

}  // namespace

CapturePlan plan(const CapturePolicy& policy) {
  if (policy.mode == Mode::none) return {.steps = {}, .start_gate = {}, .needs_inbound_source6 = false, .reply_route = {}};
  Planner planner(policy);
  plan_fail_mode(planner);
  plan_guards(planner);
  plan_dns(planner);
  plan_transparent(planner);
  plan_targets(planner);
  plan_inbound(planner);
  plan_outbound(planner);
  plan_quic(planner);
  return std::move(planner).take();
}

bool is_always_there(Chain chain) {
  switch (chain) {
    case Chain::zone_inbound:
    case Chain::zone_outbound:
    case Chain::tracked_inbound:
    case Chain::to_dns:
    case Chain::udp_outbound:
    case Chain::mark_outbound:
    case Chain::transparent_inbound:
    case Chain::to_transparent:
    case Chain::kept_flags: return false;
    default: return true;
  }
}

std::vector<Chain> chains_of(const CapturePlan& plan) {
  std::vector<Chain> chains;
  for (Chain chain : kChains)
    if (is_always_there(chain) ||
        std::any_of(plan.steps.begin(), plan.steps.end(), [&](const Step& step) { return step.chain == chain; }))
      chains.push_back(chain);
  return chains;
}

}  // namespace weir::capture
