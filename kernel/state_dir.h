// SPDX-License-Identifier: Apache-2.0
// A directory in which a program keeps what it must know again after a restart. Callable from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::kernel {

/// Mode 0700, of this uid. Its files are replaced as a whole and are the owner's alone (0600).
class StateDir {
 public:
  /// Makes the directory (not its parents) if it is not there. Errors (environment): it is no directory, others may enter it, or
  /// it belongs to another uid; the text says how to mend it.
  static Result<StateDir> open(std::string path);

  /// nullopt: there is no such file. At most 512 MiB.
  Result<std::optional<std::string>> load(std::string_view name) const;
  /// Replaces the file (temporary file, fsync, rename): a crash or a full disk leaves the old one.
  Result<> save(std::string_view name, std::string_view bytes) const;
  /// True if there was such a file.
  Result<bool> remove(std::string_view name) const;
  /// Names of all its files, sorted; among them "NAME.new" of a save() that was killed.
  Result<std::vector<std::string>> names() const;
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  explicit StateDir(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace weir::kernel
