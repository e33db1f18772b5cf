// SPDX-License-Identifier: Apache-2.0
// Cgroups of the second hierarchy (cgroups(7)), by their paths.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace weir::kernel {

/// The kernel's number of a cgroup, which is its directory's inode: what nftables' `socket cgroupv2` compares. `path` is below
/// the hierarchy's root as it is mounted here (/sys/fs/cgroup, or /sys/fs/cgroup/unified beside the first hierarchy). nullopt: no
/// such cgroup, or no such hierarchy.
std::optional<std::uint64_t> cgroup_id(const std::string& path);

}  // namespace weir::kernel
