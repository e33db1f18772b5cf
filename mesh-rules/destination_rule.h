// SPDX-License-Identifier: Apache-2.0
// Istio's DestinationRule as a value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/duration.h"
#include "mesh-rules/object.h"

namespace weir::mesh {

enum class LoadBalancer : std::uint8_t { unspecified, round_robin, least_request, random, passthrough };

struct TcpKeepalive {
  std::optional<std::uint32_t> probes;
  std::optional<Nanoseconds> time, interval;
};

/// Absent and 0 both mean "Istio's default", as in Istio.
struct ConnectionPool {
  std::optional<std::uint32_t> max_connections;
  std::optional<Nanoseconds> connect_timeout;
  std::optional<TcpKeepalive> tcp_keepalive;
  std::optional<Nanoseconds> tcp_idle_timeout;
  std::optional<std::uint32_t> http1_max_pending_requests, http2_max_requests, max_requests_per_connection, max_retries;
  std::optional<Nanoseconds> http_idle_timeout;
};

struct OutlierDetection {
  std::optional<std::uint32_t> consecutive_5xx_errors, consecutive_gateway_errors;
  std::optional<Nanoseconds> interval, base_ejection_time;
  std::optional<std::uint32_t> max_ejection_percent, min_health_percent;
};

/// Blocks override each other as a whole: an absent block is taken from the less specific policy.
struct TrafficPolicy {
  LoadBalancer load_balancer = LoadBalancer::unspecified;
  std::optional<ConnectionPool> connection_pool;
  std::optional<OutlierDetection> outlier_detection;
};

/// For one port the entry replaces the whole policy; nothing is inherited.
struct PortPolicy {
  std::uint32_t port = 0;
  TrafficPolicy policy;
};

struct PolicySet {
  TrafficPolicy all_ports;
  std::vector<PortPolicy> by_port;
};

struct Subset {
  SourceRef where;
  std::string name;
  Labels labels;
  PolicySet policy;
};

struct DestinationRule {
  Meta meta;
  SourceRef host_where;
  std::string host;  ///< as written
  std::vector<std::string> export_to;
  PolicySet policy;
  std::vector<Subset> subsets;
};

/// The policy that counts for a port and (optionally) a subset of a rule, by Istio's order: subset's port entry > subset's
/// blocks over the rule's port entry or the rule's blocks.
TrafficPolicy effective_policy(const DestinationRule& rule, const Subset* subset, std::uint32_t port);

}  // namespace weir::mesh
