// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_rules.h"

#include <algorithm>

#include <fmt/format.h>

#include "iptables-rules/xtables_domains.h"
#include "iptables-rules/xtables_gate.h"
#include "iptables-rules/xtables_step.h"
#include "iptables-rules/xtables_unanswered.h"

namespace weir::xtables {

namespace {

using capture::CapturePlan;
using capture::Chain;
using capture::Match;
using capture::Step;
using capture::Verdict;

/// More rules than this for one step go to a chain of their own.
constexpr std::size_t kLongList = 16;

/// One family's tables.
///
/// REJECT works only in table filter, which comes after nat. So a guard stands twice: in nat it leaves the packet as its sender
/// addressed it, and in filter it resets what is addressed to our ports and was not brought there by NAT. DROP does not work in
/// nat either: what the start gate holds is dropped in filter, known by where NAT has just brought it. UDP that is refused was
/// left alone by nat, since of UDP only DNS is captured, and that is not refused.
class Compiler {
 public:
  Compiler(const CapturePlan& plan, Family family) : plan_(plan), family_(family) {}

  Tables compile() {
    Table raw{.name = "raw", .chains = {}, .jumps = {}}, mangle{.name = "mangle", .chains = {}, .jumps = {}},
        filter{.name = "filter", .chains = {}, .jumps = {}}, nat{.name = "nat", .chains = {}, .jumps = {}};
    table_ = &raw;  // before connection tracking
    zones(Chain::zone_inbound, "PREROUTING");
    zones(Chain::zone_outbound, "OUTPUT");
    table_ = &mangle;  // after connection tracking, before NAT
    capture(Chain::tracked_inbound, {}, "PREROUTING");
    transparent();
    capture(Chain::transparent_inbound, Chain::guard_inbound, "PREROUTING");
    capture(Chain::mark_outbound, {}, "OUTPUT");
    answering();
    table_ = &filter;
    guard(Chain::guard_inbound, chain_name(Chain::guard_inbound), "INPUT");
    guard(Chain::guard_inbound, std::string(kChainPrefix) + "GUARD_FORWARD", "FORWARD");
    guard(Chain::guard_outbound, chain_name(Chain::guard_outbound), "OUTPUT");
    hold();
    capture(Chain::udp_outbound, {}, "OUTPUT");
    table_ = &nat;
    capture(Chain::to_inbound, {}, "");
    capture(Chain::to_outbound, {}, "");
    capture(Chain::to_dns, {}, "");
    capture(Chain::inbound, Chain::guard_inbound, "PREROUTING");
    capture(Chain::outbound, Chain::guard_outbound, "OUTPUT");
    capture(Chain::kept_flags, {}, "");
    Tables tables;
    for (Table* table : {&raw, &mangle, &filter, &nat})
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

  StepRules rules_for(const Step& step) const {
    return {step, family_, step.match.proxy_is_down ? proxy_is_down(family_, *plan_.open_after) : std::string()};
  }

  /// Chains of lists come before the chain that leads to them.
  void add_step(UserChain& chain, const Step& step, std::string_view target) {
    const StepRules rules = rules_for(step);
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
    const StepRules rules = rules_for(step);
    return rules.can_match() ? rules.combinations() : std::vector<std::string>();
  }

  /// A step of a guard as rules of filter.
  void add_guard(UserChain& chain, const Step& step) const {
    for (const std::string& rule : rules_of(step)) switch (step.verdict) {
        case Verdict::open_gate: chain.rules.push_back(with_condition(rule, gate_opens(family_))); break;
        case Verdict::proxy_lives: chain.rules.push_back(with_condition(rule, proxy_lives(family_))); break;
        case Verdict::reset:
          chain.rules.push_back(with_condition(rule, "-m conntrack ! --ctstate DNAT") + " -j " + target(step));
          break;
        default: chain.rules.push_back(rule + " -j " + target(step));
      }
  }

  void guard(Chain which, std::string name, std::string_view from) {
    UserChain chain{.name = std::move(name), .rules = {}};
    for (Step step : plan_.steps) {
      if (step.chain != which) continue;
      if (from == "FORWARD" && step.match.to_this_sandbox) continue;
      step.match.to_this_sandbox = false;  // all that comes to INPUT is; NAT may have changed the address
      add_guard(chain, step);
    }
    if (const Step* refused = unanswered(); refused != nullptr && from == "INPUT")
      chain.rules.push_back(with_condition(StepRules(*refused, family_).common(), is_refused()) +
                            " -j REJECT --reject-with tcp-reset");
    if (chain.rules.empty()) return;
    jump(from, chain.name);
    table_->chains.push_back(std::move(chain));
  }

  /// The reset for connections that no transparent socket takes.
  const Step* unanswered() const {
    for (const Step& step : plan_.steps)
      if (step.chain == Chain::to_transparent && step.verdict == Verdict::reset) return &step;
    return nullptr;
  }

  /// TPROXY drops what no transparent socket takes, and nothing can be asked for such a socket before. But whoever is dropped
  /// sends its SYN again after a second: where no connection has been answered for two, a SYN that comes twice within them is
  /// refused, in filter, where REJECT works. A proxy that answers is not asked, and one that was idle gets the first SYN.
  void transparent() {
    UserChain chain{.name = chain_name(Chain::to_transparent), .rules = {}};
    for (const Step& step : plan_.steps) {
      if (step.chain != Chain::to_transparent) continue;
      const std::string common = StepRules(step, family_).common();
      if (step.verdict == Verdict::hold)
        chain.rules.push_back(with_condition(common, gate_holds(family_, *plan_.start_gate)) + " -j DROP");
      if (step.verdict == Verdict::pass)
        for (const std::string& rule : rules_of(step)) chain.rules.push_back(rule + " -j RETURN");
      if (step.verdict != Verdict::transparent) continue;
      if (const Step* refused = unanswered(); refused != nullptr) {
        const std::string why = StepRules(*refused, family_).common();
        chain.rules.push_back(with_condition(why, came_twice(family_)) +
                              fmt::format(" -j MARK --set-xmark {:#x}/0xffffffff", kRefusedMark));
        chain.rules.push_back(with_condition(why, is_refused()) + " -j RETURN");
        chain.rules.push_back(common + fmt::format(" -j CONNMARK --set-xmark {:#x}/0xffffffff", kTakenMark));
      }
      chain.rules.push_back(fmt::format("{} -j TPROXY --on-port {} --on-ip {} --tproxy-mark 0x0/0x0", common, step.redirect_port,
                                        family_ == Family::v4 ? "0.0.0.0" : "::"));
    }
    if (!chain.rules.empty()) table_->chains.push_back(std::move(chain));
  }

  /// Notes that the proxy answers.
  void answering() {
    const Step* refused = unanswered();
    if (refused == nullptr) return;
    UserChain chain{.name = std::string(kChainPrefix) + "ANSWERING", .rules = {}};
    chain.rules.push_back(
        fmt::format("-p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK {} {} {}", is_taken(), answers(family_), comment(refused->why)));
    jump("OUTPUT", chain.name);
    table_->chains.push_back(std::move(chain));
  }

  /// A packet that has a zone keeps it, whatever rules of CT come after.
  void zones(Chain which, std::string_view from) {
    UserChain chain{.name = chain_name(which), .rules = {}};
    for (const Step& step : plan_.steps)
      if (step.chain == which && step.verdict == Verdict::zone)
        for (const std::string& rule : rules_of(step)) chain.rules.push_back(fmt::format("{} -j CT --zone {}", rule, step.zone));
    if (chain.rules.empty()) return;
    jump(from, chain.name);
    table_->chains.push_back(std::move(chain));
  }

  void hold() {
    UserChain chain{.name = std::string(kChainPrefix) + "HOLD", .rules = {}};
    for (const Step& step : plan_.steps) {
      if (step.verdict != Verdict::hold || step.chain == Chain::to_transparent) continue;
      for (const Step& next : plan_.steps)
        if (next.chain == step.chain && next.verdict == Verdict::redirect)
          chain.rules.push_back(fmt::format("{} -m conntrack --ctstate DNAT {} {} -j DROP", first_packet(next),
                                            gate_holds(family_, *plan_.start_gate), comment(step.why)));
    }
    if (chain.rules.empty()) return;
    for (const char* from : {"INPUT", "OUTPUT"}) jump(from, chain.name);
    table_->chains.push_back(std::move(chain));
  }

  /// As NAT has just made it.
  static std::string first_packet(const Step& redirect) {
    if (redirect.match.protocol == Match::Protocol::udp)
      return fmt::format("-p udp -m udp --dport {} -m conntrack --ctstate NEW", redirect.redirect_port);
    return fmt::format("-p tcp -m tcp --dport {} --tcp-flags SYN,ACK SYN", redirect.redirect_port);
  }

  static std::string with_condition(std::string rule, std::string_view condition) {
    return rule.insert(rule.find("-m comment"), std::string(condition) + " ");
  }

  void capture(Chain which, std::optional<Chain> guards, std::string_view from) {
    if (std::none_of(plan_.steps.begin(), plan_.steps.end(), [&](const Step& step) { return step.chain == which; })) return;
    UserChain chain{.name = chain_name(which), .rules = {}};
    for (const Step& step : plan_.steps)
      if (guards && step.chain == *guards && is_refusal(step.verdict)) add_step(chain, step, "RETURN");
    for (const Step& step : plan_.steps) {
      if (step.chain != which) continue;
      if (step.match.to_excluded_domain)
        add_domains(chain, chain_name(which), step);
      else if (step.verdict == Verdict::hold)
        add_held(chain, step);
      else
        add_step(chain, step, target(step));
    }
    // A chain of addresses leads to its rest even where nothing of that family is left to do.
    if (chain.rules.empty() && chain.name == chain_name(which)) return;
    if (!from.empty()) jump(from, chain_name(which));
    table_->chains.push_back(std::move(chain));
  }

  static bool is_refusal(Verdict verdict) {
    return verdict == Verdict::reset || verdict == Verdict::refuse || verdict == Verdict::drop;
  }

  /// Goes on with the rest of the chain behind the addresses.
  void add_domains(UserChain& chain, const std::string& name, const Step& step) {
    chain.rules.push_back(fmt::format("{} -j {}", comment(step.why), domain_chain(name)));
    table_->chains.push_back(std::move(chain));
    table_->chains.push_back(
        {.name = domain_chain(name), .rules = {fmt::format("{} -j {}", comment(step.why), rest_chain(name))}});
    chain = {.name = rest_chain(name), .rules = {}};
  }

  /// What waits is redirected, to be dropped in filter. Only where the next step would let it pass: it has no proxy yet.
  void add_held(UserChain& chain, const Step& held) {
    if (!plan_.open_after) return;
    for (Step next : plan_.steps) {
      if (next.chain != held.chain || next.verdict != Verdict::redirect) continue;
      next.why = held.why;
      for (const std::string& rule : rules_of(next))
        chain.rules.push_back(with_condition(rule, gate_holds(family_, *plan_.start_gate)) + " -j " + target(next));
    }
  }

  std::string target(const Step& step) const {
    switch (step.verdict) {
      case Verdict::reset: return "REJECT --reject-with tcp-reset";
      case Verdict::refuse:
        return fmt::format("REJECT --reject-with {}-port-unreachable", family_ == Family::v4 ? "icmp" : "icmp6");
      case Verdict::capture_inbound: return chain_name(Chain::to_inbound);
      case Verdict::capture_outbound: return chain_name(Chain::to_outbound);
      case Verdict::capture_dns: return chain_name(Chain::to_dns);
      case Verdict::capture_transparent: return chain_name(Chain::to_transparent);
      case Verdict::mark: return fmt::format("MARK --set-xmark {:#x}/0xffffffff", step.mark);
      case Verdict::mark_connection: return fmt::format("CONNMARK --set-xmark {:#x}/0xffffffff", step.mark);
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

std::string chain_name(Chain chain) {
  std::string name(kChainPrefix);
  for (char c : capture::name(chain)) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

Tables compile(const CapturePlan& plan, Family family) {
  if (plan.steps.empty()) return {};
  return Compiler(plan, family).compile();
}

}  // namespace weir::xtables
