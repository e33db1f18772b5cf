// SPDX-License-Identifier: Apache-2.0
// The lock that iptables-legacy takes: a file for the whole machine, or whatever shares its /run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace weir::xtables {

/// XTABLES_LOCKFILE, else /run/xtables.lock.
std::string lock_file();

/// Where iptables-legacy may lock if that file cannot be made: the network namespace itself, so that only those wait for each
/// other who change the same rules.
inline constexpr std::string_view kNamespaceLock = "/proc/self/ns/net";

/// The process that has locked the file of this device and inode, by the text of /proc/locks. Pure.
std::optional<pid_t> holder_of(std::string_view locks, unsigned major, unsigned minor, std::uint64_t inode);

/// "process 123 (iptables)", or nothing if the holder cannot be seen from here.
std::string who_holds(const std::string& file);

}  // namespace weir::xtables
