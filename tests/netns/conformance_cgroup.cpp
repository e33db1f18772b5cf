// SPDX-License-Identifier: Apache-2.0
#include "tests/netns/conformance_cgroup.h"

#include <unistd.h>

#include <fmt/format.h>

#include "base/text.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {

CgroupWith::CgroupWith(std::string path, const std::vector<pid_t>& pids) : path_(std::move(path)) {
  shell(fmt::format("mkdir -p {}/{}", root(), path_));
  for (pid_t pid : pids) add(pid);
}

CgroupWith::~CgroupWith() {
  shell(fmt::format("cd {}; for pid in $(cat {}/cgroup.procs); do echo $pid > cgroup.procs; done; rmdir -p {}", root(), path_,
                    path_));
}

void CgroupWith::add(pid_t pid) const { shell(fmt::format("echo {} > {}/{}/cgroup.procs", pid, root(), path_)); }

std::string CgroupWith::root() {
  return std::string(
      trim(shell("for d in /sys/fs/cgroup /sys/fs/cgroup/unified; do test \"$(stat -fc %T $d 2>/dev/null)\" != cgroup2fs || "
                 "echo $d; done | head -n 1")));
}

std::string CgroupWith::own(const char* below) {
  char name[64] = "";
  const ssize_t size = ::readlink("/proc/self/ns/net", name, sizeof name - 1);
  std::string inode;
  for (char each : std::string_view(name, size > 0 ? static_cast<std::size_t>(size) : 0))
    if (each >= '0' && each <= '9') inode += each;
  return "weir-conformance-" + inode + below;
}

}  // namespace weir::conformance
