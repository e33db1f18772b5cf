// SPDX-License-Identifier: Apache-2.0
#include "proxy/cgroup.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace weir::proxy {

namespace {

constexpr const char* kRoot = "/sys/fs/cgroup";
constexpr unsigned kDefaultMax = 2;

struct Groups {
  std::optional<std::string> v2, v1_cpu;  ///< paths within their hierarchies
};

/// Lines "0::/a/b" (v2) and "4:cpu,cpuacct:/a/b" (v1).
Groups parse_groups(const std::string& text) {
  Groups groups;
  for (std::string_view line : split(text, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string path(line.substr(second + 1));
    if (controllers.empty()) groups.v2 = path;
    for (std::string_view controller : split(controllers, ','))
      if (controller == "cpu") groups.v1_cpu = path;
  }
  return groups;
}

/// The path and all above it, "/a/b", "/a", "".
std::vector<std::string> ancestors(std::string path) {
  std::vector<std::string> list;
  while (!path.empty() && path != "/") {
    list.push_back(path);
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  list.emplace_back("");
  return list;
}

std::optional<double> quota_of(std::string_view quota, std::string_view period) {
  const auto part = parse_uint(trim(quota));
  const auto whole = parse_uint(trim(period));
  if (!part || !whole || *part == 0 || *whole == 0) return std::nullopt;  // "max", "-1"
  return static_cast<double>(*part) / static_cast<double>(*whole);
}

std::optional<double> less(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

std::optional<std::string> read_small_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<double> cpu_quota(const ReadFile& read) {
  const Groups groups = parse_groups(read("/proc/self/cgroup").value_or(""));
  std::optional<double> quota;
  for (const std::string& path : ancestors(groups.v2.value_or(""))) {
    for (const char* root : {kRoot, "/sys/fs/cgroup/unified"}) {
      auto text = read(fmt::format("{}{}/cpu.max", root, path));
      if (!text) continue;
      const std::size_t blank = text->find(' ');
      if (blank != std::string::npos) quota = less(quota, quota_of(text->substr(0, blank), text->substr(blank)));
    }
  }
  for (const std::string& path : ancestors(groups.v1_cpu.value_or(""))) {
    for (const char* root : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
      auto part = read(fmt::format("{}{}/cpu.cfs_quota_us", root, path));
      auto whole = read(fmt::format("{}{}/cpu.cfs_period_us", root, path));
      if (part && whole) quota = less(quota, quota_of(*part, *whole));
    }
  }
  return quota;
}

unsigned choose_workers(unsigned asked, std::optional<double> quota, unsigned cpus) {
  if (asked > 0) return asked;
  unsigned count = std::max(cpus, 1U);
  if (quota) count = std::min(count, static_cast<unsigned>(std::max(1.0, std::ceil(*quota))));
  return std::min(count, kDefaultMax);
}

}  // namespace weir::proxy
