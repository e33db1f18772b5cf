// SPDX-License-Identifier: Apache-2.0
// What the backend cannot express.
#include <algorithm>

#include <fmt/format.h>

#include "iptables-rules/xtables_gate.h"
#include "iptables-rules/xtables_rules.h"
#include "iptables-rules/xtables_step.h"
#include "iptables-rules/xtables_unanswered.h"

namespace weir::xtables {

namespace {

using capture::CapturePlan;
using capture::Chain;
using capture::Match;
using capture::Step;
using capture::Verdict;

bool is_known(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
    case Verdict::capture_inbound:
    case Verdict::capture_outbound:
    case Verdict::redirect:
    case Verdict::reset:
    case Verdict::capture_dns:
    case Verdict::capture_transparent:
    case Verdict::transparent:
    case Verdict::mark:
    case Verdict::mark_connection:
    case Verdict::zone:
    case Verdict::hold:
    case Verdict::open_gate:
    case Verdict::proxy_lives:
    case Verdict::refuse:
    case Verdict::drop: return true;
    default: return false;
  }
}

/// As the planner asks for them: the rest of the chain is for what they do not let pass.
bool is_of_domains(const Step& step) {
  return step.match == Match{.to_excluded_domain = true} && step.verdict == Verdict::pass &&
         (step.chain == Chain::outbound || step.chain == Chain::udp_outbound);
}

/// As xt_cgroup holds it (XT_CGROUP_PATH_MAX of its revision 2), with a zero byte.
constexpr std::size_t kLongestPath = 511;

bool is_guard(Chain chain) { return chain == Chain::guard_inbound || chain == Chain::guard_outbound; }

bool is_zone(Chain chain) { return chain == Chain::zone_inbound || chain == Chain::zone_outbound; }

/// Conditions of a step that we render; what is left of a match without them we don't know.
Match without_known(Match match) {
  const Match nothing;
  match.protocol = nothing.protocol;
  match.syn = nothing.syn;
  match.in_interface.clear();
  match.out_interface.clear();
  match.not_in_interface.clear();
  match.not_out_interface.clear();
  match.cgroup.reset();
  match.source.clear();
  match.destination.clear();
  match.not_destination.clear();
  match.ports = match.not_ports = match.source_ports = {};
  match.uids.clear();
  match.not_uids.clear();
  match.gids.clear();
  match.not_gids.clear();
  match.to_this_sandbox = match.is_invalid = match.from_elsewhere = false;
  match.mark = match.not_mark = match.connection_mark = std::nullopt;
  match.sender_mark.reset();
  match.proxy_is_down = match.to_excluded_domain = false;
  return match;
}

bool leads_to_proxy(Chain chain) {
  return chain == Chain::to_inbound || chain == Chain::to_outbound || chain == Chain::to_dns || chain == Chain::to_transparent;
}

bool has_transparent(const CapturePlan& plan) {
  return std::any_of(plan.steps.begin(), plan.steps.end(), [](const Step& step) { return step.verdict == Verdict::transparent; });
}

/// Does the verdict stand where we know how to write it?
bool is_in_place(const CapturePlan& plan, const Step& step) {
  switch (step.verdict) {
    case Verdict::reset: return is_guard(step.chain) || (step.chain == Chain::to_transparent && has_transparent(plan));
    case Verdict::zone: return is_zone(step.chain);
    case Verdict::mark:
    case Verdict::mark_connection: return step.chain == Chain::mark_outbound;
    case Verdict::capture_transparent: return step.chain == Chain::transparent_inbound;
    case Verdict::transparent: return step.chain == Chain::to_transparent;
    case Verdict::drop: return step.chain == Chain::tracked_inbound || step.chain == Chain::guard_inbound;
    case Verdict::refuse: return step.chain == Chain::guard_outbound || step.chain == Chain::udp_outbound;
    case Verdict::proxy_lives: return plan.open_after && step.chain == Chain::guard_outbound;
    case Verdict::open_gate: return plan.start_gate && step.chain == Chain::guard_outbound;
    case Verdict::hold: return plan.start_gate && step.match == Match{} && leads_to_proxy(step.chain);
    case Verdict::redirect: return leads_to_proxy(step.chain) && step.chain != Chain::to_transparent;
    case Verdict::pass:
      // What only waits or passes while there is no proxy.
      if (leads_to_proxy(step.chain)) return plan.open_after && step.match == Match{.proxy_is_down = true};
      return !is_guard(step.chain) && !is_zone(step.chain);
    default: return !is_guard(step.chain) && !is_zone(step.chain) && !leads_to_proxy(step.chain);
  }
}

std::string step_problem(const CapturePlan& plan, const Step& step) {
  const Match& match = step.match;
  if (std::find(std::begin(capture::kChains), std::end(capture::kChains), step.chain) == std::end(capture::kChains))
    return "a chain that this backend does not know";
  if (!is_known(step.verdict)) return fmt::format("the verdict \"{}\"", capture::name(step.verdict));
  if (!is_in_place(plan, step))
    return fmt::format("the verdict \"{}\" in {}", capture::name(step.verdict), capture::name(step.chain));
  if (without_known(match) != Match{} || (match.proxy_is_down && !plan.open_after))
    return "a condition that this backend does not know";
  if (match.to_excluded_domain && !is_of_domains(step)) return "excluded domains here";
  if (match.cgroup && match.cgroup->path.size() > kLongestPath)
    return fmt::format("a cgroup whose path has more than {} bytes", kLongestPath);
  for (Family family : kBothFamilies) {
    const std::vector<Cidr> excluded = of_family(match.not_destination, family);
    if (excluded.size() > 1) return fmt::format("\"to none of\" several {} ranges", to_text(family));
    if (!excluded.empty() && contains_all(excluded.front())) return "\"not to\" a range of all addresses";
  }
  const bool asks_owner =
      !(match.uids.empty() && match.not_uids.empty() && match.gids.empty() && match.not_gids.empty() && !match.cgroup);
  if (asks_owner &&
      (step.chain == Chain::inbound || step.chain == Chain::guard_inbound || step.chain == Chain::zone_inbound ||
       step.chain == Chain::tracked_inbound || step.chain == Chain::transparent_inbound || step.chain == Chain::to_transparent))
    return "the owner of a packet that comes in";
  return "";
}

}  // namespace

