// SPDX-License-Identifier: Apache-2.0
// Small text helpers, all pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

/// Splits at every separator; keeps empty parts ("a,,b" has three).
std::vector<std::string_view> split(std::string_view text, char separator);
/// Cuts blanks (space, tab, CR, LF) at both ends.
std::string_view trim(std::string_view text);
/// Decimal digits only (no sign, no blank), in [0, max]; otherwise nullopt.
std::optional<std::uint64_t> parse_uint(std::string_view text, std::uint64_t max = UINT64_MAX);
/// ASCII only; never the locale.
char to_lower(char c);
std::string to_lower(std::string_view text);
bool equals_ignore_case(std::string_view a, std::string_view b);
/// Joins with a separator.
std::string join(const std::vector<std::string>& parts, std::string_view separator);
/// For messages: bytes outside printable ASCII as \xNN, cut after `limit` bytes with "…".
std::string printable(std::string_view text, std::size_t limit = 120);
/// The candidate nearest to `word` (edit distance at most 3 and less than half its length); empty if none. For "did you mean".
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace weir
