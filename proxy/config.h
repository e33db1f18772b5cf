// SPDX-License-Identifier: Apache-2.0
// What the data path sees of the mesh configuration: immutable, compiled on the main thread, swapped per worker as a pointer
// (invariant 7). A request keeps the Config it started with.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ip.h"
#include "base/problem.h"
#include "routing/listener_table.h"
#include "routing/route_table.h"

namespace weir::proxy {

enum class Health : std::uint8_t { healthy, unhealthy, draining };

struct Endpoint {
  SocketAddr address;                  ///< its identity
  std::vector<SocketAddr> additional;  ///< of the other family, say: dialled in turn once the one before could not be reached
  std::uint32_t weight = 1;
  std::uint32_t priority = 0;
  Health health = Health::healthy;
  std::string workload;  ///< istio.workload metadata, "" if none
};

/// One ClusterLoadAssignment; shared by the Configs that did not change it.
struct EndpointSet {
  std::vector<Endpoint> endpoints;
};

enum class ClusterType : std::uint8_t { static_list, eds, original_dst };
enum class LbPolicy : std::uint8_t { round_robin, least_request, random };

/// Protocol spoken to the cluster's endpoints.
enum class UpstreamProtocol : std::uint8_t { http1, http2, as_downstream };

struct CircuitLimits {
  std::uint32_t max_connections = UINT32_MAX;
  std::uint32_t max_pending_requests = UINT32_MAX;
  std::uint32_t max_requests = UINT32_MAX;
  std::uint32_t max_retries = UINT32_MAX;
};

/// What Istio's metrics say of the destination; from the cluster's metadata istio.services, "unknown" where it is not there.
struct ServiceLabels {
  std::string host = "unknown";  ///< destination_service
  std::string name = "unknown";  ///< destination_service_name; the cluster's name for the built-in ones
  std::string ns = "unknown";    ///< destination_service_namespace
  friend bool operator==(const ServiceLabels&, const ServiceLabels&) = default;
};

struct Cluster {
  std::string name;
  std::string eds_service_name;  ///< resource name asked of EDS
  ClusterType type = ClusterType::eds;
  LbPolicy lb_policy = LbPolicy::least_request;
  UpstreamProtocol protocol = UpstreamProtocol::http1;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds idle_timeout{3'600'000};  ///< of pooled upstream connections
  std::uint32_t max_requests_per_connection = 0;      ///< 0 = no limit
  CircuitLimits limits;
  std::optional<IpAddr> bind4;  ///< source for IPv4 endpoints (127.0.0.6 inbound)
  std::optional<IpAddr> bind6;
  RuleRef rule;  ///< the DestinationRule it comes from, if any
  ServiceLabels service;
  std::shared_ptr<const EndpointSet> endpoints;  ///< never null; empty for original_dst
};

struct Config {
  std::uint64_t generation = 0;
  std::shared_ptr<const routing::ListenerTable> listeners;                             ///< never null
  std::unordered_map<std::string, std::shared_ptr<const routing::RouteTable>> routes;  ///< RDS, by name
  std::unordered_map<std::string, std::shared_ptr<const Cluster>> clusters;

  const Cluster* cluster(const std::string& name) const {
    auto it = clusters.find(name);
    return it == clusters.end() ? nullptr : it->second.get();
  }
};

}  // namespace weir::proxy
