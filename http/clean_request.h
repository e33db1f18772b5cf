// SPDX-License-Identifier: Apache-2.0
// What a proxy takes off a request before it looks at it: here, because routes match on what is left.
#pragma once

#include "http/header_map.h"

namespace weir::http {

/// Drops hop-by-hop fields and what only a proxy may say to a proxy (x-envoy-max-retries …): the application is not trusted with
/// it. `keep_upgrade`: the request is an upgrade that is let through.
void clean_request(HeaderMap& headers, bool keep_upgrade, bool drop_client_cert);

}  // namespace weir::http
