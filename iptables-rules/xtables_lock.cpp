// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_lock.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fmt/format.h>

#include "base/text.h"

namespace weir::xtables {

std::string lock_file() {
  const char* file = std::getenv("XTABLES_LOCKFILE");
  return file == nullptr || *file == '\0' ? "/run/xtables.lock" : file;
}

std::optional<pid_t> holder_of(std::string_view locks, unsigned major, unsigned minor, std::uint64_t inode) {
  // "1: FLOCK  ADVISORY  WRITE 11 fe:00:9773057 0 EOF"; one who waits has "->" after the number.
  const std::string wanted = fmt::format(" {:02x}:{:02x}:{} ", major, minor, inode);
  for (std::string_view line : split(locks, '\n')) {
    const auto at = line.find(wanted);
    if (at == std::string_view::npos || line.find("->") != std::string_view::npos) continue;
    const auto blank = line.rfind(' ', at - 1);
    const auto pid = parse_uint(line.substr(blank + 1, at - blank - 1));
    if (pid && *pid > 0) return static_cast<pid_t>(*pid);
  }
  return std::nullopt;
}

std::string who_holds(const std::string& file) {
  struct stat found {};
  if (::stat(file.c_str(), &found) != 0) return "";
  std::ostringstream locks;
  locks << std::ifstream("/proc/locks").rdbuf();
  const auto pid = holder_of(locks.str(), major(found.st_dev), minor(found.st_dev), found.st_ino);
  if (!pid) return "";
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", *pid)), name);
  return name.empty() ? fmt::format("process {}", *pid) : fmt::format("process {} ({})", *pid, printable(name, 40));
}

}  // namespace weir::xtables
