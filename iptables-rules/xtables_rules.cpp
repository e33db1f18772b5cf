// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_rules.h"

#include <algorithm>

#include <fmt/format.h>

namespace weir::xtables {

namespace {

using capture::CapturePlan;
using capture::Chain;
using capture::Match;
using capture::Step;
using capture::Verdict;

/// More rules than this for one step go to a chain of their own.
constexpr std::size_t kLongList = 16;
/// What one `-m multiport` holds; a range counts twice.
constexpr std::size_t kMultiport = 15;

std::string chain_name(Chain chain) {
  std::string name(kChainPrefix);
  for (char c : capture::name(chain)) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

std::string comment(std::string_view text) {
  std::string quoted;
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return fmt::format("-m comment --comment \"{}\"", quoted);
}

void append(std::string& text, std::string_view part) {
  if (part.empty()) return;
  if (!text.empty()) text += ' ';
  text += part;
}

std::string address(const Cidr& cidr) { return fmt::format("{}/{}", cidr.address().to_text(), cidr.prefix()); }

std::string range(const PortRange& range) {
  return range.first == range.last ? std::to_string(range.first) : fmt::format("{}:{}", range.first, range.last);
}

std::vector<Cidr> of_family(const std::vector<Cidr>& list, Family family) {
  std::vector<Cidr> found;
  std::copy_if(list.begin(), list.end(), std::back_inserter(found), [&](const Cidr& cidr) { return cidr.family() == family; });
  return found;
}

bool contains_all(const Cidr& cidr) { return cidr.prefix() == 0; }

/// A step for one family: what every rule of it asks, and the lists of which one entry must hold.
class StepRules {
 public:
  StepRules(const Step& step, Family family) : step_(step), match_(step.match), family_(family) {
    fix();
    add_list(match_.source, "-s");
    add_list(match_.destination, "-d");
    std::vector<std::string> ports;
    for (const PortRange& ports_of : match_.ports.ranges()) ports.push_back("--dport " + range(ports_of));
    if (match_.ports != PortSet::all()) add_alternatives(std::move(ports));
    add_alternatives(owners("uid", match_.uids));
    add_alternatives(owners("gid", match_.gids));
  }

  bool can_match() const { return can_match_; }
  std::size_t size() const {
    std::size_t product = 1;
    for (const auto& list : lists_) product *= list.size();
    return product;
  }
  std::size_t long_lists() const {
    return static_cast<std::size_t>(
        std::count_if(lists_.begin(), lists_.end(), [](const auto& list) { return list.size() > 1; }));
  }
  /// What holds for every rule of the step.
  std::string common() const { return written({}, addresses_, protocol_, rest_); }

  /// Every combination of the lists. With `only_lists` what common() asks is left out.
  std::vector<std::string> combinations(bool only_lists = false) const {
    std::vector<std::string> rules;
    std::vector<std::size_t> at(lists_.size(), 0);
    for (;;) {
      std::vector<std::string> chosen;
      for (std::size_t i = 0; i < lists_.size(); ++i) chosen.push_back(lists_[i][at[i]]);
      // Ports need their protocol in the same rule.
      const bool has_ports = !match_.ports.empty();
      rules.push_back(only_lists ? written(chosen, "", has_ports ? "-p tcp -m tcp" : "", "")
                                 : written(chosen, addresses_, protocol_, rest_));
      std::size_t i = lists_.size();
      while (i > 0 && ++at[i - 1] == lists_[i - 1].size()) at[--i] = 0;
      if (i == 0) return rules;
    }
  }

 private:
  void fix() {
    for (const Cidr& cidr : of_family(match_.not_destination, family_)) append(addresses_, "! -d " + address(cidr));
    if (!match_.in_interface.empty()) append(addresses_, "-i " + match_.in_interface);
    if (!match_.not_in_interface.empty()) append(addresses_, "! -i " + match_.not_in_interface);
    if (!match_.out_interface.empty()) append(addresses_, "-o " + match_.out_interface);
    const bool looks_at_tcp = match_.syn != Match::Syn::any || !match_.ports.empty() || !match_.not_ports.empty();
    if (match_.protocol == Match::Protocol::not_tcp)
      protocol_ = "! -p tcp";
    else if (match_.protocol == Match::Protocol::tcp || looks_at_tcp)
      protocol_ = "-p tcp";
    if (match_.syn != Match::Syn::any || !match_.ports.empty()) append(protocol_, "-m tcp");
    if (match_.syn != Match::Syn::any)
      append(protocol_, match_.syn == Match::Syn::first ? "--tcp-flags SYN,ACK SYN" : "! --tcp-flags SYN,ACK SYN");
    exclude_ports();
    if (match_.to_this_sandbox) append(rest_, "-m addrtype --dst-type LOCAL");
    if (match_.is_invalid) append(rest_, "-m conntrack --ctstate INVALID");
    exclude_owners("uid", match_.not_uids);
    exclude_owners("gid", match_.not_gids);
  }

  void exclude_ports() {
    std::string list;
    std::size_t used = 0;
    auto flush = [&] {
      if (!list.empty()) append(rest_, "-m multiport ! --dports " + list);
      list.clear();
      used = 0;
    };
    for (const PortRange& excluded : match_.not_ports.ranges()) {
      const std::size_t costs = excluded.first == excluded.last ? 1 : 2;
      if (used + costs > kMultiport) flush();
      list += (list.empty() ? "" : ",") + range(excluded);
      used += costs;
    }
    flush();
  }

  /// Socketless packets have no owner at all, neither this nor that: --socket-exists makes iptables say so too.
  void exclude_owners(std::string_view kind, std::vector<std::uint32_t> ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (std::uint32_t id : ids) append(rest_, fmt::format("-m owner --socket-exists ! --{}-owner {}", kind, id));
  }

  static std::vector<std::string> owners(std::string_view kind, std::vector<std::uint32_t> ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    std::vector<std::string> found;
    for (std::uint32_t id : ids) found.push_back(fmt::format("-m owner --{}-owner {}", kind, id));
    return found;
  }

  void add_alternatives(std::vector<std::string> list) {
    if (!list.empty()) lists_.push_back(std::move(list));
  }

  void add_list(const std::vector<Cidr>& list, std::string_view flag) {
    if (list.empty()) return;
    const std::vector<Cidr> mine = of_family(list, family_);
    if (mine.empty()) can_match_ = false;
    if (mine.empty() || std::any_of(mine.begin(), mine.end(), contains_all)) return;
    std::vector<std::string> found;
    for (const Cidr& cidr : mine) found.push_back(fmt::format("{} {}", flag, address(cidr)));
    add_alternatives(std::move(found));
  }

  /// In the order in which iptables-save writes: addresses, interfaces, protocol, matches.
  std::string written(const std::vector<std::string>& chosen, std::string_view addresses, std::string_view protocol,
                      std::string_view rest) const {
    std::string rule;
    for (const std::string& part : chosen)
      if (part.starts_with("-s") || part.starts_with("-d")) append(rule, part);
    append(rule, addresses);
    append(rule, protocol);
    for (const std::string& part : chosen)
      if (part.starts_with("--dport")) append(rule, part);
    append(rule, rest);
    for (const std::string& part : chosen)
      if (part.starts_with("-m owner")) append(rule, part);
    append(rule, comment(step_.why));
    return rule;
  }

  const Step& step_;
  const Match& match_;
  Family family_;
  bool can_match_ = true;
  std::string addresses_, protocol_, rest_;
  std::vector<std::vector<std::string>> lists_;
};

/// One family's tables.
///
/// REJECT works only in table filter, which comes after nat. So a guard stands twice: in nat it leaves the packet as its sender
/// addressed it, and in filter it resets what is addressed to our ports and was not brought there by NAT.
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
  void jump(std::string_view from, Chain to) {
    table_->jumps.push_back(
        {.chain = std::string(from), .rule = fmt::format("{} -j {}", comment(kOwnerMark), chain_name(to)), .position = 1});
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

  void guard(Chain which, std::string_view from) {
    UserChain chain{.name = chain_name(which), .rules = {}};
    for (const Step& step : plan_.steps) {
      if (step.chain != which) continue;
      Step local = step;
      local.match.to_this_sandbox = false;  // all that comes to INPUT is; NAT may have changed the address
      add_step(chain, local, "REJECT --reject-with tcp-reset");
    }
    for (std::string& rule : chain.rules) {
      const auto at = rule.find("-m comment");
      rule.insert(at, "-m conntrack ! --ctstate DNAT ");
    }
    if (chain.rules.empty()) return;
    table_->chains.push_back(std::move(chain));
    jump(from, which);
  }

  void capture(Chain which, std::optional<Chain> guards, std::string_view from) {
    UserChain chain{.name = chain_name(which), .rules = {}};
    for (const Step& step : plan_.steps)
      if (guards && step.chain == *guards) add_step(chain, step, "RETURN");
    for (const Step& step : plan_.steps)
      if (step.chain == which) add_step(chain, step, target(step));
    if (chain.rules.empty()) return;
    table_->chains.push_back(std::move(chain));
    if (!from.empty()) jump(from, which);
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

bool is_known(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass:
    case Verdict::capture_inbound:
    case Verdict::capture_outbound:
    case Verdict::redirect:
    case Verdict::reset:
    case Verdict::drop: return true;
    default: return false;
  }
}

bool is_guard(Chain chain) { return chain == Chain::guard_inbound || chain == Chain::guard_outbound; }

/// Conditions of a step that we render; what is left of a match without them we don't know.
Match without_known(Match match) {
  const Match nothing;
  match.protocol = nothing.protocol;
  match.syn = nothing.syn;
  match.in_interface.clear();
  match.out_interface.clear();
  match.not_in_interface.clear();
  match.source.clear();
  match.destination.clear();
  match.not_destination.clear();
  match.ports = match.not_ports = {};
  match.uids.clear();
  match.not_uids.clear();
  match.gids.clear();
  match.not_gids.clear();
  match.to_this_sandbox = match.is_invalid = false;
  return match;
}

std::string step_problem(const Step& step) {
  const Match& match = step.match;
  if (std::find(std::begin(capture::kChains), std::end(capture::kChains), step.chain) == std::end(capture::kChains))
    return "a chain that this backend does not know";
  if (!is_known(step.verdict)) return fmt::format("the verdict \"{}\"", capture::name(step.verdict));
  if (is_guard(step.chain) != (step.verdict == Verdict::reset))
    return fmt::format("the verdict \"{}\" in {}", capture::name(step.verdict), capture::name(step.chain));
  if (step.verdict == Verdict::drop && step.chain != Chain::tracked_inbound)
    return fmt::format("the verdict \"{}\" in {}", capture::name(step.verdict), capture::name(step.chain));
  if (without_known(match) != Match{}) return "a condition that this backend does not know";
  for (Family family : kBothFamilies) {
    const std::vector<Cidr> excluded = of_family(match.not_destination, family);
    if (excluded.size() > 1) return fmt::format("\"to none of\" several {} ranges", to_text(family));
    if (!excluded.empty() && contains_all(excluded.front())) return "\"not to\" a range of all addresses";
  }
  const bool asks_owner = !(match.uids.empty() && match.not_uids.empty() && match.gids.empty() && match.not_gids.empty());
  if (asks_owner && (step.chain == Chain::inbound || step.chain == Chain::guard_inbound || step.chain == Chain::tracked_inbound))
    return "the owner of a packet that comes in";
  return "";
}

}  // namespace

std::vector<std::string> why_not(const CapturePlan& plan) {
  std::vector<std::string> problems;
  if (plan.start_gate)
    problems.push_back(
        "a start gate (--start-gate): iptables has nothing that the proxy's first packet could open for both "
        "families at once");
  CapturePlan rest = plan;
  rest.steps.clear();
  rest.start_gate.reset();
  rest.needs_inbound_source6 = CapturePlan{}.needs_inbound_source6;
  if (rest != CapturePlan{}) problems.push_back("something in the plan that this backend does not know");
  for (const Step& step : plan.steps) {
    if (plan.start_gate && (step.verdict == Verdict::hold || step.verdict == Verdict::open_gate)) continue;  // said above
    if (std::string problem = step_problem(step); !problem.empty())
      problems.push_back(fmt::format("{} ({}: {})", problem, capture::name(step.chain), step.why));
  }
  return problems;
}

Tables compile(const CapturePlan& plan, Family family) {
  if (plan.steps.empty()) return {};
  return Compiler(plan, family).compile();
}

}  // namespace weir::xtables
