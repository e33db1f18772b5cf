// SPDX-License-Identifier: Apache-2.0
// Where the parts of a JSON text stand, so that it can be changed without being written anew. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace weir::cni {

/// The part of a text from `begin` up to `end`.
struct Span {
  std::size_t begin = 0, end = 0;
  std::string_view in(std::string_view text) const { return text.substr(begin, end - begin); }
  friend bool operator==(const Span&, const Span&) = default;
};

/// The member's value in the object that `text` is; nullopt: it has none, or several of that name. `text` must be valid JSON. A
/// name that is written with escapes is not found.
std::optional<Span> member(std::string_view text, std::string_view name);

/// The elements of the array at `array` in `text`, which must be valid JSON.
std::vector<Span> elements(std::string_view text, Span array);

}  // namespace weir::cni
