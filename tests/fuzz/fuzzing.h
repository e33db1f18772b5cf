// SPDX-License-Identifier: Apache-2.0
// What the targets share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace weir::fuzzing {

/// Stops the fuzzer if two results that must be equal are not.
inline void require_same(std::string_view what, const std::string& a, const std::string& b) {
  if (a == b) return;
  std::fprintf(stderr, "%.*s differ:\n--- %s\n--- %s\n", static_cast<int>(what.size()), what.data(), a.c_str(), b.c_str());
  std::abort();
}

/// Stops the fuzzer if a message would begin another line or command the terminal that shows it.
inline void require_one_line(const std::string& message) {
  for (std::size_t at = 0; at < message.size(); ++at) {
    const auto byte = static_cast<unsigned char>(message[at]);
    const bool is_c1 = byte == 0xc2 && at + 1 < message.size() && static_cast<unsigned char>(message[at + 1]) < 0xa0;
    if (byte < 0x20 || byte == 0x7f || is_c1) require_same("a message", message, "one line without controls");
  }
}

/// Ascending cut positions in [0, size], derived from a seed.
inline std::vector<std::size_t> cuts_of(std::uint8_t seed, std::size_t size) {
  std::vector<std::size_t> cuts;
  std::uint32_t state = seed * 2654435761u + 1;
  std::size_t at = 0;
  while (cuts.size() < 64) {
    state = state * 1664525u + 1013904223u;
    at += (state >> 16) % (1 + size / 4);
    if (at >= size) break;
    cuts.push_back(at);
  }
  return cuts;
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace weir::fuzzing
