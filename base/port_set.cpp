// SPDX-License-Identifier: Apache-2.0
#include "base/port_set.h"

#include <algorithm>

#include "base/text.h"

namespace weir {

namespace {

Result<Port> parse_port(std::string_view text) {
  auto value = parse_uint(text, 65535);
  if (!value || *value == 0)
    return fail(ErrorCode::usage, "\"{}\" is not a port; write a number from 1 to 65535", printable(text));
  return static_cast<Port>(*value);
}

}  // namespace

Result<PortSet> PortSet::parse(std::string_view list) {
  PortSet set;
  for (std::string_view item : split(list, ',')) {
    item = trim(item);
    if (item.empty()) continue;
    std::size_t dash = item.find_first_of(":-");
    auto first = parse_port(item.substr(0, dash));
    if (!first) return pass(first.error());
    auto last = dash == std::string_view::npos ? first : parse_port(item.substr(dash + 1));
    if (!last) return pass(last.error());
    if (*last < *first) return fail(ErrorCode::usage, "port range \"{}\" runs backwards; write the smaller port first", item);
    set.add(PortRange{*first, *last});
  }
  return set;
}

void PortSet::add(PortRange range) {
  std::vector<PortRange> merged;
  for (const PortRange& old : ranges_) {
    bool apart = old.last + 1 < range.first || range.last + 1 < old.first;
    if (apart) {
      merged.push_back(old);
    } else {
      range = {std::min(range.first, old.first), std::max(range.last, old.last)};
    }
  }
  merged.push_back(range);
  std::sort(merged.begin(), merged.end(), [](const PortRange& a, const PortRange& b) { return a.first < b.first; });
  ranges_ = std::move(merged);
}

bool PortSet::contains(Port port) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [port](const PortRange& r) { return r.first <= port && port <= r.last; });
}

std::string PortSet::to_text() const {
  std::string text;
  for (const PortRange& range : ranges_) {
    if (!text.empty()) text += ',';
    text += range.first == range.last ? std::to_string(range.first) : fmt::format("{}-{}", range.first, range.last);
  }
  return text;
}

}  // namespace weir
