// SPDX-License-Identifier: Apache-2.0
#include "routing/route_table.h"

#include "routing/match.h"
#include "routing/route_table_impl.h"

namespace weir::routing {

RouteTable::RouteTable() : impl_(std::make_unique<Impl>()) {}
RouteTable::~RouteTable() = default;

const std::string& RouteTable::name() const { return impl_->name; }
const std::vector<VirtualHost>& RouteTable::virtual_hosts() const { return impl_->hosts; }
const HeaderEdits& RouteTable::request_headers() const { return impl_->request_headers; }
const HeaderEdits& RouteTable::response_headers() const { return impl_->response_headers; }

RouteTable::Found RouteTable::match(const Request& request, std::uint32_t random) const {
  int host = impl_->domains.find(request.authority).first;
  if (host < 0) return {};
  const VirtualHost& found = impl_->hosts[static_cast<std::size_t>(host)];
  for (const Route& route : found.routes) {
    if (matches(route, request, random)) return {&found, &route};
  }
  return {&found, nullptr};
}

const WeightedCluster& pick(const Forward& forward, std::uint64_t random) {
  if (forward.clusters.size() == 1 || forward.total_weight == 0) return forward.clusters.front();
  std::uint64_t drawn = random % forward.total_weight;
  for (const WeightedCluster& cluster : forward.clusters) {
    if (drawn < cluster.weight) return cluster;
    drawn -= cluster.weight;
  }
  return forward.clusters.back();
}

}  // namespace weir::routing
