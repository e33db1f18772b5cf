// SPDX-License-Identifier: Apache-2.0
// ::6/128 on lo, from which the proxy speaks to its workload in IPv6 (127.0.0.6 is local by itself).
#pragma once

#include <string>

#include "kernel/netlink.h"

namespace weir::nft {

struct SourceAddress {
  bool is_there = false;
  bool is_ours = false;         ///< it bears our protocol number
  bool has_v6_traffic = false;  ///< an IPv6 address that other machines can reach
  bool has_v6 = false;          ///< any IPv6 address at all
  bool has_v6_on_lo = false;    ///< any IPv6 address of lo, such as ::1: so it is not off there
  /// The family is there, and nothing of it could come to the proxy.
  bool is_missing() const { return has_v6_traffic && !has_v6_on_lo; }
};
Result<SourceAddress> look_at_source(kernel::Netlink& netlink);

struct Ensured {
  bool was_added = false;
  bool is_marked = false;   ///< the kernel keeps who added it
  bool is_missing = false;  ///< it could not be added, and the sandbox has IPv6 traffic that would go wrong: to be blocked
  std::string note;         ///< why it could not be added
};
/// Adds it if it is missing. Fails if it cannot be added and the sandbox has IPv6 traffic that would then go wrong, unless the
/// caller blocks that traffic (settled decision 9.10).
Result<Ensured> ensure_source(kernel::Netlink& netlink, bool may_be_missing = false);
/// Not there is success.
Result<> remove_source(kernel::Netlink& netlink);

}  // namespace weir::nft
