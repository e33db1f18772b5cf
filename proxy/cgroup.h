// SPDX-License-Identifier: Apache-2.0
// How many workers fit: the CPU quota of the control group, v1 and v2.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace weir::proxy {

/// Text of a file, nullopt if it cannot be read.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;
std::optional<std::string> read_small_file(const std::string& path);

/// CPUs by quota (0.5, 2 …) of this process's group and all above it, the smallest; nullopt: none is set. Reads
/// /proc/self/cgroup and cpu.max (v2) or cpu.cfs_quota_us and cpu.cfs_period_us (v1) below /sys/fs/cgroup.
std::optional<double> cpu_quota(const ReadFile& read);

/// Workers to run: `asked` if above 0; else the quota rounded up and the number of CPUs, whichever is less, at most 2 (as
/// Istio's default), at least 1; one where at most one CPU is allowed.
unsigned choose_workers(unsigned asked, std::optional<double> quota, unsigned cpus);

}  // namespace weir::proxy
