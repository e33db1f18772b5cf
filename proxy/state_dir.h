// SPDX-License-Identifier: Apache-2.0
// The last good configuration on disk, so that a proxy that starts while the agent is away serves what it knew.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "xds/resource_store.h"

namespace weir::proxy {

/// One file, last-good.xds, in a directory of mode 0700 that belongs to this uid. The format is versioned and checksummed.
class StateDir {
 public:
  /// Makes the directory (not its parents) if it is not there. Errors (environment): it is no directory, others may enter it, or
  /// it belongs to another uid; the text says how to mend it.
  static Result<StateDir> open(std::string path);

  /// nullopt: nothing is stored. Errors: the file is damaged, of another format or of another node; it must be ignored.
  Result<std::optional<xds::StoredSet>> load(const std::string& node_id) const;
  /// Replaces the file as a whole (temporary file, fsync, rename): a crash leaves the old one.
  Result<> save(const xds::StoredSet& set) const;
  std::string file() const { return path_ + "/last-good.xds"; }

 private:
  explicit StateDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace weir::proxy
