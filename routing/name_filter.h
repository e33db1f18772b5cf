// SPDX-License-Identifier: Apache-2.0
// A regular expression that somebody gives to choose by name, in an admin request say.
#pragma once

#include <functional>
#include <string_view>

#include "base/result.h"

namespace weir::routing {

/// RE2's syntax; `full`: the whole name must match, else a part. An empty expression takes every name. Its cost is linear in the
/// name and its memory bounded. Errors (usage) say what is wrong with the expression; at most 512 bytes.
Result<std::function<bool(std::string_view)>> compile_name_filter(std::string_view expression, bool full);

}  // namespace weir::routing
