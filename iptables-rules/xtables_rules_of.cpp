// SPDX-License-Identifier: Apache-2.0
#include <set>

#include <fmt/format.h>

#include "iptables-rules/xtables_rules.h"
#include "iptables-rules/xtables_save.h"

namespace weir::xtables {

namespace {

std::string comment_of(const std::string& rule) {
  const std::vector<std::string> all = words(rule);
  for (std::size_t i = 0; i + 1 < all.size(); ++i)
    if (all[i] == "--comment") return all[i + 1];
  return "";
}

/// Those with a step's why; with a cgroup its number follows.
std::vector<std::string> rules_with(const capture::CapturePlan& plan, Family family, std::string_view why) {
  std::vector<std::string> found;
  for (const Table& table : compile(plan, family))
    for (const UserChain& chain : table.chains)
      for (const std::string& rule : chain.rules)
        if (const std::string comment = comment_of(rule); comment == why || comment.starts_with(fmt::format("{} (", why)))
          found.push_back(fmt::format("-t {} -A {} {}", table.name, chain.name, rule));
  return found;
}

}  // namespace

std::vector<std::string> rules_of(const capture::CapturePlan& plan, std::size_t step, Family family, std::string_view program) {
  // A rule does not know its step; but its comment is the step's why, and without the step it is not there.
  capture::CapturePlan without = plan;
  without.steps.erase(without.steps.begin() + static_cast<std::ptrdiff_t>(step));
  std::multiset<std::string> others;
  for (std::string& rule : rules_with(without, family, plan.steps.at(step).why)) others.insert(std::move(rule));
  std::vector<std::string> found;
  for (const std::string& rule : rules_with(plan, family, plan.steps.at(step).why))
    if (auto same = others.find(rule); same != others.end())
      others.erase(same);
    else
      found.push_back(fmt::format("{} {}", program, rule));
  return found;
}

std::vector<std::string> kept_comments(const Tables& standing) {
  std::vector<std::string> comments;
  for (const Table& table : standing)
    for (const UserChain& chain : table.chains) {
      if (chain.name != chain_name(capture::Chain::kept_flags)) continue;
      for (const std::string& rule : chain.rules) {
        comments.push_back(comment_of(rule));
      }
    }
  return comments;
}

}  // namespace weir::xtables
