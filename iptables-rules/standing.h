// SPDX-License-Identifier: Apache-2.0
// Which backends have programmed this network namespace, so that two never do.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "iptables-rules/xtables_redirector.h"
#include "kernel/netlink.h"

namespace weir::nft {

/// Names of the backends of which something stands in the calling thread's network namespace. What cannot be asked (no
/// privilege, no nf_tables, no iptables-legacy-save though the kernel has such tables) counts as not there: the backend that is
/// then called says so itself. Calls a program only if the kernel has tables of iptables-legacy; else costs two netlink dumps.
std::vector<std::string> standing_backends(kernel::Netlink& netlink, const xtables::Runner& run = xtables::limited_runner());

}  // namespace weir::nft
