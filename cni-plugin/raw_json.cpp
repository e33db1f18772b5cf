// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/raw_json.h"

#include "base/text.h"

namespace weir::cni {

namespace {

/// The position behind the string that begins at `at`.
std::size_t behind_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at)
    if (text[at] == '\\') ++at;
  return at + 1;
}

}  // namespace

std::optional<std::string_view> raw_member(std::string_view document, std::string_view name) {
  std::optional<std::string_view> found;
  std::string_view key;
  std::size_t depth = 0, value_from = 0;
  bool in_value = false;
  const auto end_member = [&](std::size_t at) {
    if (in_value && key == name) found = trim(document.substr(value_from, at - value_from));
    in_value = false;
  };
  for (std::size_t at = 0; at < document.size();) {
    const char c = document[at];
    if (c == '"') {
      const std::size_t end = behind_string(document, at);
      if (depth == 1 && !in_value) key = document.substr(at + 1, end - at - 2);
      at = end;
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') {
      if (depth == 1) end_member(at);
      --depth;
    }
    if (depth == 1 && c == ',') end_member(at);
    if (depth == 1 && c == ':' && !in_value) {
      in_value = true;
      value_from = at + 1;
    }
    ++at;
  }
  return found;
}

}  // namespace weir::cni
