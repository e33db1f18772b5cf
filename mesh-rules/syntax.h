// SPDX-License-Identifier: Apache-2.0
// Private to the room: texts inside rules that a proxy compiles. One route table holds the rules of many objects, and a proxy
// refuses a table as a whole: a bad text must be found here, or one object would hinder all others. RE2 itself is not this
// room's: tests/fuzz holds this reader against it.
#pragma once

#include <string>
#include <string_view>

namespace weir::mesh {

struct RegexCheck {
  std::string problem;  ///< "" if every proxy takes it
  int groups = 0;       ///< capturing ones
};

/// RE2's syntax, a little narrower (odd forms that RE2 would take are refused too), and not too large for a proxy.
RegexCheck check_regex(std::string_view pattern);

/// Text of a replacement: \0 to \9 up to the number of groups, \\ for a backslash. "" if fine.
std::string check_rewrite(std::string_view text, int groups);

/// A token by RFC 9110, so no blank, no colon.
bool is_header_name(std::string_view name);

/// A header value or an access-log format with Envoy's %OPERATORS%; a bare percent sign is written %%. "" if fine.
std::string check_format(std::string_view text);

/// Zero byte, CR or LF within: never in a header, a path or a host.
bool has_line_break(std::string_view text);

}  // namespace weir::mesh
