// SPDX-License-Identifier: Apache-2.0
// Names and visibility by Istio's rules. All pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::mesh {

/// "reviews" → "reviews.<ns>.svc.<domain>"; anything with a dot, "*" or an address is returned as it is, in lower case.
std::string full_host(std::string_view host, std::string_view ns, std::string_view domain);

/// "reviews.default.svc.cluster.local" for a service.
std::string service_host(std::string_view name, std::string_view ns, std::string_view domain);

bool is_wildcard(std::string_view host);

/// True if the pattern (exact, or with one leading "*") covers the name, itself possibly a wildcard: one way only.
/// "*.foo.com" does not cover "foo.com"; "*" covers all.
bool covers(std::string_view pattern, std::string_view host);

/// Istio's order: exact before wildcard, then longer before shorter, then alphabetical.
bool more_specific(std::string_view a, std::string_view b);

/// exportTo of an object in `object_ns` as seen from `ns`: empty or "*" = everywhere, "." = its own namespace, "~" = nowhere.
bool visible(const std::vector<std::string>& export_to, std::string_view object_ns, std::string_view ns);

/// True if a VirtualService with these gateways applies to sidecars: empty, or "mesh" among them.
bool applies_to_mesh(const std::vector<std::string>& gateways);

}  // namespace weir::mesh
