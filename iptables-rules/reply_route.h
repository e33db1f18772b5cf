// SPDX-License-Identifier: Apache-2.0
// The policy routing of mode TPROXY (capture::ReplyRoute), in both families: a rule by mark, and a table that delivers here. What
// is ours bears our number as its protocol; the same from others is used and left alone.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "capture/plan.h"
#include "kernel/netlink.h"
#include "kernel/policy_route.h"

namespace weir::nft {

/// What of ours stands.
struct OwnRoutes {
  std::vector<kernel::MarkRule> rules;
  std::vector<kernel::DefaultRoute> routes;
  bool empty() const { return rules.empty() && routes.empty(); }
  friend bool operator==(const OwnRoutes&, const OwnRoutes&) = default;
};
Result<OwnRoutes> own_routes(kernel::Netlink& netlink);

/// Adds what is missing; nothing is taken away. The text: why IPv6 was left out, where that does no harm (no IPv6 traffic), else
/// "". An error may leave a part behind: restore_routes() takes it away. A default route of others in our table is an error.
Result<std::string> ensure_routes(kernel::Netlink& netlink, const std::optional<capture::ReplyRoute>& wanted);
/// Takes away what of ours is not `wanted`; true if there was something. What is gone already is success.
Result<bool> drop_other_routes(kernel::Netlink& netlink, const std::optional<capture::ReplyRoute>& wanted);
/// Makes what of ours stands what it was.
Result<> restore_routes(kernel::Netlink& netlink, const OwnRoutes& former);
/// Sentences that say what differs from `wanted`.
Result<std::vector<std::string>> route_differences(kernel::Netlink& netlink, const std::optional<capture::ReplyRoute>& wanted);

}  // namespace weir::nft
