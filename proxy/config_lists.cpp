// SPDX-License-Identifier: Apache-2.0
// /clusters and /listeners.
#include <algorithm>
#include <map>

#include "proxy/config_dump.h"
#include "xds/messages.h"
#include "xds/proto/admin.pb.h"

namespace weir::proxy {

namespace {

namespace admin = envoy::admin::v3;

void set_address(envoy::config::core::v3::Address& into, const SocketAddr& from) {
  into.mutable_socket_address()->set_address(from.ip.to_text());
  into.mutable_socket_address()->set_port_value(from.port);
}

/// The listener that is bound first: as Envoy, sorted by name.
std::vector<const routing::Listener*> sorted_listeners(const Config& config) {
  std::vector<const routing::Listener*> list;
  for (const auto& listener : config.listeners->all()) list.push_back(listener.get());
  std::sort(list.begin(), list.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  return list;
}

using Figures = std::map<SocketAddr, EndpointFigures>;

/// All endpoints of a cluster, those of the configuration and those that are only used (original destinations), summed.
Figures endpoint_figures(const Cluster& cluster, const std::vector<ClusterFigures>& figures) {
  Figures sums;
  for (const Endpoint& endpoint : cluster.endpoints->endpoints)
    sums[endpoint.address] = {
        .address = endpoint.address, .health = endpoint.health, .weight = endpoint.weight, .priority = endpoint.priority};
  for (const ClusterFigures& used : figures) {
    if (used.name != cluster.name) continue;
    for (const EndpointFigures& from : used.endpoints) {
      EndpointFigures& into = sums.try_emplace(from.address, EndpointFigures{.address = from.address}).first->second;
      if (from.health != Health::healthy) into.health = from.health;
      into.connections += from.connections;
      into.connect_failures += from.connect_failures;
      into.requests += from.requests;
      into.errors += from.errors;
      into.open_connections += from.open_connections;
      into.open_requests += from.open_requests;
    }
  }
  return sums;
}

std::vector<const Cluster*> sorted_clusters(const Config& config) {
  std::vector<const Cluster*> list;
  for (const auto& [name, cluster] : config.clusters) list.push_back(cluster.get());
  std::sort(list.begin(), list.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  return list;
}

std::vector<std::pair<const char*, std::uint64_t>> counters(const EndpointFigures& figures) {
  return {{"cx_active", figures.open_connections},
          {"cx_connect_fail", figures.connect_failures},
          {"cx_total", figures.connections},
          {"rq_active", figures.open_requests},
          {"rq_error", figures.errors},
          {"rq_success", figures.requests - std::min(figures.errors, figures.requests)},
          {"rq_total", figures.requests}};
}

/// Envoy's flag for what EDS says of an endpoint.
const char* health_text(Health health) {
  switch (health) {
    case Health::unhealthy: return "/failed_eds_health";
    case Health::draining: return "/eds_status_draining";
    case Health::healthy: break;
  }
  return "healthy";
}

bool is_gauge(std::string_view name) { return name.size() > 7 && name.substr(name.size() - 7) == "_active"; }

}  // namespace

std::string listeners_text(const Config& config) {
  std::string out;
  for (const routing::Listener* listener : sorted_listeners(config)) {
    out += fmt::format("{}::{}\n", listener->name, listener->address.to_text());
    for (const SocketAddr& address : listener->additional) out += fmt::format("{}::{}\n", listener->name, address.to_text());
  }
  return out;
}

std::string listeners_json(const Config& config) {
  admin::Listeners list;
  for (const routing::Listener* listener : sorted_listeners(config)) {
    auto& status = *list.add_listener_statuses();
    status.set_name(listener->name);
    set_address(*status.mutable_local_address(), listener->address);
    for (const SocketAddr& address : listener->additional) set_address(*status.add_additional_local_addresses(), address);
  }
  return xds::to_json(list);
}

std::string clusters_text(const Config& config, const std::vector<ClusterFigures>& figures) {
  std::string out;
  for (const Cluster* cluster : sorted_clusters(config)) {
    auto line = [&](std::string_view rest) { out.append(cluster->name).append("::").append(rest).append("\n"); };
    line(fmt::format("observability_name::{}", cluster->name));
    line(fmt::format("default_priority::max_connections::{}", cluster->limits.max_connections));
    line(fmt::format("default_priority::max_pending_requests::{}", cluster->limits.max_pending_requests));
    line(fmt::format("default_priority::max_requests::{}", cluster->limits.max_requests));
    line(fmt::format("default_priority::max_retries::{}", cluster->limits.max_retries));
    line(fmt::format("added_via_api::{}", cluster->type == ClusterType::static_list ? "false" : "true"));
    if (!cluster->eds_service_name.empty()) line(fmt::format("eds_service_name::{}", cluster->eds_service_name));
    for (const auto& [address, endpoint] : endpoint_figures(*cluster, figures)) {
      const std::string prefix = address.to_text() + "::";
      for (const auto& [name, value] : counters(endpoint)) line(fmt::format("{}{}::{}", prefix, name, value));
      line(fmt::format("{}health_flags::{}", prefix, health_text(endpoint.health)));
      line(fmt::format("{}weight::{}", prefix, endpoint.weight));
      line(fmt::format("{}priority::{}", prefix, endpoint.priority));
    }
  }
  return out;
}

std::string clusters_json(const Config& config, const std::vector<ClusterFigures>& figures) {
  admin::Clusters list;
  for (const Cluster* cluster : sorted_clusters(config)) {
    auto& status = *list.add_cluster_statuses();
    status.set_name(cluster->name);
    status.set_observability_name(cluster->name);
    status.set_added_via_api(cluster->type != ClusterType::static_list);
    status.set_eds_service_name(cluster->eds_service_name);
    auto& limits = *status.mutable_circuit_breakers()->add_thresholds();
    limits.mutable_max_connections()->set_value(cluster->limits.max_connections);
    limits.mutable_max_pending_requests()->set_value(cluster->limits.max_pending_requests);
    limits.mutable_max_requests()->set_value(cluster->limits.max_requests);
    limits.mutable_max_retries()->set_value(cluster->limits.max_retries);
    for (const auto& [address, endpoint] : endpoint_figures(*cluster, figures)) {
      auto& host = *status.add_host_statuses();
      set_address(*host.mutable_address(), address);
      for (const auto& [name, value] : counters(endpoint)) {
        auto& stat = *host.add_stats();
        stat.set_name(name);
        stat.set_value(value);
        stat.set_type(is_gauge(name) ? admin::SimpleMetric::GAUGE : admin::SimpleMetric::COUNTER);
      }
      host.mutable_health_status()->set_eds_health_status(endpoint.health == Health::healthy ? envoy::config::core::v3::HEALTHY
                                                          : endpoint.health == Health::unhealthy
                                                              ? envoy::config::core::v3::UNHEALTHY
                                                              : envoy::config::core::v3::DRAINING);
      host.set_weight(endpoint.weight);
      host.set_priority(endpoint.priority);
    }
  }
  return xds::to_json(list);
}

}  // namespace weir::proxy
