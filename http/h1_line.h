// SPDX-License-Identifier: Apache-2.0
// Lines of heads and trailers. Private to this room.
#pragma once

#include <cstddef>
#include <string_view>

#include "http/h1.h"

namespace weir::http {

/// One line at the start of the bytes. Only a line whose LF is there is judged, so that the cuts between pieces don't matter.
struct FieldLine {
  enum class Kind { incomplete, field, end, error } kind = Kind::incomplete;
  std::string_view name;
  std::string_view value;
  const char* next = nullptr;    ///< behind the line, if field or end
  const char* detail = nullptr;  ///< if error
};
FieldLine scan_field_line(const char* at, const char* end);

/// Where the fields of a head end, as a ParseResult. `window` is what the limits allow of the bytes.
ParseResult scan_fields(std::string_view bytes, const Limits& limits, HeadProgress& progress, HeaderMap& headers);

/// Moves views into a buffer along with the buffer.
void move_views(HeaderMap& headers, const char* from, const char* to);
std::string_view moved(std::string_view view, const char* from, const char* to);

inline ParseResult parse_error(std::uint16_t status, const char* detail) {
  return {ParseResult::State::error, 0, {status, detail}};
}

}  // namespace weir::http
