// SPDX-License-Identifier: Apache-2.0
// Cgroups (v2) for processes of the lab.
#pragma once

#include <string>
#include <vector>
#include <sys/types.h>

namespace weir::conformance {

/// A cgroup below the root, with processes in it as long as it lives.
class CgroupWith {
 public:
  CgroupWith(std::string path, const std::vector<pid_t>& pids);
  CgroupWith(const CgroupWith&) = delete;
  CgroupWith& operator=(const CgroupWith&) = delete;
  ~CgroupWith();
  void add(pid_t pid) const;

  /// Where the second hierarchy is mounted; "": nowhere.
  static std::string root();
  /// A path that no other run has: cgroups are the machine's, not the namespace's.
  static std::string own(const char* below = "");

 private:
  std::string path_;
};

}  // namespace weir::conformance
