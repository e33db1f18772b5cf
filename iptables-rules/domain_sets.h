// SPDX-License-Identifier: Apache-2.0
// The addresses of excluded domains, in the sets that an apply with --exclude-domains has made.
#pragma once

#include <optional>
#include <vector>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace weir::nft {

/// What the sets hold, sorted; nullopt: they are not there.
Result<std::optional<std::vector<IpAddr>>> excluded_addresses(kernel::Netlink& netlink);

/// Puts these, and no others, into them in one transaction. Error with code environment: not permitted, or the sets are not
/// there.
Result<> set_excluded_addresses(kernel::Netlink& netlink, const std::vector<IpAddr>& addresses);

}  // namespace weir::nft
