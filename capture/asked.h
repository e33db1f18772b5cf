// SPDX-License-Identifier: Apache-2.0
// What was asked, kept beside the rules that were made of it: so that check and explain need not be told the flags again. It
// cannot lie: it stands in rules that check compares like all others, and what it comes to is compared with what stands.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "capture/options.h"
#include "capture/plan.h"

namespace weir::capture {

/// Options by the name of their flag, or of their environment variable if they have no flag.
using AskedOptions = std::map<std::string, std::string>;

/// Those of the given options that the policy would be another without, whether they came as flag or variable; the proxy's uids
/// and gids as numbers, so that they mean the same in another container. parse_options must find no errors in what is given.
AskedOptions asked_options(const std::map<std::string, std::string>& flags, const std::map<std::string, std::string>& environment,
                           const Accounts& accounts);

/// "--istio-inbound-ports=* --proxy-uid=7"; blanks, quotes and unprintable bytes in values as %XX. Empty: the default policy.
std::string to_text(const AskedOptions& asked);
/// The reverse. Errors (usage) name the word that is none of these.
Result<AskedOptions> parse_asked(std::string_view text);
/// What parse_options says of them.
ParseOutcome parse_options(const AskedOptions& asked, const Accounts& accounts);

/// Adds steps to the plan's chain `kept_flags` that keep the text; none if the plan captures nothing. A text of more than 4,000
/// bytes is not kept, and a step says so.
void keep_asked(CapturePlan& plan, std::string_view text);
/// From the comments of the rules of that chain, in order. Errors (environment) say why it cannot be known.
Result<std::string> kept_asked(const std::vector<std::string>& comments);

}  // namespace weir::capture
