// SPDX-License-Identifier: Apache-2.0
// What the agent tells of itself, under istiod's names. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/ads_service.h"

namespace weir::agent {

/// "SYNCED", "STALE" (sent, no answer yet), "NOT SENT", "NACKED".
std::string_view state_of(const xds::TypeStatus& status);

/// /debug/syncz: a JSON array with an object for each proxy, by name. Besides istiod's fields (proxy, proxy_type, cluster_sent,
/// cluster_acked …) `types` has each type's state and reason, and `rules` each rule's: SYNCED when all that it makes for this
/// proxy was accepted.
std::string syncz(const std::vector<ProxyStatus>& proxies);

/// "client.default" of a node.
std::string proxy_name(const xds::NodeIdentity& node);

/// /debug/config_dump?proxyID=: what the proxy is to have, as an envoy.admin.v3.ConfigDump. Errors (usage): no such proxy; the
/// text names those that are there. `id` is "client.default" or a whole node id.
Result<std::string> config_dump(const std::vector<ProxyStatus>& proxies, std::string_view id);

}  // namespace weir::agent