std::vector<std::string> why_not(const CapturePlan& plan) {
  std::vector<std::string> problems;
  if (plan.start_gate && *plan.start_gate > kLongestGate)
    problems.push_back(fmt::format("a start gate of more than {} (--start-gate)", to_text(kLongestGate)));
  if (plan.reply_route && (plan.reply_route->mark == kRefusedMark || plan.reply_route->mark == kTakenMark))
    problems.push_back(fmt::format("the mark {}, which it needs itself (--istio-inbound-tproxy-mark)", plan.reply_route->mark));
  if (plan.open_after && *plan.open_after > kLongestGate)
    problems.push_back(fmt::format("more than {} without a heartbeat (--when-proxy-down=open)", to_text(kLongestGate)));
  CapturePlan rest = plan;
  rest.steps.clear();
  rest.open_after.reset();
  rest.excluded_domains.clear();
  rest.block_missing_family = false;
  rest.start_gate.reset();
  rest.reply_route.reset();
  rest.needs_inbound_source6 = CapturePlan{}.needs_inbound_source6;
  if (rest != CapturePlan{}) problems.push_back("something in the plan that this backend does not know");
  for (const Step& step : plan.steps) {
    if (std::string problem = step_problem(plan, step); !problem.empty())
      problems.push_back(fmt::format("{} ({}: {})", problem, capture::name(step.chain), step.why));
  }
  return problems;
}

}  // namespace weir::xtables
