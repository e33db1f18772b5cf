// SPDX-License-Identifier: Apache-2.0
// What the nft backend leaves while connections that were captured go on. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "capture/drain.h"
#include "iptables-rules/former.h"
#include "iptables-rules/messages.h"

namespace weir::nft {

/// The ports that the rules redirect to, ascending.
std::vector<Port> redirect_ports(const Former& former);

/// Adds the messages that make the table anew with only what the kernel needs to go on translating: NAT's hooks and connection
/// tracking, for both families. The drain stands in the table's comment after `owner`, as kOwnerMark or longer.
void add_drain(Batch& batch, const capture::Drain& drain, std::string_view owner);

}  // namespace weir::nft
