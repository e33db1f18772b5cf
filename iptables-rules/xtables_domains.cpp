// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_domains.h"

#include <algorithm>

#include <fmt/format.h>

#include "iptables-rules/xtables_save.h"
#include "iptables-rules/xtables_step.h"

namespace weir::xtables {

namespace {

constexpr std::string_view kDomains = "_DOMAINS";

bool has_addresses(const UserChain& chain) { return std::string_view(chain.name).ends_with(kDomains); }

std::string address_rule(const IpAddr& address) {
  return fmt::format("-d {}/{} {} -j RETURN", address.to_text(), address.is_v4() ? 32 : 128, comment("--exclude-domains"));
}

std::optional<IpAddr> address_of(const std::string& rule) {
  const std::vector<std::string> all = words(rule);
  if (all.size() < 2 || all[0] != "-d") return std::nullopt;
  const auto cidr = Cidr::parse(all[1]);
  if (!cidr || canonical(rule) != canonical(address_rule(cidr->address()))) return std::nullopt;
  return cidr->address();
}

std::vector<IpAddr> addresses_in(const UserChain& chain) {
  std::vector<IpAddr> found;
  for (const std::string& rule : chain.rules)
    if (auto address = address_of(rule)) found.push_back(*address);
  std::sort(found.begin(), found.end());
  return found;
}

/// Text for iptables-restore --noflush that makes the chains of addresses of `from` those of `to`; fails if one is not there any
/// more, or what it leads to.
std::string address_change(const Tables& from, const Tables& to) {
  std::string text;
  for (std::size_t t = 0; t < from.size(); ++t) {
    std::string rules;
    for (std::size_t c = 0; c < from[t].chains.size(); ++c) {
      const UserChain& chain = to[t].chains[c];
      if (!has_addresses(chain) || chain.rules == from[t].chains[c].rules) continue;
      rules += fmt::format("-F {}\n", chain.name);
      for (const std::string& rule : chain.rules) rules += fmt::format("-A {} {}\n", chain.name, rule);
    }
    if (!rules.empty()) text += fmt::format("*{}\n{}COMMIT\n", from[t].name, rules);
  }
  return text;
}

}  // namespace

std::string domain_chain(std::string_view chain) { return fmt::format("{}{}", chain, kDomains); }
std::string rest_chain(std::string_view chain) { return fmt::format("{}_REST", chain); }

std::vector<std::string> lasting_rules(const UserChain& chain) {
  std::vector<std::string> rules = chain.rules;
  if (has_addresses(chain)) std::erase_if(rules, [](const std::string& rule) { return address_of(rule).has_value(); });
  return rules;
}

std::optional<std::vector<IpAddr>> excluded_in(const Tables& tables) {
  std::optional<std::vector<IpAddr>> found;
  for (const Table& table : tables)
    for (const UserChain& chain : table.chains) {
      if (!has_addresses(chain)) continue;
      const std::vector<IpAddr> here = addresses_in(chain);
      if (!found) found = here;
      std::erase_if(*found, [&](const IpAddr& each) { return !std::binary_search(here.begin(), here.end(), each); });
    }
  return found;
}

Tables with_excluded(Tables tables, const std::vector<IpAddr>& addresses, Family family) {
  for (Table& table : tables)
    for (UserChain& chain : table.chains) {
      if (!has_addresses(chain)) continue;
      std::vector<std::string> rules;
      for (const IpAddr& address : addresses)
        if (address.family() == family) rules.push_back(address_rule(address));
      for (std::string& rule : lasting_rules(chain)) rules.push_back(std::move(rule));
      chain.rules = std::move(rules);
    }
  return tables;
}

Result<std::optional<std::vector<IpAddr>>> excluded_addresses(const Programs& programs) {
  std::vector<IpAddr> found;
  for (Family family : kBothFamilies) {
    auto tables = programs.save(family);
    if (!tables) return pass(tables.error(), "reading the addresses of excluded domains");
    const auto here = excluded_in(*tables);
    if (!here) return std::nullopt;
    found.insert(found.end(), here->begin(), here->end());
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<> set_excluded_addresses(const Programs& programs, const std::vector<IpAddr>& addresses) {
  for (Family family : kBothFamilies) {
    auto tables = programs.save(family);
    if (!tables) return pass(tables.error(), "keeping the addresses of excluded domains");
    if (!excluded_in(*tables))
      return fail(ErrorCode::environment,
                  "the chains of excluded domains are not there: run weir-init apply --exclude-domains first");
    const std::string text = address_change(*tables, with_excluded(*tables, addresses, family));
    if (text.empty()) continue;
    if (auto done = programs.restore(family, text); !done) return pass(done.error(), "keeping the addresses of excluded domains");
  }
  return {};
}

}  // namespace weir::xtables
