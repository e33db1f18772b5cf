// SPDX-License-Identifier: Apache-2.0
// What happens before capture: loop guards, packets that connection tracking cannot place.
#include "capture/planner.h"

namespace weir::capture {

void plan_guards(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  PortSet own;
  own.add(policy.outbound_port);
  own.add(policy.inbound_port);
  planner.add(Chain::guard_inbound,
              {.protocol = Match::Protocol::tcp,
               .syn = Match::Syn::first,
               .not_in_interface = "lo",
               .ports = own,
               .to_this_sandbox = true},
              Verdict::reset, "loop guard: nobody outside may address the proxy's capture ports");
  planner.add(Chain::guard_outbound,
              {.protocol = Match::Protocol::tcp, .syn = Match::Syn::first, .out_interface = "lo", .ports = own}, Verdict::reset,
              "loop guard: no process of the sandbox may address the proxy's capture ports");
  if (!policy.drop_invalid) return;
  planner.add(Chain::tracked_inbound, {.is_invalid = true}, Verdict::drop, "--drop-invalid: connection tracking cannot place it");
}

}  // namespace weir::capture
