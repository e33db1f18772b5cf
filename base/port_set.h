// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace weir {

/// Both ends included; first <= last.
struct PortRange {
  Port first = 0;
  Port last = 0;
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

/// A set of ports as sorted, disjoint, non-adjacent ranges. Equal sets compare equal.
class PortSet {
 public:
  PortSet() = default;
  static PortSet all() {
    PortSet set;
    set.add({0, 65535});
    return set;
  }
  /// Istio's list syntax: commas, empty items dropped, ranges as "8000:9000" or "8000-9000". "*" is the caller's business.
  /// The error (usage) names the bad item and its value.
  static Result<PortSet> parse(std::string_view list);

  static PortSet of(Port port) {
    PortSet set;
    set.add(port);
    return set;
  }

  void add(PortRange range);
  void add(Port port) { add({port, port}); }
  bool contains(Port port) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<PortRange>& ranges() const { return ranges_; }
  /// "80,8000-9000"; empty set is "".
  std::string to_text() const;

  friend bool operator==(const PortSet&, const PortSet&) = default;

 private:
  std::vector<PortRange> ranges_;
};

}  // namespace weir
