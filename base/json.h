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

/// On one line, for programs. No control character is in it: DEL and C1 are escaped too (see is_control in base/utf8.h).
std::string compact_json(const boost::json::value& value);

/// The same for people: two-space indentation, members in the order in which they were added, a newline at the end.
std::string pretty_json(const boost::json::value& value);

/// `text` as a JSON string literal, quotes included.
std::string json_quote(std::string_view text);

}  // namespace weir
