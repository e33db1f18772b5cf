// SPDX-License-Identifier: Apache-2.0
#include "kernel/cgroup.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace weir::kernel {

std::optional<std::uint64_t> cgroup_id(const std::string& path) {
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    struct statfs type {};
    if (::statfs(root, &type) != 0 || type.f_type != CGROUP2_SUPER_MAGIC) continue;
    const std::string directory = std::string(root) + "/" + path;
    struct stat found {};
    if (::statfs(directory.c_str(), &type) != 0 || type.f_type != CGROUP2_SUPER_MAGIC) return std::nullopt;
    if (::stat(directory.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)) return std::nullopt;
    return found.st_ino;
  }
  return std::nullopt;
}

}  // namespace weir::kernel
