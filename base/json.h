// SPDX-License-Identifier: Apache-2.0
// Thin helpers over Boost.JSON: errors as values, pretty printing for people.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/fwd.hpp>

#include "base/result.h"

namespace weir {

/// Parses one document; the error (usage) names line, column and cause. Depth is limited to 64.
Result<boost::json::value> parse_json(std::string_view text);

/// Two-space indentation, members in the order in which they were added, a newline at the end.
std::string pretty_json(const boost::json::value& value);

/// `text` as a JSON string literal, quotes included.
std::string json_quote(std::string_view text);

}  // namespace weir
