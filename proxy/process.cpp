// SPDX-License-Identifier: Apache-2.0
#include "proxy/process.h"

#include <malloc.h>
#include <sys/resource.h>
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

Result<Privileges> choose_privileges(const kernel::Standing& self, bool transparent, bool allow_root) {
  using well_known::kProxyGid, well_known::kProxyUid;
  if (transparent && !self.net_admin)
    return fail(
        ErrorCode::environment,
        "ISTIO_META_INTERCEPTION_MODE=TPROXY, but CAP_NET_ADMIN is missing: give the container runAsUser: 0 and "
        "capabilities.add: [NET_ADMIN, SETUID, SETGID] (it becomes uid {} and keeps NET_ADMIN; containers of another user "
        "do not get what is added), or capture with REDIRECT",
        kProxyUid);
  Privileges result{.become_proxy = false, .keep_net_admin = transparent, .warning = {}};
  const bool is_exempt_group = transparent && self.gid == kProxyGid;  // as Istio's own template has it
  if (self.uid == 0 && !allow_root) {
    if (transparent && self.may_change_user) {
      result.become_proxy = true;
      return result;
    }
    if (!transparent)
      return fail(
          ErrorCode::usage,
          "weir-proxy does not run as root: it needs no privilege, and only uid {} is exempt from capture; start it as that "
          "uid (setpriv --reuid {} --regid {} --clear-groups), or give --allow-root",
          kProxyUid, kProxyUid, kProxyGid);
    if (!is_exempt_group)
      return fail(
          ErrorCode::usage,
          "weir-proxy started as uid 0 becomes uid {}, but CAP_SETUID or CAP_SETGID is missing: add them to the container's "
          "capabilities (add: [NET_ADMIN, SETUID, SETGID]), or give it runAsGroup: {}",
          kProxyUid, kProxyGid);
  }
  if (self.uid == kProxyUid) return result;
  if (is_exempt_group)
    result.warning = fmt::format(
        "running as uid {}: only group {} exempts this proxy's own connections from capture; with {} it "
        "could become uid {}",
        self.uid, kProxyGid, "CAP_SETUID and CAP_SETGID", kProxyUid);
  else
    result.warning =
        fmt::format("running as uid {}, not {}: if capture is set up for {}, this proxy's own connections will be captured",
                    self.uid, kProxyUid, kProxyUid);
  return result;
}

Result<> take(const Privileges& privileges) {
  if (privileges.become_proxy)
    if (auto done = kernel::become_user(well_known::kProxyUid, well_known::kProxyGid); !done) return done;
  return kernel::drop_capabilities(privileges.keep_net_admin);
}

void release_free_memory() { ::malloc_trim(0); }

}  // namespace weir::proxy
