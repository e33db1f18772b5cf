// SPDX-License-Identifier: Apache-2.0
// How a list of rules that stands differs from the one that is wanted, rule by rule. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace weir {

struct ListedRule {
  std::string text;     ///< the same for the same rule
  std::string comment;  ///< by it a rule is known again that was changed
};

struct ListDifference {
  enum class Kind { missing, changed, misplaced, surplus };
  Kind kind;
  std::size_t wanted = 0;    ///< index, but for surplus
  std::size_t standing = 0;  ///< index, but for missing
};

/// The fewest words for it: rules in their order count as the same, what is left over is paired by text (misplaced) or by comment
/// (changed). In the order of the wanted list; surplus ones last.
std::vector<ListDifference> list_differences(const std::vector<ListedRule>& wanted, const std::vector<ListedRule>& standing);

}  // namespace weir
