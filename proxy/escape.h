// SPDX-License-Identifier: Apache-2.0
// Values that a client chose, made harmless for the place where they are written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::proxy {

enum class Blanks : std::uint8_t { keep, escape };

/// `"` → `\"`, `\` → `\\`, control and non-ASCII bytes (and blanks, if asked) → \xNN.
void escape_text(std::string& out, std::string_view value, Blanks blanks);
/// The inside of a JSON string. Bytes that are no UTF-8 become U+FFFD.
void escape_json(std::string& out, std::string_view value);
/// Drops CR, LF and NUL.
void escape_header(std::string& out, std::string_view value);
/// Digits only, no leading zero, as every number that we write.
bool is_json_number(std::string_view value);

}  // namespace weir::proxy
