// SPDX-License-Identifier: Apache-2.0
// A last good set as bytes of one file: versioned, checksummed. Pure; the owner writes the file (temp, fsync, rename, 0600).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "xds/resource.h"

namespace weir::xds {

/// Resources with their version_info, by type.
struct StoredSet {
  struct Item {
    ResourcePtr resource;
    std::string version;
  };
  std::array<std::vector<Item>, kTypeCount> types;
  std::string node_id;  ///< whose they are: another node's set must not be used
};

/// Layout: "weir-xds\0", u32 format, u64 XXH3 of the rest, then length-prefixed strings; little endian.
std::string encode(const StoredSet& set);
/// Errors (protocol) say whether it is no such file, another format, damaged or cut short. Never trusts a length.
Result<StoredSet> decode(std::string_view bytes);

}  // namespace weir::xds
