// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_counters.h"

#include <fmt/format.h>

#include "base/text.h"

namespace weir::xtables {

std::string program_of(Variant variant, Family family) {
  return fmt::format("ip{}tables-{}", family == Family::v4 ? "" : "6", variant == Variant::legacy ? "legacy" : "nft");
}

std::string counter_key(std::string_view table, std::string_view chain, std::string_view rule) {
  return fmt::format("-t {} -A {} {}", table, chain, canonical(rule));
}

Counters read_counters(std::string_view saved) {
  Counters found;
  std::string table;
  for (std::string_view line : split(saved, '\n')) {
    if (line.starts_with("*")) table = trim(line.substr(1));
    // [12:720] -A WEIR_OUTBOUND -p tcp -j RETURN
    const auto colon = line.find(':'), append = line.find("] -A ");
    if (!line.starts_with("[") || colon == std::string_view::npos || append == std::string_view::npos) continue;
    const std::string_view rest = line.substr(append + 5);
    const auto blank = std::min(rest.find(' '), rest.size());
    if (!rest.starts_with(kChainPrefix)) continue;
    found[counter_key(table, rest.substr(0, blank), rest.substr(blank))] += parse_uint(line.substr(1, colon - 1)).value_or(0);
  }
  return found;
}

Result<Counters> counters(Variant variant, Family family, const Runner& run) {
  auto saved = run({program_of(variant, family) + "-save", "-c"}, "", {});
  if (!saved) return pass(saved.error());
  if (saved->exit_code != 0)
    return fail(ErrorCode::environment, "{}-save -c: {}", program_of(variant, family), printable(trim(saved->err), 300));
  return read_counters(saved->out);
}

std::vector<std::string> met_between(const Counters& before, const Counters& after, const capture::CapturePlan& plan,
                                     Family family, Variant variant) {
  std::map<std::string, std::string> planned;
  for (const Table& table : compile(plan, family))
    for (const UserChain& chain : table.chains)
      for (const std::string& rule : chain.rules)
        planned[counter_key(table.name, chain.name, rule)] =
            fmt::format("{} -t {} -A {} {}", program_of(variant, family), table.name, chain.name, rule);
  std::vector<std::string> met;
  for (const auto& [rule, packets] : after) {
    auto same = before.find(rule);
    if (same != before.end() && same->second >= packets) continue;
    if (packets == 0) continue;
    auto known = planned.find(rule);
    met.push_back(known != planned.end() ? known->second : fmt::format("a rule that is not of the plan: {}", rule));
  }
  return met;
}

}  // namespace weir::xtables
