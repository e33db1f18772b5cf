// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "iptables-rules/list_difference.h"
#include "iptables-rules/xtables_domains.h"
#include "iptables-rules/xtables_rules.h"
#include "iptables-rules/xtables_save.h"

namespace weir::xtables {

namespace {

/// So many foreign rules in front of one of ours are shown, and the rest counted.
constexpr std::size_t kNamedInFront = 5;

const Table* find_table(const Tables& tables, std::string_view name) {
  for (const Table& table : tables)
    if (table.name == name) return &table;
  return nullptr;
}

const UserChain* find_chain(const Table* table, std::string_view name) {
  if (table != nullptr)
    for (const UserChain& chain : table->chains)
      if (chain.name == name) return &chain;
  return nullptr;
}

void write_table(std::string& text, std::string_view name, const Table* from, const Table* to) {
  static const Table kNothing;
  if (from == nullptr) from = &kNothing;
  if (to == nullptr) to = &kNothing;
  if (from->empty() && to->empty()) return;
  text += fmt::format("*{}\n", name);
  // With --noflush, naming a chain that is there empties it.
  for (const UserChain& chain : to->chains) text += fmt::format(":{} - [0:0]\n", chain.name);
  std::string obsolete;
  for (const UserChain& chain : from->chains) {
    if (find_chain(to, chain.name) != nullptr) continue;
    text += fmt::format(":{} - [0:0]\n", chain.name);
    obsolete += fmt::format("-X {}\n", chain.name);
  }
  for (const Jump& jump : from->jumps) text += fmt::format("-D {} {}\n", jump.chain, jump.rule);
  for (const UserChain& chain : to->chains)
    for (const std::string& rule : chain.rules) text += fmt::format("-A {} {}\n", chain.name, rule);
  for (const Jump& jump : to->jumps) text += fmt::format("-I {} {} {}\n", jump.chain, jump.position, jump.rule);
  text += obsolete + "COMMIT\n";
}

std::string comment_of(const std::string& rule) {
  const std::vector<std::string> all = words(rule);
  for (std::size_t i = 0; i + 1 < all.size(); ++i)
    if (all[i] == "--comment") return all[i + 1];
  return "";
}

std::vector<ListedRule> listed(const UserChain& chain) {
  std::vector<ListedRule> list;
  for (const std::string& rule : chain.rules) list.push_back({canonical(rule), comment_of(rule)});
  return list;
}

void compare_rules(const UserChain& wanted, const UserChain& standing, const std::string& where,
                   std::vector<std::string>& found) {
  for (const ListDifference& difference : list_differences(listed(wanted), listed(standing))) {
    const std::size_t want = difference.wanted + 1, have = difference.standing + 1;
    switch (difference.kind) {
      case ListDifference::Kind::missing:
        found.push_back(
            fmt::format("{}: rule {} is missing: {}; check --repair puts it back", where, want, wanted.rules[want - 1]));
        break;
      case ListDifference::Kind::changed:
        found.push_back(fmt::format("{}: rule {} was changed to: {}; it should be: {}; check --repair puts it right", where, have,
                                    standing.rules[have - 1], wanted.rules[want - 1]));
        break;
      case ListDifference::Kind::misplaced:
        found.push_back(fmt::format("{}: rule {} stands in the wrong place, it should be number {}: {}; check --repair moves it",
                                    where, have, want, wanted.rules[want - 1]));
        break;
      case ListDifference::Kind::surplus:
        found.push_back(fmt::format("{}: rule {} is not of the plan: {}; check --repair takes it away", where, have,
                                    standing.rules[have - 1]));
    }
  }
}

void compare_jumps(const Table& wanted, const Table* standing, const std::string& where, std::vector<std::string>& found) {
  std::vector<Jump> others = standing == nullptr ? std::vector<Jump>() : standing->jumps;
  for (const Jump& jump : wanted.jumps) {
    auto same = std::find_if(others.begin(), others.end(), [&](const Jump& other) {
      return other.chain == jump.chain && canonical(other.rule) == canonical(jump.rule);
    });
    if (same == others.end()) {
      found.push_back(
          fmt::format("{}: the jump from {} is missing: {}; check --repair puts it back", where, jump.chain, jump.rule));
      continue;
    }
    const auto rank = 1 + std::count_if(standing->jumps.begin(), standing->jumps.end(), [&](const Jump& other) {
                        return other.chain == jump.chain && other.position < same->position;
                      });
    if (static_cast<std::size_t>(rank) != jump.position)
      found.push_back(fmt::format("{}: the jumps of {} to our chains stand in another order: {}; check --repair puts it right",
                                  where, jump.chain, jump.rule));
    for (std::size_t i = 0; i < same->in_front.size(); ++i) {
      if (i == kNamedInFront) {
        found.push_back(fmt::format("{}: and {} more of others in front of ours", where, same->in_front.size() - i));
        break;
      }
      found.push_back(fmt::format("{}: a rule of others stands in {} in front of ours and sees packets first: {}", where,
                                  jump.chain, printable(same->in_front[i], 300)));
    }
    others.erase(same);
  }
  for (const Jump& jump : others)
    found.push_back(fmt::format("{}: a jump into our chains is not of the plan: {} {}; check --repair takes it away", where,
                                jump.chain, jump.rule));
}

}  // namespace

std::string transition(const Tables& from, const Tables& to) {
  std::string text;
  for (const Table& table : to) write_table(text, table.name, find_table(from, table.name), &table);
  // What goes altogether goes in the opposite order: captures before guards.
  for (auto table = from.rbegin(); table != from.rend(); ++table)
    if (find_table(to, table->name) == nullptr) write_table(text, table->name, &*table, nullptr);
  return text;
}

namespace {

/// What of a plan stands, for people.
std::string_view state_of(const Tables& tables) {
  if (tables.empty()) return "has nothing of weir";
  // Within a table all changes at once.
  auto has_jumps = [&](std::string_view name) {
    const Table* table = find_table(tables, name);
    return table != nullptr && !table->jumps.empty();
  };
  return has_jumps("filter") && has_jumps("nat") ? "captures" : "captures in part";
}

}  // namespace

std::string torn(const Tables& v4, const Tables& v6) {
  const std::string_view state4 = state_of(v4), state6 = state_of(v6);
  if (state4 == state6 && state4 != "captures in part") return "";
  return fmt::format("IPv4 {}, IPv6 {}: an apply or remove ended between its steps", state4, state6);
}

std::string canonical(std::string_view rule) {
  std::vector<std::string> conditions;
  bool is_negated = false;
  const std::vector<std::string> all = words(rule);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i] == "!") {
      is_negated = true;
    } else if (all[i] == "-m") {
      ++i;
    } else if (all[i] == "--comment" && i + 1 < all.size()) {
      std::string text = all[++i];
      if (text == fmt::format("{}{}", kOwnerMark, kAddedMark)) text = kOwnerMark;
      conditions.push_back("--comment " + text);
    } else if (all[i].starts_with("-") || conditions.empty()) {
      conditions.push_back((is_negated ? "! " : "") + all[i]);
      is_negated = false;
    } else {
      conditions.back() += " " + all[i];
    }
  }
  std::sort(conditions.begin(), conditions.end());
  return join(conditions, "\n");
}

