// SPDX-License-Identifier: Apache-2.0
#include "kernel/privileges.h"

#include <array>
#include <grp.h>
#include <unistd.h>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace weir::kernel {

namespace {

using Sets = std::array<__user_cap_data_struct, 2>;

bool has(const Sets& sets, unsigned capability) {
  return (sets[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

/// The bounding set needs CAP_SETPCAP; without it there is nothing to gain from it either (no_new_privs).
void narrow_bounding_set(bool keep_net_admin) {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    if (!(keep_net_admin && capability == CAP_NET_ADMIN)) ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

}  // namespace

Standing standing() {
  Standing self{.uid = ::geteuid(), .gid = ::getegid()};
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Sets sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return self;
  self.net_admin = has(sets, CAP_NET_ADMIN);
  self.may_change_user = has(sets, CAP_SETUID) && has(sets, CAP_SETGID);
  return self;
}

Result<> become_user(std::uint32_t uid, std::uint32_t gid) {
  narrow_bounding_set(true);  // while CAP_SETPCAP is still effective
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return fail_errno(errno, "PR_SET_KEEPCAPS");
  if (::setgroups(0, nullptr) != 0) return fail_errno(errno, "giving up supplementary groups");
  if (::setresgid(gid, gid, gid) != 0) return fail_errno(errno, "becoming group {}", gid);
  if (::setresuid(uid, uid, uid) != 0) return fail_errno(errno, "becoming user {}", uid);
  return {};
}

Result<> drop_capabilities(bool keep_net_admin) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "PR_SET_NO_NEW_PRIVS");
  narrow_bounding_set(keep_net_admin);
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Sets sets{};
  if (keep_net_admin) sets[0].effective = sets[0].permitted = CAP_TO_MASK(CAP_NET_ADMIN);
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return fail_errno(errno, "giving up capabilities");
  return {};
}

}  // namespace weir::kernel
