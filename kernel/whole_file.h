// SPDX-License-Identifier: Apache-2.0
// Files of a host directory that others read at any moment: read and replaced as a whole. Callable from any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace weir::kernel {

struct WholeFile {
  std::string bytes;
  mode_t mode = 0;  ///< permission bits
};

/// nullopt: there is no such file. Follows a symbolic link. At most 64 MiB; no regular file is an error.
Result<std::optional<WholeFile>> read_whole(const std::string& path);

/// Temporary file beside it, fsync, rename: who reads finds the old or the new one, also after a crash, and a program that runs
/// from the old one goes on (no ETXTBSY). The temporary file's name begins with ".weir-"; one that a kill left is taken over.
Result<> replace_whole(const std::string& path, std::string_view bytes, mode_t mode);

/// Removes the temporary files that a killed replace_whole() left in the directory; fine if there is no such directory.
Result<> remove_temporary(const std::string& directory);

/// True if there was such a file.
Result<bool> remove_whole(const std::string& path);

/// Names of the directory's entries, in byte order, without "." and "..". nullopt: there is no such directory.
Result<std::optional<std::vector<std::string>>> list_directory(const std::string& path);

/// A text that changes whenever a file of the directory, or of a directory in it, is made, replaced, written or removed: names,
/// inodes, sizes and times. "" if there is no such directory.
Result<std::string> directory_state(const std::string& path);

/// Makes it (0755), its parent must be there; fine if it is there.
Result<> make_directory(const std::string& path);
/// True if it was there and was empty.
bool remove_empty_directory(const std::string& path);

/// Holds the directory as its only holder until the descriptor is closed, also by a kill (flock(2)); nullopt: somebody has it.
Result<std::optional<UniqueFd>> try_lock_directory(const std::string& path);

}  // namespace weir::kernel
