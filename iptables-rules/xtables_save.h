// SPDX-License-Identifier: Apache-2.0
// Reads iptables-save. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "iptables-rules/xtables_rules.h"

namespace weir::xtables {

/// Words of a rule, quotes and backslashes undone.
std::vector<std::string> words(std::string_view rule);

/// What is ours in the output of iptables-save. An error (environment) names what we must not touch: a chain of others that leads
/// into one of ours, a table that iptables cannot show.
Result<Tables> read_save(std::string_view text);

}  // namespace weir::xtables
