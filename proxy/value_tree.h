// SPDX-License-Identifier: Apache-2.0
// What a YAML or JSON file holds, before anyone knows what it means: values with their lines.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/problem.h"

namespace weir::proxy {

struct ValueNode {
  enum class Kind : std::uint8_t { nothing, scalar, list, object };
  struct Member;

  Kind kind = Kind::nothing;
  bool is_quoted = false;        ///< a scalar in quotes: a string, whatever it looks like
  int line = 0;                  ///< from 1
  std::string text;              ///< a scalar's
  std::vector<ValueNode> items;  ///< a list's
  std::vector<Member> members;   ///< an object's, in the file's order; a key may stand twice, and in YAML be no scalar

  /// The value of the first member with this key; null if there is none.
  const ValueNode* find(std::string_view key) const;
};
struct ValueNode::Member {
  ValueNode key, value;
};

/// Reads all of `text` into `root`, or says why not, with a line. Bounded: in bytes, values (an alias counts as what it stands
/// for) and depth. What begins with a brace is tried as JSON first, which costs far less time; what is no JSON may still be
/// YAML.
std::optional<Problem> read_tree(std::string_view file, std::string_view text, ValueNode& root);

/// The two readers apart, for tests. Nullopt: it is not JSON (or too deep).
std::optional<ValueNode> read_json_tree(std::string_view text);
std::optional<Problem> read_yaml_tree(std::string_view file, std::string_view text, ValueNode& root);

}  // namespace weir::proxy
