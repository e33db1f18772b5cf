// SPDX-License-Identifier: Apache-2.0
// An IP family that the sandbox has, but that cannot be programmed there: cut off, so that it is no way around the proxy.
#include "capture/plan.h"

#include <fmt/format.h>

namespace weir::capture {

CapturePlan with_blocked(CapturePlan plan, Family family) {
  using Protocol = Match::Protocol;
  const std::string why =
      fmt::format("--on-missing-family=block: {} cannot be captured here, so it may not pass by", to_text(family));
  std::vector<Step> steps;
  // Connections that are older than the rules stay as they are, as with capture; and the resets must get out.
  auto add = [&](Chain chain, Protocol protocol, Verdict verdict) {
    Match match{.protocol = protocol, .destination = {Cidr::everything(family)}};
    if (protocol == Protocol::tcp) match.syn = Match::Syn::first;
    (chain == Chain::guard_inbound ? match.not_in_interface : match.not_out_interface) = "lo";
    steps.push_back({.chain = chain, .match = std::move(match), .verdict = verdict, .why = why});
  };
  add(Chain::guard_inbound, Protocol::tcp, Verdict::reset);
  add(Chain::guard_inbound, Protocol::not_tcp, Verdict::drop);
  add(Chain::guard_outbound, Protocol::tcp, Verdict::reset);
  add(Chain::guard_outbound, Protocol::not_tcp, Verdict::refuse);
  plan.steps.insert(plan.steps.begin(), steps.begin(), steps.end());
  return plan;
}

}  // namespace weir::capture
