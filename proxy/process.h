// SPDX-License-Identifier: Apache-2.0
// What the process does to itself at start: limits and privileges.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace weir::proxy {

/// Raises the limit of descriptors to the hard limit. Returns it.
Result<std::uint64_t> raise_open_files();

/// Refuses uid 0 (error: usage) unless `allow_root`. Returns a warning if the uid is not 1337, whose traffic alone is exempt from
/// capture; "" otherwise.
Result<std::string> check_user(std::uint32_t uid, bool allow_root);

/// Gives up every capability (all sets, bounding set included where that is allowed) but CAP_NET_ADMIN if `keep_net_admin`, and
/// sets PR_SET_NO_NEW_PRIVS. Call before threads are started: capabilities are per thread.
Result<> drop_privileges(bool keep_net_admin);

/// Gives free memory back to the kernel: what reading a large configuration took and left. Main thread, after such work.
void release_free_memory();

}  // namespace weir::proxy
