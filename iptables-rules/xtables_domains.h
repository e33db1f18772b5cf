// SPDX-License-Identifier: Apache-2.0
// Excluded domains by iptables. A chain that asks for them ends with a jump to a chain of their addresses, a rule each, whose
// last rule leads on to the rest of the first; so an address that is met returns past all that would capture it. `weir-init
// watch` changes that one chain.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "iptables-rules/xtables_programs.h"
#include "iptables-rules/xtables_rules.h"

namespace weir::xtables {

/// Of a chain of the plan: the chain of addresses, and that with the steps after it.
std::string domain_chain(std::string_view chain);
std::string rest_chain(std::string_view chain);

/// The chain's rules; without those of addresses if it is a chain of them.
std::vector<std::string> lasting_rules(const UserChain& chain);

/// The addresses that all chains of them have, sorted; nullopt: there is no such chain. Pure.
std::optional<std::vector<IpAddr>> excluded_in(const Tables& tables);
/// With these of its family, and no others, in all chains of addresses. Pure.
Tables with_excluded(Tables tables, const std::vector<IpAddr>& addresses, Family family);

/// What stands in both families, sorted; nullopt: there are no such chains.
Result<std::optional<std::vector<IpAddr>>> excluded_addresses(const Programs& programs);
/// Puts these there: each table of each family at once, all or none of it. Errors (environment): as Programs, or the chains are
/// not there.
Result<> set_excluded_addresses(const Programs& programs, const std::vector<IpAddr>& addresses);

}  // namespace weir::xtables
