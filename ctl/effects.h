// SPDX-License-Identifier: Apache-2.0
// What a route does besides naming a cluster, in words.
#pragma once

#include <string>
#include <vector>

#include "routing/route_table.h"

namespace weir::ctl {

/// A sentence for each fault.
void add_effects(const routing::Fault& fault, std::vector<std::string>& out);
/// Timeout, retries, header changes, mirrors.
void add_effects(const routing::Route& route, const routing::Forward& forward, std::vector<std::string>& out);
/// "5xx,connect-failure", as in retryOn.
std::string retry_text(const routing::RetryPolicy& policy);

}  // namespace weir::ctl
