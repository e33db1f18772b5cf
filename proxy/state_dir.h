// SPDX-License-Identifier: Apache-2.0
// The last good configuration on disk, so that a proxy that starts while the agent is away serves what it knew.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "kernel/state_dir.h"
#include "xds/resource_store.h"

namespace weir::proxy {

/// One file, last-good.xds, in a kernel::StateDir. The format is versioned and checksummed.
class StateDir {
 public:
  /// As kernel::StateDir::open.
  static Result<StateDir> open(std::string path);

  /// nullopt: nothing is stored. Errors: the file is damaged, of another format or of another node; it must be ignored.
  Result<std::optional<xds::StoredSet>> load(const std::string& node_id) const;
  /// Replaces the file as a whole.
  Result<> save(const xds::StoredSet& set) const;
  std::string file() const;

 private:
  explicit StateDir(kernel::StateDir dir) : dir_(std::move(dir)) {}
  kernel::StateDir dir_;
};

}  // namespace weir::proxy
