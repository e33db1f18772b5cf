// SPDX-License-Identifier: Apache-2.0
// Rules of others that see packets before ours do and could take them away: found and named, never touched.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/netlink.h"

namespace weir::nft {

/// One sentence for each rule, of any nftables family (iptables-nft's among them), that stands in a chain at prerouting or output
/// in front of ours and drops, refuses, redirects, queues or hides packets from connection tracking; whether its conditions fit
/// what ours capture is not looked at. Chains with rules that lead into ours are left to the backend that made them.
Result<std::vector<std::string>> foreign_in_front(kernel::Netlink& netlink);

}  // namespace weir::nft
