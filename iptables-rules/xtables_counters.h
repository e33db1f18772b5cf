// SPDX-License-Identifier: Apache-2.0
// How often each rule of ours was met: iptables counts by itself.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "iptables-rules/xtables_programs.h"
#include "iptables-rules/xtables_rules.h"

namespace weir::xtables {

/// Rule ("-t nat -A WEIR_OUTBOUND …", canonical) → packets. Rules that are there twice are counted together.
using Counters = std::map<std::string, std::uint64_t>;

/// What `iptables-save -c` says of chains of ours.
Counters read_counters(std::string_view saved);
/// Runs it.
Result<Counters> counters(Variant variant, Family family, const Runner& run = limited_runner());
/// The key of a rule as rules_of() writes it, with or without the program's name.
std::string counter_key(std::string_view table, std::string_view chain, std::string_view rule);

/// The rules of the plan (as rules_of() writes them) whose counters have grown; those that are not of the plan as iptables-save
/// writes them.
std::vector<std::string> met_between(const Counters& before, const Counters& after, const capture::CapturePlan& plan,
                                     Family family, Variant variant);

}  // namespace weir::xtables
