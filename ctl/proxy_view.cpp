// SPDX-License-Identifier: Apache-2.0
#include "ctl/proxy_view.h"

#include "base/text.h"
#include "routing/compile_context.h"
#include "xds/metadata.h"
#include "xds/resource_set.h"

namespace weir::ctl {

namespace {

namespace cds = envoy::config::cluster::v3;
namespace core = envoy::config::core::v3;
namespace eds = envoy::config::endpoint::v3;

std::optional<SocketAddr> to_address(const core::Address& from) {
  auto ip = IpAddr::parse(from.socket_address().address());
  if (!ip) return std::nullopt;
  return SocketAddr{*ip, static_cast<Port>(from.socket_address().port_value())};
}

/// Istio's "workload;namespace;…" as "workload.namespace".
std::string workload_of(const core::Metadata& metadata) {
  auto istio = metadata.filter_metadata().find("istio");
  if (istio == metadata.filter_metadata().end()) return {};
  auto workload = istio->second.fields().find("workload");
  if (workload == istio->second.fields().end()) return {};
  const std::vector<std::string_view> parts = split(workload->second.string_value(), ';');
  return parts.size() < 2 ? std::string() : fmt::format("{}.{}", parts[0], parts[1]);
}

std::string health_of(core::HealthStatus status) {
  switch (status) {
    case core::UNHEALTHY:
    case core::TIMEOUT: return "unhealthy";
    case core::DRAINING: return "draining";
    default: return "healthy";
  }
}

std::vector<EndpointView> to_endpoints(const eds::ClusterLoadAssignment& from) {
  std::vector<EndpointView> endpoints;
  for (const auto& group : from.endpoints())
    for (const auto& endpoint : group.lb_endpoints()) {
      auto address = to_address(endpoint.endpoint().address());
      if (!address) continue;
      EndpointView& view = endpoints.emplace_back();
      view.address = *address;
      view.workload = workload_of(endpoint.metadata());
      view.health = health_of(endpoint.health_status());
      for (const auto& more : endpoint.endpoint().additional_addresses())
        if (auto other = to_address(more.address())) view.additional.push_back(*other);
    }
  return endpoints;
}

ClusterView to_cluster(const cds::Cluster& from, const std::map<std::string, const eds::ClusterLoadAssignment*>& assignments) {
  ClusterView cluster{.name = from.name(),
                      .type = cds::Cluster::DiscoveryType_Name(from.type()),
                      .lb_policy = cds::Cluster::LbPolicy_Name(from.lb_policy()),
                      .rule = xds::rule_of(from.metadata()),
                      .endpoints = to_endpoints(from.load_assignment())};
  const std::string& service = from.eds_cluster_config().service_name();
  auto assignment = assignments.find(service.empty() ? from.name() : service);
  if (from.type() == cds::Cluster::EDS && assignment != assignments.end()) cluster.endpoints = to_endpoints(*assignment->second);
  return cluster;
}

Problem refusal(std::string object, const Error& error) {
  return {Severity::error, {}, std::move(object), "", error.to_text(), ""};
}

}  // namespace

std::string ClusterView::part(std::size_t index) const {
  const std::vector<std::string_view> parts = split(name, '|');
  return parts.size() == 4 ? std::string(parts[index]) : std::string();
}

std::string ClusterView::host() const { return split(name, '|').size() == 4 ? part(3) : name; }

std::shared_ptr<const ProxyView> compile(const xds::ResourceSet& resources) {
  auto view = std::make_shared<ProxyView>();
  std::vector<Problem> unsupported;  // told by the proxy itself
  std::vector<std::shared_ptr<const routing::Listener>> listeners;
  for (const auto& listener : resources.listeners) {
    auto compiled = routing::compile_listener(listener, unsupported);
    if (compiled)
      listeners.push_back(std::move(*compiled));
    else
      view->refused.push_back(refusal("Listener " + listener.name(), compiled.error()));
  }
  view->listeners = std::make_unique<routing::ListenerTable>(std::move(listeners));
  for (const auto& table : resources.routes) {
    auto compiled = routing::RouteTable::compile(table, unsupported);
    if (compiled)
      view->routes.emplace(table.name(), std::move(*compiled));
    else
      view->refused.push_back(refusal("RouteConfiguration " + table.name(), compiled.error()));
  }
  std::map<std::string, const eds::ClusterLoadAssignment*> assignments;
  for (const auto& assignment : resources.endpoints) assignments.emplace(assignment.cluster_name(), &assignment);
  for (const auto& cluster : resources.clusters) view->clusters.emplace(cluster.name(), to_cluster(cluster, assignments));
  return view;
}

}  // namespace weir::ctl
