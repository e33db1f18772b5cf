// SPDX-License-Identifier: Apache-2.0
// What this process may do, and giving it up (capabilities(7)). Call before threads are started: capabilities are per thread.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace weir::kernel {

/// As whom this process stands.
struct Standing {
  std::uint32_t uid = 0, gid = 0;  ///< effective
  bool net_admin = false;          ///< CAP_NET_ADMIN is effective
  bool may_change_user = false;    ///< CAP_SETUID and CAP_SETGID are effective
};
Standing standing();

/// Becomes this user and group for good (real, effective and saved; no supplementary groups). What was permitted stays permitted,
/// until drop_capabilities() is called: do that next. Needs CAP_SETUID and CAP_SETGID. Processes of the new user cannot look into
/// this one (the kernel clears its dumpable flag).
Result<> become_user(std::uint32_t uid, std::uint32_t gid);

/// Gives up every capability (all sets, the bounding set included where that is allowed) but CAP_NET_ADMIN if `keep_net_admin`,
/// and sets PR_SET_NO_NEW_PRIVS.
Result<> drop_capabilities(bool keep_net_admin);

}  // namespace weir::kernel
