// SPDX-License-Identifier: Apache-2.0
// Character classes and the two scans that a head's parsing time goes into. Private to this room.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace weir::http {

using CharClass = std::array<bool, 256>;

constexpr CharClass make_class(std::string_view extra) {
  CharClass members{};
  for (int c = '0'; c <= '9'; ++c) members[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) members[static_cast<std::size_t>(c)] = members[static_cast<std::size_t>(c - 32)] = true;
  for (char c : extra) members[static_cast<unsigned char>(c)] = true;
  return members;
}

/// RFC 9110, 5.6.2.
inline constexpr CharClass kToken = make_class("!#$%&'*+-.^_`|~");
/// Visible ASCII but '#': what may stand in a request target. A fragment never goes to a server.
inline constexpr CharClass kTarget = make_class("!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
/// RFC 3986 reg-name but ',', which no host name has and which would pass for a list.
inline constexpr CharClass kRegName = make_class("-._~%!$&'()*+;=");

inline bool is_in(const CharClass& members, char c) { return members[static_cast<unsigned char>(c)]; }

inline bool all_in(const CharClass& members, std::string_view text) {
  for (char c : text) {
    if (!is_in(members, c)) return false;
  }
  return true;
}

inline bool is_token(std::string_view text) { return !text.empty() && all_in(kToken, text); }
inline bool is_blank(char c) { return c == ' ' || c == '\t'; }
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

inline char lowered(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

/// `lower` is in lower case.
inline bool equals_lower(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (lowered(text[i]) != lower[i]) return false;
  }
  return true;
}

inline std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// The first control character but the tab, or `end`.
inline const char* find_control(const char* at, const char* end) {
#if defined(__SSE2__)
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i del = _mm_set1_epi8(0x7f);
  const __m128i tab = _mm_set1_epi8('\t');
  while (end - at >= 16) {
    __m128i bytes = _mm_loadu_si128(static_cast<const __m128i*>(static_cast<const void*>(at)));
    __m128i low = _mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes));
    int hits = _mm_movemask_epi8(_mm_or_si128(low, _mm_cmpeq_epi8(bytes, del)));
    if (hits != 0) return at + std::countr_zero(static_cast<unsigned>(hits));
    at += 16;
  }
#else
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  while (end - at >= 8) {
    std::uint64_t bytes;
    std::memcpy(&bytes, at, 8);
    std::uint64_t not_del = bytes ^ (kOnes * 0x7f);
    std::uint64_t hits = ((bytes - kOnes * 0x20) & ~bytes) | ((not_del - kOnes) & ~not_del);
    if ((hits & (kOnes * 0x80)) != 0) break;  // the loop below says where, and whether it is a tab
    at += 8;
  }
#endif
  while (at != end && (!is_control(*at) || *at == '\t')) ++at;
  return at;
}

/// The first character outside the class, or `end`.
inline const char* find_outside(const CharClass& members, const char* at, const char* end) {
  while (at != end && is_in(members, *at)) ++at;
  return at;
}

}  // namespace weir::http
