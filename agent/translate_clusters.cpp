// SPDX-License-Identifier: Apache-2.0
// CDS: a cluster for each port of each service and each subset, the workload's own ports, and the built-in ones.
#include "agent/names.h"
#include "agent/translate_parts.h"
#include "agent/xds_values.h"
#include "base/well_known.h"
#include "xds/proto/upstream_http.pb.h"

namespace weir::agent {
namespace {

namespace cds = envoy::config::cluster::v3;
using Options = envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

constexpr std::string_view kOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
constexpr std::uint32_t kUnlimited = UINT32_MAX;
constexpr std::chrono::seconds kPassthroughIdle{300};
/// istiod's: the longest that Envoy takes, so that hosts of the workload's own address are never dropped.
constexpr std::chrono::seconds kNever{9223372035};

void set_options(cds::Cluster& cluster, const Options& options) {
  pack(options, (*cluster.mutable_typed_extension_protocol_options())[std::string(kOptionsKey)]);
}

/// What every cluster has.
cds::Cluster make(const MeshView& view, std::string_view name, cds::Cluster::DiscoveryType type) {
  cds::Cluster cluster;
  cluster.set_name(std::string(name));
  cluster.set_alt_stat_name(std::string(name) + ";");
  cluster.set_type(type);
  set(*cluster.mutable_connect_timeout(), view.settings().config.connect_timeout);
  if (type == cds::Cluster::ORIGINAL_DST) cluster.set_lb_policy(cds::Cluster::CLUSTER_PROVIDED);
  return cluster;
}

void set_limits(cds::Cluster& cluster, const mesh::ConnectionPool& pool) {
  cds::CircuitBreakers::Thresholds& limits = *cluster.mutable_circuit_breakers()->add_thresholds();
  // Zero means "unset" in Istio.
  auto value = [](const std::optional<std::uint32_t>& given) { return given && *given != 0 ? *given : kUnlimited; };
  limits.mutable_max_connections()->set_value(value(pool.max_connections));
  limits.mutable_max_pending_requests()->set_value(value(pool.http1_max_pending_requests));
  limits.mutable_max_requests()->set_value(value(pool.http2_max_requests));
  limits.mutable_max_retries()->set_value(value(pool.max_retries));
}

void set_balancing(cds::Cluster& cluster, mesh::LoadBalancer balancer) {
  switch (balancer) {
    case mesh::LoadBalancer::round_robin: cluster.set_lb_policy(cds::Cluster::ROUND_ROBIN); return;
    case mesh::LoadBalancer::random: cluster.set_lb_policy(cds::Cluster::RANDOM); return;
    case mesh::LoadBalancer::passthrough:
      cluster.set_type(cds::Cluster::ORIGINAL_DST);
      cluster.set_lb_policy(cds::Cluster::CLUSTER_PROVIDED);
      cluster.clear_eds_cluster_config();
      return;
    case mesh::LoadBalancer::unspecified:
    case mesh::LoadBalancer::least_request: cluster.set_lb_policy(cds::Cluster::LEAST_REQUEST); return;
  }
}

void set_outliers(cds::Cluster& cluster, const mesh::OutlierDetection& from) {
  cds::OutlierDetection& out = *cluster.mutable_outlier_detection();
  out.mutable_enforcing_success_rate()->set_value(0);
  if (from.consecutive_5xx_errors) {
    out.mutable_consecutive_5xx()->set_value(*from.consecutive_5xx_errors);
    out.mutable_enforcing_consecutive_5xx()->set_value(*from.consecutive_5xx_errors > 0 ? 100 : 0);
  }
  if (from.consecutive_gateway_errors) {
    out.mutable_consecutive_gateway_failure()->set_value(*from.consecutive_gateway_errors);
    out.mutable_enforcing_consecutive_gateway_failure()->set_value(*from.consecutive_gateway_errors > 0 ? 100 : 0);
  }
  if (from.interval) set(*out.mutable_interval(), *from.interval);
  if (from.base_ejection_time) set(*out.mutable_base_ejection_time(), *from.base_ejection_time);
  if (from.max_ejection_percent) out.mutable_max_ejection_percent()->set_value(*from.max_ejection_percent);
  if (from.min_health_percent)
    cluster.mutable_common_lb_config()->mutable_healthy_panic_threshold()->set_value(*from.min_health_percent);
}

/// HTTP options that the protocol or the pool asks for; none set = none sent.
void set_http(cds::Cluster& cluster, Protocol protocol, const mesh::ConnectionPool& pool) {
  Options options;
  if (protocol == Protocol::http2) options.mutable_explicit_http_config()->mutable_http2_protocol_options();
  if (protocol == Protocol::detect) {
    options.mutable_use_downstream_protocol_config()->mutable_http_protocol_options();
    options.mutable_use_downstream_protocol_config()->mutable_http2_protocol_options();
  }
  std::optional<Nanoseconds> idle = pool.http_idle_timeout ? pool.http_idle_timeout : pool.tcp_idle_timeout;
  if (idle) set(*options.mutable_common_http_protocol_options()->mutable_idle_timeout(), *idle);
  if (pool.max_requests_per_connection.value_or(0) > 0) {
    options.mutable_common_http_protocol_options()->mutable_max_requests_per_connection()->set_value(
        *pool.max_requests_per_connection);
  }
  bool has_protocol = options.upstream_protocol_options_case() != Options::UPSTREAM_PROTOCOL_OPTIONS_NOT_SET;
  if (!has_protocol && !options.has_common_http_protocol_options()) return;
  // Envoy refuses the message without a protocol.
  if (!has_protocol) options.mutable_explicit_http_config()->mutable_http_protocol_options();
  set_options(cluster, options);
}

void set_policy(cds::Cluster& cluster, Protocol protocol, const mesh::TrafficPolicy& policy, bool is_headless) {
  mesh::ConnectionPool pool = policy.connection_pool.value_or(mesh::ConnectionPool());
  set_limits(cluster, pool);
  if (pool.connect_timeout && pool.connect_timeout->count() > 0) set(*cluster.mutable_connect_timeout(), *pool.connect_timeout);
  if (pool.tcp_keepalive) {
    core::TcpKeepalive& out = *cluster.mutable_upstream_connection_options()->mutable_tcp_keepalive();
    auto seconds = [](const Nanoseconds& value) {
      return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(value).count());
    };
    if (pool.tcp_keepalive->probes) out.mutable_keepalive_probes()->set_value(*pool.tcp_keepalive->probes);
    if (pool.tcp_keepalive->time) out.mutable_keepalive_time()->set_value(seconds(*pool.tcp_keepalive->time));
    if (pool.tcp_keepalive->interval) out.mutable_keepalive_interval()->set_value(seconds(*pool.tcp_keepalive->interval));
  }
  cluster.mutable_common_lb_config()->mutable_healthy_panic_threshold();
  if (!is_headless) set_balancing(cluster, policy.load_balancer);
  if (policy.outlier_detection && cluster.type() == cds::Cluster::EDS) set_outliers(cluster, *policy.outlier_detection);
  set_http(cluster, protocol, pool);
}

void set_service(cds::Cluster& cluster, const ServiceView& service) {
  auto& istio = (*cluster.mutable_metadata()->mutable_filter_metadata())["istio"];
  auto& entry =
      *(*istio.mutable_fields())["services"].mutable_list_value()->add_values()->mutable_struct_value()->mutable_fields();
  entry["host"].set_string_value(service.host);
  entry["name"].set_string_value(service.service->meta.name());
  entry["namespace"].set_string_value(service.service->meta.ns());
}

/// `rule` is null or the one that defines the subset, or whose policy counts.
cds::Cluster outbound(const MeshView& view, const ServiceView& service, const PortView& port, const mesh::DestinationRule* rule,
                      const mesh::Subset* subset) {
  std::string name = names::outbound_cluster(port.port->port, subset != nullptr ? subset->name : "", service.host);
  bool is_headless = service.service->headless;
  cds::Cluster cluster = make(view, name, is_headless ? cds::Cluster::ORIGINAL_DST : cds::Cluster::EDS);
  if (!is_headless) {
    *cluster.mutable_eds_cluster_config()->mutable_eds_config() = ads_source();
    cluster.mutable_eds_cluster_config()->set_service_name(name);
  }
  mesh::TrafficPolicy policy =
      rule != nullptr ? mesh::effective_policy(*service.rule->rule, subset, port.port->port) : mesh::TrafficPolicy();
  set_policy(cluster, port.protocol, policy, is_headless);
  set_service(cluster, service);
  if (rule != nullptr) set_rule(*cluster.mutable_metadata(), rule->meta, rule->meta.where, false);
  if (subset != nullptr) {
    auto& istio = (*cluster.mutable_metadata()->mutable_filter_metadata())["istio"];
    (*istio.mutable_fields())["subset"].set_string_value(subset->name);
  }
  return cluster;
}

/// To where the connection was going. Inbound ones leave from an address by which the capture knows them.
cds::Cluster original(const MeshView& view, std::string_view name, bool is_inbound) {
  cds::Cluster cluster = make(view, name, cds::Cluster::ORIGINAL_DST);
  set_limits(cluster, {});
  if (!is_inbound) return cluster;
  core::BindConfig& bind = *cluster.mutable_upstream_bind_config();
  bind.mutable_source_address()->set_address(well_known::kInboundSource4);
  bind.mutable_source_address()->set_port_value(0);
  core::SocketAddress& extra = *bind.add_extra_source_addresses()->mutable_address();
  extra.set_address(well_known::kInboundSource6);
  extra.set_port_value(0);
  return cluster;
}

void set_any_protocol(cds::Cluster& cluster) {
  Options options;
  set(*options.mutable_common_http_protocol_options()->mutable_idle_timeout(), kPassthroughIdle);
  options.mutable_use_downstream_protocol_config()->mutable_http_protocol_options();
  options.mutable_use_downstream_protocol_config()->mutable_http2_protocol_options();
  set_options(cluster, options);
}

void add_inbound(const MeshView& view, const OwnPort& own, xds::ResourceSet& out) {
  cds::Cluster cluster = original(view, names::inbound_cluster(own.port), true);
  set(*cluster.mutable_cleanup_interval(), kNever);
  cluster.mutable_common_lb_config()->mutable_healthy_panic_threshold();
  set_http(cluster, own.protocol, {});
  set_service(cluster, *own.service);
  out.clusters.push_back(std::move(cluster));
}

}  // namespace

void translate_clusters(const MeshView& view, xds::ResourceSet& out) {
  for (const ServiceView& service : view.services()) {
    for (const PortView& port : service.ports) {
      out.clusters.push_back(outbound(view, service, port, service.rule ? service.rule->rule : nullptr, nullptr));
      if (!service.rule) continue;
      for (const auto& [rule, subset] : service.rule->subsets)
        out.clusters.push_back(outbound(view, service, port, rule, subset));
    }
  }
  out.clusters.push_back(make(view, names::kBlackHole, cds::Cluster::STATIC));
  out.clusters.push_back(original(view, names::kPassthrough, false));
  set_any_protocol(out.clusters.back());
  for (const OwnPort& own : view.own_ports()) add_inbound(view, own, out);
  out.clusters.push_back(original(view, names::kInboundPassthrough, true));
  set_any_protocol(out.clusters.back());
}

}  // namespace weir::agent
