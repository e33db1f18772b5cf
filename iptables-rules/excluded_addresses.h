// SPDX-License-Identifier: Apache-2.0
// The addresses of excluded domains, wherever an apply with --exclude-domains has made room for them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace weir::nft {

struct Excluded {
  std::string backend;  ///< which keeps them: "nft", "iptables-legacy", …
  std::vector<IpAddr> addresses;
};

/// What stands in the calling thread's network namespace, sorted; nullopt: no backend has room for addresses there.
Result<std::optional<Excluded>> find_excluded(kernel::Netlink& netlink);

/// Puts these addresses, and no others, there.
Result<> set_excluded(kernel::Netlink& netlink, const Excluded& wanted);

}  // namespace weir::nft