std::vector<std::string> differences(const Tables& wanted, const Tables& standing, Family family) {
  std::vector<std::string> found;
  for (const Table& table : wanted) {
    const std::string where = fmt::format("{}, table {}", to_text(family), table.name);
    const Table* there = find_table(standing, table.name);
    for (const UserChain& chain : table.chains) {
      const UserChain* same = find_chain(there, chain.name);
      if (same == nullptr)
        found.push_back(fmt::format("{}: chain {} is missing, with its rules; check --repair puts it back", where, chain.name));
      else
        compare_rules({.name = chain.name, .rules = lasting_rules(chain)}, {.name = same->name, .rules = lasting_rules(*same)},
                      fmt::format("{}, chain {}", where, chain.name), found);
    }
    compare_jumps(table, there, where, found);
  }
  for (const Table& table : standing) {
    const Table* same = find_table(wanted, table.name);
    const std::string where = fmt::format("{}, table {}", to_text(family), table.name);
    for (const UserChain& chain : table.chains)
      if (find_chain(same, chain.name) == nullptr)
        found.push_back(fmt::format("{}: chain {} is not of the plan; check --repair takes it away", where, chain.name));
    if (same == nullptr) compare_jumps({.name = table.name, .chains = {}, .jumps = {}}, &table, where, found);
  }
  return found;
}

}  // namespace weir::xtables
