// SPDX-License-Identifier: Apache-2.0
// Connection tracking's table, read by netlink.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace weir::kernel {

/// One tracked connection whose destination the kernel translates (IPS_DST_NAT).
struct RedirectedFlow {
  std::uint8_t protocol = 0;  ///< IPPROTO_TCP, …
  Port redirected_to = 0;     ///< the port that answers in place of the one that was called
  bool is_answered = false;   ///< packets were seen both ways
  bool is_closed = false;     ///< TCP: both ends have said goodbye, or one has reset it
};

/// Of the namespace that `netlink` belongs to. An error if the kernel lacks CONFIG_NF_CT_NETLINK or the caller CAP_NET_ADMIN.
Result<std::vector<RedirectedFlow>> redirected_flows(Netlink& netlink);

/// Forgets those that were redirected to one of these ports: where translation ends anyway, they would only stay for days and
/// be taken for alive. Gives how many; those that end meanwhile count too.
Result<std::size_t> forget_redirected(Netlink& netlink, const std::vector<Port>& ports);

/// Forgets the connection of these addresses in the default zone, as its first packet bore them. ENOENT: there is none.
Result<> forget_flow(Netlink& netlink, std::uint8_t protocol, const SocketAddr& from, const SocketAddr& to);

}  // namespace weir::kernel
