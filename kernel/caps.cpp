// SPDX-License-Identifier: Apache-2.0
#include "kernel/caps.h"

#include <array>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir::kernel {

bool has_net_admin() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[CAP_TO_INDEX(CAP_NET_ADMIN)].effective & CAP_TO_MASK(CAP_NET_ADMIN)) != 0;
}

std::string net_admin_hint() {
  return "CAP_NET_ADMIN is missing; run it as root, or give the container securityContext.capabilities.add: [NET_ADMIN]";
}

}  // namespace weir::kernel
