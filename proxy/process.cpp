// SPDX-License-Identifier: Apache-2.0
#include "proxy/process.h"

#include <linux/capability.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/well_known.h"

namespace weir::proxy {

Result<std::uint64_t> raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno(errno, "getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno(errno, "raising the limit of open files to {}", limit.rlim_max);
  return limit.rlim_cur;
}

Result<std::string> check_user(std::uint32_t uid, bool allow_root) {
  if (uid == 0 && !allow_root)
    return fail(
        ErrorCode::usage,
        "weir-proxy does not run as root: it needs no privilege, and only uid {} is exempt from capture; start it as that "
        "uid (setpriv --reuid {} --regid {} --clear-groups), or give --allow-root",
        well_known::kProxyUid, well_known::kProxyUid, well_known::kProxyGid);
  if (uid == well_known::kProxyUid) return std::string();
  return fmt::format("running as uid {}, not {}: if capture is set up for {}, this proxy's own connections will be captured", uid,
                     well_known::kProxyUid, well_known::kProxyUid);
}

Result<> drop_privileges(bool keep_net_admin) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "PR_SET_NO_NEW_PRIVS");
  // The bounding set needs CAP_SETPCAP; without it there is nothing to gain from it either (no_new_privs).
  for (int cap = 0; ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap)
    if (!(keep_net_admin && cap == CAP_NET_ADMIN)) ::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (keep_net_admin) data[0].effective = data[0].permitted = 1U << CAP_NET_ADMIN;
  if (::syscall(SYS_capset, &header, data) != 0) return fail_errno(errno, "giving up capabilities");
  return {};
}

void release_free_memory() { ::malloc_trim(0); }

}  // namespace weir::proxy
