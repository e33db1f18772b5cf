// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_rules.h"

#include <algorithm>

#include <fmt/format.h>

#include "iptables-rules/xtables_gate.h"
#include "iptables-rules/xtables_step.h"

namespace weir::xtables {

namespace {

using capture::CapturePlan;
using capture::Chain;
using capture::Match;
using capture::Step;
using capture::Verdict;

/// More rules than this for one step go to a chain of their own.
constexpr std::size_t kLongList = 16;

std::string chain_name(Chain chain) {
  std::string name(kChainPrefix);
  for (char c : capture::name(chain)) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

/// One family's tables.
///
/// REJECT works only in table filter, which comes after nat. So a guard stands twice: in nat it leaves the packet as its sender
/// addressed it, and in filter it resets what is addressed to our ports and was not brought there by NAT. DROP does not work in
/// nat either: what the start gate holds is dropped in filter, known by where NAT has just brought it.
class Compiler {
 public:
  Compiler(const CapturePlan& plan, Family family) : plan_(plan), family_(family) {}

  Tables compile() {
    Table mangle{.name = "mangle", .chains = {}, .jumps = {}}, filter{.name = "filter", .chains = {}, .jumps = {}},
        nat{.name = "nat", .chains = {}, .jumps = {}};
    table_ = &mangle;  // after connection tracking, before NAT
    capture(Chain::tracked_inbound, {}, "PREROUTING");
    table_ = &filter;
    guard(Chain::guard_inbound, "INPUT");
    guard(Chain::guard_outbound, "OUTPUT");
    hold();
    table_ = &nat;
    capture(Chain::to_inbound, {}, "");
    capture(Chain::to_outbound, {}, "");
    capture(Chain::inbound, Chain::guard_inbound, "PREROUTING");
    capture(Chain::outbound, Chain::guard_outbound, "OUTPUT");
    Tables tables;
    for (Table* table : {&mangle, &filter, &nat})
      if (!table->empty()) tables.push_back(std::move(*table));
    return tables;
  }

 private:
  void jump(std::string_view from, std::string_view to) {
    const auto before = std::count_if(table_->jumps.begin(), table_->jumps.end(), [&](const Jump& j) { return j.chain == from; });
    table_->jumps.push_back({.chain = std::string(from),
                             .rule = fmt::format("{} -j {}", comment(kOwnerMark), to),
                             .position = static_cast<std::size_t>(before) + 1});
  }

  /// Chains of lists come before the chain that leads to them.
  void add_step(UserChain& chain, const Step& step, std::string_view target) {
    const StepRules rules(step, family_);
    if (!rules.can_match()) return;
    const bool is_final = target != "RETURN";  // RETURN from a chain of its own would only come back here
    if (is_final && (rules.size() > kLongList || rules.long_lists() > 1)) {
      UserChain list{.name = fmt::format("{}_{}", chain.name, chain.rules.size() + 1), .rules = {}};
      for (const std::string& rule : rules.combinations(true)) list.rules.push_back(fmt::format("{} -j {}", rule, target));
      chain.rules.push_back(fmt::format("{} -j {}", rules.common(), list.name));
      table_->chains.push_back(std::move(list));
      return;
    }
    for (const std::string& rule : rules.combinations()) chain.rules.push_back(fmt::format("{} -j {}", rule, target));
  }

  std::vector<std::string> rules_of(const Step& step) const {
    const StepRules rules(step, family_);
    return rules.can_match() ? rules.combinations() : std::vector<std::string>();
  }

  void guard(Chain which, std::string_view from) {
    UserChain chain{.name = chain_name(which), .rules = {}};
    for (const Step& step : plan_.steps) {
      if (step.chain != which) continue;
      if (step.verdict == Verdict::open_gate) {
        for (const std::string& rule : rules_of(step)) chain.rules.push_back(with_condition(rule, gate_opens(family_)));
        continue;
      }
      Step local = step;
      local.match.to_this_sandbox = false;  // all that comes to INPUT is; NAT may have changed the address
      for (const std::string& rule : rules_of(local))
        chain.rules.push_back(with_condition(rule, "-m conntrack ! --ctstate DNAT") + " -j REJECT --reject-with tcp-reset");
    }
    if (chain.rules.empty()) return;
    jump(from, chain.name);
    table_->chains.push_back(std::move(chain));
  }

  void hold() {
    UserChain chain{.name = std::string(kChainPrefix) + "HOLD", .rules = {}};
    for (const Step& step : plan_.steps) {
      if (step.verdict != Verdict::hold) continue;
      for (const Step& next : plan_.steps)
        if (next.chain == step.chain && next.verdict == Verdict::redirect)
          chain.rules.push_back(
              fmt::format("-p tcp -m tcp --dport {} --tcp-flags SYN,ACK SYN -m conntrack --ctstate DNAT {} {} -j DROP",
                          next.redirect_port, gate_holds(family_, *plan_.start_gate), comment(step.why)));
    }
    if (chain.rules.empty()) return;
    for (const char* from : {"INPUT", "OUTPUT"}) jump(from, chain.name);
    table_->chains.push_back(std::move(chain));
  }

  static std::string with_condition(std::string rule, std::string_view condition) {
    return rule.insert(rule.find("-m comment"), std::string(condition) + " ");
  }

  void capture(Chain which, std::optional<Chain> guards, std::string_view from) {
    UserChain chain{.name = chain_name(which), .rules = {}};
    for (const Step& step : plan_.steps)
      if (guards && step.chain == *guards && step.verdict == Verdict::reset) add_step(chain, step, "RETURN");
    for (const Step& step : plan_.steps)
      if (step.chain == which && step.verdict != Verdict::hold) add_step(chain, step, target(step));
    if (chain.rules.empty()) return;
    if (!from.empty()) jump(from, chain.name);
    table_->chains.push_back(std::move(chain));
  }

  static std::string target(const Step& step) {
    switch (step.verdict) {
      case Verdict::capture_inbound: return chain_name(Chain::to_inbound);
      case Verdict::capture_outbound: return chain_name(Chain::to_outbound);
      case Verdict::drop: return "DROP";
      case Verdict::redirect: return fmt::format("REDIRECT --to-ports {}", step.redirect_port);
      default: return "RETURN";
    }
  }

  const CapturePlan& plan_;
  Family family_;
  Table* table_ = nullptr;
};

}  // namespace

Tables compile(const CapturePlan& plan, Family family) {
  if (plan.steps.empty()) return {};
  return Compiler(plan, family).compile();
}

}  // namespace weir::xtables
