// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <netinet/in.h>
#include <linux/netfilter.h>

#include "base/text.h"
#include "iptables-rules/list_difference.h"
#include "iptables-rules/snapshot.h"

namespace weir::nft {

namespace {

std::string wanted_hook(capture::Chain chain) {
  auto hook = hook_of(chain);
  return hook ? hook_text(hook->type, hook->number, hook->priority, NF_ACCEPT) : "";
}

std::string standing_text(const StandingRule& rule) {
  return rule.comment.empty() ? fmt::format("handle {}", rule.handle)
                              : fmt::format("handle {}, comment \"{}\"", rule.handle, printable(rule.comment));
}

/// Sentences about one chain.
class ChainDifference {
 public:
  ChainDifference(std::string_view chain, std::vector<const Rule*> wanted, const std::vector<StandingRule>& standing)
      : chain_(chain), wanted_(std::move(wanted)), standing_(standing) {}

  void find(std::vector<std::string>& out) const {
    std::vector<ListedRule> want, have;
    for (const Rule* rule : wanted_) want.push_back({canonical(*rule), rule->comment});
    for (const StandingRule& rule : standing_) have.push_back({rule.text, rule.comment});
    for (const ListDifference& difference : list_differences(want, have)) out.push_back(sentence(difference));
  }

 private:
  std::string sentence(const ListDifference& difference) const {
    using Kind = ListDifference::Kind;
    if (difference.kind == Kind::surplus) {
      const StandingRule& rule = standing_[difference.standing];
      return fmt::format(
          "chain {}: rule {} is not of the plan ({}); check --repair takes it away, as would: nft delete rule inet {} {} handle "
          "{}",
          chain_, difference.standing + 1, standing_text(rule), kTable, chain_, rule.handle);
    }
    const Rule& rule = *wanted_[difference.wanted];
    const std::string what = fmt::format("`{}` ({})", to_text(rule), rule.comment);
    switch (difference.kind) {
      case Kind::missing:
        return fmt::format("chain {}: rule {} is missing: {}; check --repair puts it back", chain_, difference.wanted + 1, what);
      case Kind::changed:
        return fmt::format("chain {}: rule {} was changed (handle {}), it should be {}; check --repair puts it right", chain_,
                           difference.standing + 1, standing_[difference.standing].handle, what);
      default:
        return fmt::format("chain {}: rule {} stands in the wrong place, it should be number {}: {}; check --repair moves it",
                           chain_, difference.standing + 1, difference.wanted + 1, what);
    }
  }

  std::string_view chain_;
  std::vector<const Rule*> wanted_;
  const std::vector<StandingRule>& standing_;
};

void compare_chains(const Snapshot& snapshot, const std::vector<Rule>& rules, const std::vector<capture::Chain>& chains,
                    std::vector<std::string>& out) {
  static const std::vector<StandingRule> kNone;
  for (capture::Chain chain : chains) {
    const std::string name(capture::name(chain));
    auto found = snapshot.chains.find(name);
    if (found == snapshot.chains.end()) {
      out.push_back(fmt::format("chain {} is missing, with its rules; check --repair puts it back", name));
      continue;
    }
    if (const std::string hook = wanted_hook(chain); found->second != hook)
      out.push_back(
          fmt::format("chain {} hangs at \"{}\" instead of \"{}\" (type, hook, priority, policy); check --repair puts it right",
                      name, found->second, hook));
    std::vector<const Rule*> wanted;
    for (const Rule& rule : rules)
      if (rule.chain == chain) wanted.push_back(&rule);
    auto standing = snapshot.rules.find(name);
    ChainDifference(name, std::move(wanted), standing == snapshot.rules.end() ? kNone : standing->second).find(out);
  }
  for (const auto& [present, hook] : snapshot.chains)
    if (std::none_of(chains.begin(), chains.end(),
                     [&name = present](capture::Chain chain) { return capture::name(chain) == name; }))
      out.push_back(fmt::format("chain {} is not of the plan; check --repair takes it away", present));
}

}  // namespace

std::vector<std::string> differences(const Snapshot& snapshot, const std::vector<Rule>& rules, const capture::CapturePlan& plan) {
  std::vector<std::string> out;
  if (plan.steps.empty()) {
    if (snapshot.is_ours())
      out.push_back(
          fmt::format("the table inet {} is there, but nothing is to be captured; check --repair takes it away", kTable));
    return out;
  }
  if (!snapshot.has_table)
    return {fmt::format("the table inet {} is missing: nothing is captured; check --repair makes it", kTable)};
  if (!snapshot.is_ours())
    return {fmt::format("the table inet {0} is not ours: its comment is not \"{1}\"; take it away: nft delete table inet {0}",
                        kTable, kOwnerMark)};
  if (snapshot.has_holding_set != plan.start_gate.has_value())
    out.push_back(plan.start_gate ? "the start gate's set is missing; check --repair makes it, open"
                                  : "there is a start gate, but none is wanted; check --repair takes it away");
  if (snapshot.has_alive_set != plan.open_after.has_value())
    out.push_back(plan.open_after
                      ? "the set that tells whether the proxy lives is missing; check --repair makes it"
                      : "there is a set that tells whether the proxy lives, but none is wanted; check --repair takes it away");
  if (snapshot.has_domain_sets == plan.excluded_domains.empty())
    out.push_back(snapshot.has_domain_sets
                      ? "there are sets of excluded domains, but none are wanted; check --repair takes them away"
                      : "the sets of excluded domains are missing; check --repair makes them, weir-init watch fills them");
  compare_chains(snapshot, rules, capture::chains_of(plan), out);
  return out;
}

bool has_our_chains(const Snapshot& snapshot) {
  std::size_t ours = 0;
  for (capture::Chain chain : capture::kChains) {
    auto found = snapshot.chains.find(std::string(capture::name(chain)));
    if (found == snapshot.chains.end()) {
      if (capture::is_always_there(chain)) return false;
      continue;
    }
    if (found->second != wanted_hook(chain)) return false;
    ++ours;
  }
  return ours == snapshot.chains.size();
}

}  // namespace weir::nft
