// SPDX-License-Identifier: Apache-2.0
// Policy routing by a packet's mark, by rtnetlink: `ip rule add fwmark MARK lookup TABLE` and what stands in such a table.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace weir::kernel {

/// A rule that asks for a mark, all 32 bits of it, and nothing else.
struct MarkRule {
  Family family = Family::v4;
  std::uint32_t mark = 0, table = 0;
  std::uint32_t priority = 0;  ///< 0 when one is added: the kernel puts it before the others
  std::uint8_t protocol = 0;   ///< FRA_PROTOCOL, who added it (Linux 4.17); 0 where nobody said
  friend bool operator==(const MarkRule&, const MarkRule&) = default;
};
/// Those of both families.
Result<std::vector<MarkRule>> mark_rules(Netlink& netlink);
/// Error EEXIST if it is already there.
Result<> add_mark_rule(Netlink& netlink, const MarkRule& rule);
/// Error ENOENT if it is not there.
Result<> remove_mark_rule(Netlink& netlink, const MarkRule& rule);

struct DefaultRoute {
  Family family = Family::v4;
  std::uint32_t table = 0;
  unsigned interface_index = 0;
  bool is_local = false;      ///< type local: all is delivered to this machine
  std::uint8_t protocol = 0;  ///< who added it (linux/rtnetlink.h: rtm_protocol)
  friend bool operator==(const DefaultRoute&, const DefaultRoute&) = default;
};
/// Those of both families and all tables.
Result<std::vector<DefaultRoute>> default_routes(Netlink& netlink);
/// `ip route add local default dev … table …`. Error EEXIST if the table has a default route.
Result<> add_local_default(Netlink& netlink, const DefaultRoute& route);
/// Error ESRCH if it is not there.
Result<> remove_local_default(Netlink& netlink, const DefaultRoute& route);

}  // namespace weir::kernel
