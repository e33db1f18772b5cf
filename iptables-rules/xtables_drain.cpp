// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_drain.h"

#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "iptables-rules/xtables_save.h"

namespace weir::xtables {

namespace {

constexpr std::string_view kDrainChain = "WEIR_DRAINING";

const UserChain* drain_chain(const Tables& tables) {
  for (const Table& table : tables)
    for (const UserChain& chain : table.chains)
      if (table.name == "nat" && chain.name == kDrainChain && chain.rules.size() == 1) return &chain;
  return nullptr;
}

}  // namespace

std::vector<Port> redirect_ports(const Tables& tables) {
  std::set<Port> ports;
  for (const Table& table : tables)
    for (const UserChain& chain : table.chains)
      for (const std::string& rule : chain.rules) {
        const std::vector<std::string> all = words(rule);
        for (std::size_t i = 0; i + 1 < all.size(); ++i)
          if (all[i] == "--to-ports")
            if (auto port = parse_uint(all[i + 1], UINT16_MAX)) ports.insert(static_cast<Port>(*port));
      }
  return {ports.begin(), ports.end()};
}

Tables drain_tables(const capture::Drain& drain, const std::string& owner) {
  return {{.name = "nat",
           .chains = {{.name = std::string(kDrainChain),
                       .rules = {fmt::format("-m conntrack --ctstate DNAT -m comment --comment \"{}, {}\" -j RETURN", owner,
                                             capture::drain_mark(drain))}}},
           .jumps = {}}};
}

std::optional<capture::Drain> drain_in(const Tables& tables) {
  const UserChain* chain = drain_chain(tables);
  if (chain == nullptr || tables.size() != 1 || tables[0].chains.size() != 1 || !tables[0].jumps.empty()) return std::nullopt;
  return capture::find_drain(chain->rules[0]);
}

std::string drain_comment(const Tables& tables) {
  const UserChain* chain = drain_chain(tables);
  return chain == nullptr ? "" : chain->rules[0];
}

std::string ending(const Tables& tables) {
  const UserChain* chain = drain_chain(tables);
  if (chain == nullptr) return "";
  return fmt::format("*nat\n-D {0} {1}\n-X {0}\nCOMMIT\n", kDrainChain, chain->rules[0]);
}

}  // namespace weir::xtables
