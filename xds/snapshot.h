// SPDX-License-Identifier: Apache-2.0
// Everything that one proxy is to have, immutable. Snapshots of several proxies share the resources that are equal.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "xds/resource.h"

namespace weir::xds {

struct ResourceSet;

class Snapshot {
 public:
  /// Serialises the set. Resources whose bytes equal those in `previous` (may be null) are shared with it; if nothing differs at
  /// all, `previous` itself is returned. Names must be unique within a type: of two the first counts.
  static std::shared_ptr<const Snapshot> build(const ResourceSet& set, const std::shared_ptr<const Snapshot>& previous);

  const ResourceMap& of(ResourceType type) const { return types_[index(type)]; }
  /// Content hash in hex: equal sets have equal versions, whoever made them.
  const std::string& version(ResourceType type) const { return versions_[index(type)]; }

 private:
  std::array<ResourceMap, kTypeCount> types_;
  std::array<std::string, kTypeCount> versions_;
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace weir::xds
