// SPDX-License-Identifier: Apache-2.0
// What the iptables backends leave while connections that were captured go on. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "capture/drain.h"
#include "iptables-rules/xtables_rules.h"

namespace weir::xtables {

/// The ports that the rules redirect to, ascending.
std::vector<Port> redirect_ports(const Tables& tables);

/// One chain of table nat to which nothing leads: its rule keeps connection tracking, and so NAT. The drain stands in the rule's
/// comment after `owner`, as kOwnerMark or longer.
Tables drain_tables(const capture::Drain& drain, const std::string& owner);
/// The drain, if nothing else of ours stands.
std::optional<capture::Drain> drain_in(const Tables& tables);
/// The comment of whatever drain is there; empty if none.
std::string drain_comment(const Tables& tables);

/// Text for `iptables-restore --noflush` that takes exactly this drain away, as drain_in() found it, and fails if it is not there
/// any more.
std::string ending(const Tables& tables);

}  // namespace weir::xtables
