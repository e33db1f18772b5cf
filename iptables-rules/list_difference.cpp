// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/list_difference.h"

#include <algorithm>
#include <optional>

namespace weir {

namespace {

/// Beyond this product of lengths order is no longer looked at: rules are then only paired.
constexpr std::size_t kMostCells = 4'000'000;

using Rules = std::vector<ListedRule>;

/// Marks the rules of a longest common subsequence.
class InOrder {
 public:
  InOrder(const Rules& wanted, const Rules& standing) : wanted_(wanted), standing_(standing) {
    is_wanted_met.assign(wanted.size(), false);
    is_standing_met.assign(standing.size(), false);
    std::size_t first = 0, w = wanted.size(), s = standing.size();
    while (first < w && first < s && same(first, first)) meet(first, first), ++first;
    while (w > first && s > first && same(w - 1, s - 1)) meet(--w, --s);
    if ((w - first) * (s - first) <= kMostCells) walk(first, w, s);
  }

  std::vector<bool> is_wanted_met, is_standing_met;

 private:
  bool same(std::size_t w, std::size_t s) const { return wanted_[w].text == standing_[s].text; }
  void meet(std::size_t w, std::size_t s) { is_wanted_met[w] = is_standing_met[s] = true; }

  void walk(std::size_t first, std::size_t w_end, std::size_t s_end) {
    const std::size_t rows = w_end - first, columns = s_end - first;
    std::vector<std::vector<unsigned>> length(rows + 1, std::vector<unsigned>(columns + 1, 0));
    for (std::size_t w = rows; w-- > 0;)
      for (std::size_t s = columns; s-- > 0;)
        length[w][s] = same(first + w, first + s) ? length[w + 1][s + 1] + 1 : std::max(length[w + 1][s], length[w][s + 1]);
    for (std::size_t w = 0, s = 0; w < rows && s < columns;) {
      if (same(first + w, first + s)) {
        meet(first + w, first + s);
        ++w, ++s;
      } else {
        length[w + 1][s] >= length[w][s + 1] ? ++w : ++s;
      }
    }
  }

  const Rules& wanted_;
  const Rules& standing_;
};

}  // namespace

std::vector<ListDifference> list_differences(const Rules& wanted, const Rules& standing) {
  using Kind = ListDifference::Kind;
  InOrder met(wanted, standing);
  std::vector<std::optional<ListDifference>> of_wanted(wanted.size());
  for (const Kind kind : {Kind::misplaced, Kind::changed})
    for (std::size_t w = 0; w < wanted.size(); ++w)
      for (std::size_t s = 0; s < standing.size() && !met.is_wanted_met[w]; ++s) {
        const bool is_pair = kind == Kind::misplaced ? wanted[w].text == standing[s].text
                                                     : !wanted[w].comment.empty() && wanted[w].comment == standing[s].comment;
        if (met.is_standing_met[s] || !is_pair) continue;
        met.is_wanted_met[w] = met.is_standing_met[s] = true;
        of_wanted[w] = ListDifference{.kind = kind, .wanted = w, .standing = s};
      }
  std::vector<ListDifference> found;
  for (std::size_t w = 0; w < wanted.size(); ++w) {
    if (of_wanted[w]) found.push_back(*of_wanted[w]);
    if (!met.is_wanted_met[w]) found.push_back({.kind = Kind::missing, .wanted = w});
  }
  for (std::size_t s = 0; s < standing.size(); ++s)
    if (!met.is_standing_met[s]) found.push_back({.kind = Kind::surplus, .standing = s});
  return found;
}

}  // namespace weir
