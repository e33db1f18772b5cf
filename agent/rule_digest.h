// SPDX-License-Identifier: Apache-2.0
// Which rules made a proxy's resources, in few bytes: so that proxy-status can tell which of them a proxy has accepted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "xds/resource.h"

namespace weir::xds {
struct ResourceSet;
}

namespace weir::agent {

/// One rule's share in the resources of one type.
struct RuleDigest {
  std::string rule;        ///< "VirtualService default/reviews"
  std::string file;        ///< as in problems
  std::vector<int> lines;  ///< sorted; empty where the resources carry no lines (filter chains, clusters)
  std::uint64_t hash = 0;  ///< of all that the rule made
  friend bool operator==(const RuleDigest&, const RuleDigest&) = default;
};

/// Sorted by rule. Of CDS (DestinationRules), LDS (rules for TCP and TLS) and RDS (all others); EDS has none.
std::vector<RuleDigest> digest_rules(const xds::ResourceSet& resources, xds::ResourceType type);

}  // namespace weir::agent
