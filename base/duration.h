// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

using Nanoseconds = std::chrono::nanoseconds;

/// Parses a duration as Go and Istio write it: "1h30m", "1.5s", "250ms", "0s" (units h, m, s, ms, us, ns; no sign, no blank).
/// Errors (usage) name the text and show a right form. Limit: 2^63 ns, about 292 years.
Result<Nanoseconds> parse_duration(std::string_view text);

/// Shortest exact form: "1h30m", "1.5s", "250ms", "0s".
std::string to_text(Nanoseconds duration);

}  // namespace weir
