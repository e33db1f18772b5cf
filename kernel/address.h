// SPDX-License-Identifier: Apache-2.0
// Addresses of interfaces, by rtnetlink.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "kernel/netlink.h"

namespace weir::kernel {

struct InterfaceAddress {
  unsigned interface_index = 0;
  IpAddr address;
  unsigned prefix = 0;
  bool is_tentative = false;   ///< not usable yet
  bool is_link_scope = false;  ///< link-local or host scope: not reachable from other machines
  std::uint8_t protocol = 0;   ///< IFA_PROTO, who added it (Linux 5.18); 0 where nobody said or the kernel doesn't keep it
};

/// All addresses of one family.
Result<std::vector<InterfaceAddress>> addresses(Netlink& netlink, Family family);
/// Index of an interface in the calling thread's namespace.
Result<unsigned> interface_index(const std::string& name);
/// Adds an address, marked with `protocol`; an IPv6 one without asking first whether another machine has it. Error EEXIST if it
/// is already there.
Result<> add_address(Netlink& netlink, unsigned interface_index, const Cidr& address, std::uint8_t protocol);
/// Error EADDRNOTAVAIL if it is not there.
Result<> remove_address(Netlink& netlink, unsigned interface_index, const Cidr& address);

}  // namespace weir::kernel
