// SPDX-License-Identifier: Apache-2.0
// UTF-8 that others wrote, looked at before it is kept or shown.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace weir {

/// Bytes of the sequence at the start of `bytes` (RFC 3629: shortest form, no surrogates); 0 if there is none.
std::size_t utf8_length(std::string_view bytes);

bool is_utf8(std::string_view text);

/// A control character of ISO 6429 in UTF-8: C0 (U+0000 to U+001F), DEL or C1 (U+0080 to U+009F, of which a terminal takes U+009B
/// as it takes ESC [). `sequence`: one, as utf8_length() measures it.
bool is_control(std::string_view sequence);

/// The text as it may be shown: control characters, and bytes that are no UTF-8, are written \xNN a byte, so that what was read
/// neither begins another line nor commands the terminal.
std::string without_controls(std::string_view text);

}  // namespace weir
