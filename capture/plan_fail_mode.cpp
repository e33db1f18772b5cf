// SPDX-License-Identifier: Apache-2.0
// Before the proxy has come and after it has gone: the start gate, and what becomes of captured connections without a proxy.
#include "capture/planner.h"

#include <fmt/format.h>

namespace weir::capture {

namespace {

/// What weir-proxy sends each half second (proxy/heartbeat.h).
Match heartbeat() { return {.protocol = Match::Protocol::udp, .out_interface = "lo", .ports = only(well_known::kHeartbeatPort)}; }

}  // namespace

void plan_fail_mode(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  planner.fail_mode();
  if (policy.open_after)
    for (const Match& match : planner.sent_by_proxy(heartbeat()))
      planner.add(
          Chain::guard_outbound, match, Verdict::proxy_lives,
          fmt::format("--when-proxy-down=open: a heartbeat of the proxy, good for {}", weir::to_text(*policy.open_after)));
  if (!policy.start_gate) return;
  // Opened by any packet, the gate of a sandbox that is open without a proxy would let pass what comes before the heartbeat.
  for (const Match& match : planner.sent_by_proxy(policy.open_after ? heartbeat() : Match{}))
    planner.add(Chain::guard_outbound, match, Verdict::open_gate,
                policy.open_after ? "--start-gate: the proxy's first heartbeat opens the gate for good"
                                  : "--start-gate: the first packet of the proxy's uid (--proxy-uid) opens the gate for good");
}

void Planner::add_hold(Chain chain) {
  if (policy_.start_gate)
    add(chain, {}, Verdict::hold,
        fmt::format("--start-gate: wait up to {} for the proxy's first packet", weir::to_text(*policy_.start_gate)));
  if (policy_.open_after)
    add(chain, {.proxy_is_down = true}, Verdict::pass,
        fmt::format("--when-proxy-down=open: no heartbeat of the proxy for {}", weir::to_text(*policy_.open_after)));
}

}  // namespace weir::capture
