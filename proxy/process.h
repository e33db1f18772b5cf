// SPDX-License-Identifier: Apache-2.0
// What the process does to itself at start: limits and privileges.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "kernel/privileges.h"

namespace weir::proxy {

/// Raises the limit of descriptors to the hard limit. Returns it.
Result<std::uint64_t> raise_open_files();

/// As whom to run, and with what.
struct Privileges {
  bool become_proxy = false;    ///< from uid 0 to 1337
  bool keep_net_admin = false;  ///< all else is given up
  std::string warning;          ///< "" if there is nothing to say
};
/// Pure. `transparent`: connections come by TPROXY, which needs CAP_NET_ADMIN; a proxy that root starts for it becomes uid 1337
/// (settled decision 5). Otherwise uid 0 is refused (error: usage) unless `allow_root`. Warns if the proxy's own connections may
/// not be exempt from capture.
Result<Privileges> choose_privileges(const kernel::Standing& self, bool transparent, bool allow_root);
/// Does it. Call before threads are started: capabilities are per thread.
Result<> take(const Privileges& privileges);

/// Gives free memory back to the kernel: what reading a large configuration took and left. Main thread, after such work.
void release_free_memory();

}  // namespace weir::proxy
