// SPDX-License-Identifier: Apache-2.0
// Names to addresses by DNS, with the time for which that holds, which getaddrinfo(3) does not tell.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace weir::kernel {

struct Resolved {
  IpAddr address;
  std::chrono::seconds ttl{0};  ///< the least of the answer's records, aliases among them
  friend bool operator==(const Resolved&, const Resolved&) = default;
};

/// Asks the servers of /etc/resolv.conf for the name's addresses of one family; the name is taken as whole (no search list, no
/// /etc/hosts). Blocks as long as resolv.conf's timeouts say. A name without an address of that family: none. Error (io): no
/// server answered, or the name is not there.
Result<std::vector<Resolved>> resolve(const std::string& name, Family family);

/// The addresses in a DNS message (RFC 1035 4.1). Pure; anything that is cut short or refused by the server is an error.
Result<std::vector<Resolved>> parse_dns_answer(std::string_view message, Family family);

}  // namespace weir::kernel
