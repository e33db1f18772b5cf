// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/resolve.h"

#include <algorithm>

#include "base/ip.h"
#include "base/text.h"

namespace weir::mesh {

std::string service_host(std::string_view name, std::string_view ns, std::string_view domain) {
  return fmt::format("{}.{}.svc.{}", name, ns, domain);
}

std::string full_host(std::string_view host, std::string_view ns, std::string_view domain) {
  std::string lower = to_lower(host);
  if (lower.empty() || lower == "*" || lower.find('.') != std::string::npos || IpAddr::parse(lower)) return lower;
  return service_host(lower, ns, domain);
}

bool is_wildcard(std::string_view host) { return host.starts_with('*'); }

bool covers(std::string_view pattern, std::string_view host) {
  if (!is_wildcard(pattern)) return pattern == host;
  std::string_view suffix = pattern.substr(1);
  if (is_wildcard(host)) host.remove_prefix(1);
  // A wildcard needs at least one character of its own, unless the other is a wildcard too.
  return host.ends_with(suffix) && (host.size() > suffix.size() || pattern == "*" || host == suffix) &&
         !(suffix.starts_with('.') && host == suffix.substr(1));
}

bool more_specific(std::string_view a, std::string_view b) {
  if (is_wildcard(a) != is_wildcard(b)) return !is_wildcard(a);
  if (a.size() != b.size()) return a.size() > b.size();
  return a < b;
}

bool visible(const std::vector<std::string>& export_to, std::string_view object_ns, std::string_view ns) {
  if (export_to.empty()) return true;
  return std::any_of(export_to.begin(), export_to.end(),
                     [&](const std::string& to) { return to == "*" || (to == "." && object_ns == ns) || to == ns; });
}

bool applies_to_mesh(const std::vector<std::string>& gateways) {
  return gateways.empty() || std::find(gateways.begin(), gateways.end(), "mesh") != gateways.end();
}

}  // namespace weir::mesh
