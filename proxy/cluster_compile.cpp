// SPDX-License-Identifier: Apache-2.0
#include "proxy/cluster_compile.h"

#include "base/text.h"
#include "base/well_known.h"
#include "proxy/field_report.h"
#include "proxy/metadata.h"
#include "proxy/proto_time.h"
#include "xds/messages.h"
#include "xds/metadata.h"
#include "xds/proto/cluster.pb.h"
#include "xds/proto/raw_buffer.pb.h"
#include "xds/proto/upstream_http.pb.h"

namespace weir::proxy {

namespace {

using Message = envoy::config::cluster::v3::Cluster;
using HttpOptions = envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
constexpr const char* kHttpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

// What is acted on, or rightly has no effect here: names for statistics, DNS and TLS details of clusters that have neither.
const std::vector<std::string_view> kKnownFields = {
    "name",
    "alt_stat_name",
    "type",
    "eds_cluster_config.eds_config",
    "eds_cluster_config.service_name",
    "connect_timeout",
    "lb_policy",
    "max_requests_per_connection",
    "circuit_breakers.thresholds.priority",
    "circuit_breakers.thresholds.max_connections",
    "circuit_breakers.thresholds.max_pending_requests",
    "circuit_breakers.thresholds.max_requests",
    "circuit_breakers.thresholds.max_retries",
    "circuit_breakers.thresholds.track_remaining",
    "cleanup_interval",
    "upstream_bind_config.source_address",
    "upstream_bind_config.extra_source_addresses.address",
    "metadata",
    "common_lb_config.healthy_panic_threshold",
    "common_http_protocol_options.idle_timeout",
    "common_http_protocol_options.max_requests_per_connection",
    "http2_protocol_options",
    "http_protocol_options",
    "ignore_health_on_host_removal",
    "load_assignment",
    "typed_extension_protocol_options",
    "dns_lookup_family",
    "dns_refresh_rate",
    "dns_failure_refresh_rate",
    "dns_jitter",
    "respect_dns_ttl",
    "typed_dns_resolver_config",
    "track_cluster_stats",
    "wait_for_warm_on_init",
    "transport_socket",
    "least_request_lb_config.choice_count",
};

class Compiler {
 public:
  Compiler(const Message& config, std::vector<Problem>& problems)
      : config_(config), problems_(problems), object_(fmt::format("Cluster \"{}\"", printable(config.name()))) {}

  std::shared_ptr<const Cluster> run() {
    const std::size_t first = problems_.size();
    if (config_.name().empty()) error("name", "is empty", "give each cluster a name");
    cluster_.name = config_.name();
    compile_type();
    compile_balancing();
    compile_limits();
    compile_source();
    compile_security();
    compile_http();
    compile_metadata();
    compile_static_endpoints();
    report_unknown_fields(config_, kKnownFields, object_, problems_);
    for (std::size_t i = first; i < problems_.size(); ++i)
      if (problems_[i].severity == Severity::error) return nullptr;
    return std::make_shared<const Cluster>(std::move(cluster_));
  }

 private:
  void error(std::string path, std::string message, std::string hint = {}) {
    problems_.push_back({Severity::error, {}, object_, std::move(path), std::move(message), std::move(hint)});
  }
  void warn(std::string path, std::string message, std::string hint = {}) {
    problems_.push_back({Severity::warning, {}, object_, std::move(path), std::move(message), std::move(hint)});
  }

  void compile_type() {
    cluster_.connect_timeout = std::chrono::seconds(5);
    if (config_.has_connect_timeout()) read_time("connect_timeout", config_.connect_timeout(), cluster_.connect_timeout);
    if (cluster_.connect_timeout.count() <= 0) error("connect_timeout", "must be above 0", "write it like \"5s\"");
    if (config_.has_cluster_type())
      return error("cluster_type", fmt::format("custom type \"{}\" is not implemented", printable(config_.cluster_type().name())),
                   "use type STATIC, EDS or ORIGINAL_DST");
    switch (config_.type()) {
      case Message::STATIC:
      case Message::STRICT_DNS:  // addresses need no resolver; names are refused with their endpoint
      case Message::LOGICAL_DNS: cluster_.type = ClusterType::static_list; break;
      case Message::EDS: return compile_eds();
      case Message::ORIGINAL_DST: cluster_.type = ClusterType::original_dst; break;
      default: error("type", fmt::format("{} is no type of cluster", static_cast<int>(config_.type()))); break;
    }
  }

  void compile_eds() {
    cluster_.type = ClusterType::eds;
    const auto& eds = config_.eds_cluster_config();
    cluster_.eds_service_name = eds.service_name().empty() ? config_.name() : eds.service_name();
    if (!config_.has_eds_cluster_config()) return error("eds_cluster_config", "is missing though the type is EDS");
    if (!eds.eds_config().has_ads())
      error("eds_cluster_config.eds_config", "is not ads: endpoints come over ADS only", "write eds_config: {ads: {}}");
  }

  void compile_balancing() {
    const bool original = cluster_.type == ClusterType::original_dst;
    switch (config_.lb_policy()) {
      case Message::ROUND_ROBIN: cluster_.lb_policy = LbPolicy::round_robin; break;
      case Message::LEAST_REQUEST: cluster_.lb_policy = LbPolicy::least_request; break;
      case Message::RANDOM: cluster_.lb_policy = LbPolicy::random; break;
      case Message::CLUSTER_PROVIDED:
        if (!original) error("lb_policy", "CLUSTER_PROVIDED fits type ORIGINAL_DST only");
        return;
      default:
        cluster_.lb_policy = LbPolicy::random;
        warn("lb_policy",
             fmt::format("{} is not implemented: endpoints are chosen at random", Message::LbPolicy_Name(config_.lb_policy())));
        break;
    }
    if (original) error("lb_policy", "must be CLUSTER_PROVIDED for type ORIGINAL_DST");
    if (config_.common_lb_config().healthy_panic_threshold().value() > 0)
      warn("common_lb_config.healthy_panic_threshold", "has no effect: unhealthy endpoints are never used");
    if (config_.has_original_dst_lb_config())
      error("original_dst_lb_config", "is not implemented, and without it requests would go elsewhere");
  }

  void compile_limits() {
    cluster_.limits = {.max_connections = 1024, .max_pending_requests = 1024, .max_requests = 1024, .max_retries = 3};
    for (int i = 0; i < config_.circuit_breakers().thresholds_size(); ++i) {
      const auto& limits = config_.circuit_breakers().thresholds(i);
      if (limits.priority() != envoy::config::core::v3::DEFAULT) {
        warn(fmt::format("circuit_breakers.thresholds[{}]", i), "is for HIGH priority, which no request has");
        continue;
      }
      if (limits.has_max_connections()) cluster_.limits.max_connections = limits.max_connections().value();
      if (limits.has_max_pending_requests()) cluster_.limits.max_pending_requests = limits.max_pending_requests().value();
      if (limits.has_max_requests()) cluster_.limits.max_requests = limits.max_requests().value();
      if (limits.has_max_retries()) cluster_.limits.max_retries = limits.max_retries().value();
    }
    cluster_.max_requests_per_connection = config_.max_requests_per_connection().value();
  }

  void add_source(const std::string& path, const envoy::config::core::v3::SocketAddress& source) {
    auto ip = IpAddr::parse(source.address());
    if (!ip) return error(path + ".address", ip.error().to_text());
    if (source.port_value() != 0)
      warn(path + ".port_value", fmt::format("{} has no effect: the kernel chooses the port", source.port_value()));
    if (ip->is_unspecified()) return;
    (ip->is_v4() ? cluster_.bind4 : cluster_.bind6) = *ip;
  }

  void compile_source() {
    if (!config_.has_upstream_bind_config()) return;
    const auto& bind = config_.upstream_bind_config();
    if (bind.has_source_address()) add_source("upstream_bind_config.source_address", bind.source_address());
    for (int i = 0; i < bind.extra_source_addresses_size(); ++i)
      add_source(fmt::format("upstream_bind_config.extra_source_addresses[{}].address", i),
                 bind.extra_source_addresses(i).address());
    // istiod names the IPv4 source only; an IPv6 workload needs its twin.
    static const IpAddr kSource4 = *IpAddr::parse(well_known::kInboundSource4);
    if (cluster_.bind4 == kSource4 && !cluster_.bind6) cluster_.bind6 = *IpAddr::parse(well_known::kInboundSource6);
  }

  void compile_security() {
    if (config_.has_transport_socket()) {
      const auto& socket = config_.transport_socket();
      if (socket.typed_config().type_url() != "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer")
        error("transport_socket", fmt::format("\"{}\" ({}) is not implemented: it would be plain text instead",
                                              printable(socket.name()), printable(xds::any_type(socket.typed_config()))));
    }
    if (config_.transport_socket_matches_size() > 0)
      error("transport_socket_matches", "is not implemented: it would be plain text instead of TLS");
    if (config_.has_transport_socket_matcher())
      error("transport_socket_matcher", "is not implemented: it would be plain text instead of TLS");
    for (int i = 0; i < config_.filters_size(); ++i) {
      const auto& filter = config_.filters(i);
      const std::string path = fmt::format("filters[{}]", i);
      if (filter.name() == "istio.metadata_exchange") {
        warn(path, "istio.metadata_exchange is not implemented: peers are known by their endpoint only");
      } else {
        error(path, fmt::format("filter \"{}\" is not implemented", printable(filter.name())));
      }
    }
  }

  void compile_http() {
    if (config_.has_http2_protocol_options()) cluster_.protocol = UpstreamProtocol::http2;
    if (config_.has_common_http_protocol_options())
      compile_common_http("common_http_protocol_options", config_.common_http_protocol_options());
    for (const auto& [key, any] : config_.typed_extension_protocol_options()) {
      const std::string path = fmt::format("typed_extension_protocol_options[{}]", printable(key));
      HttpOptions options;
      if (key != kHttpOptionsKey) {
        error(path, "is not implemented");
      } else if (auto unpacked = xds::unpack_any(any, options); !unpacked) {
        error(path, unpacked.error().to_text());
      } else {
        compile_http_options(path, options);
      }
    }
  }

  void compile_common_http(const std::string& path, const envoy::config::core::v3::HttpProtocolOptions& common) {
    if (common.has_idle_timeout()) read_time(path + ".idle_timeout", common.idle_timeout(), cluster_.idle_timeout);
    if (common.has_max_requests_per_connection())
      cluster_.max_requests_per_connection = common.max_requests_per_connection().value();
  }

  void compile_http_options(const std::string& path, const HttpOptions& options) {
    compile_common_http(path + ".common_http_protocol_options", options.common_http_protocol_options());
    if (options.has_explicit_http_config()) {
      const auto& explicit_config = options.explicit_http_config();
      if (explicit_config.has_http3_protocol_options()) error(path + ".explicit_http_config", "HTTP/3 is not implemented");
      cluster_.protocol = explicit_config.has_http2_protocol_options() ? UpstreamProtocol::http2 : UpstreamProtocol::http1;
    } else if (options.has_use_downstream_protocol_config()) {
      cluster_.protocol = UpstreamProtocol::as_downstream;
    } else if (options.has_auto_config()) {
      error(path + ".auto_config", "needs TLS with ALPN, which is not implemented");
    }
    static const std::vector<std::string_view> kKnown = {"common_http_protocol_options.idle_timeout",
                                                         "common_http_protocol_options.max_requests_per_connection",
                                                         "explicit_http_config",
                                                         "use_downstream_protocol_config",
                                                         "auto_config",
                                                         "upstream_http_protocol_options.auto_sni",
                                                         "upstream_http_protocol_options.auto_san_validation"};
    std::vector<Problem> found;
    report_unknown_fields(options, kKnown, object_, found);
    for (Problem& problem : found) {
      problem.path = path + "." + problem.path;
      problems_.push_back(std::move(problem));
    }
  }

  void compile_metadata() {
    cluster_.rule = xds::rule_of(config_.metadata());
    cluster_.service = service_of(config_.metadata(), config_.name());
  }

  void compile_static_endpoints() {
    cluster_.endpoints = std::make_shared<const EndpointSet>();
    if (!config_.has_load_assignment()) return;
    if (cluster_.type != ClusterType::static_list)
      return error("load_assignment", "stands beside a type that brings its own endpoints");
    std::vector<Problem> found;
    auto endpoints = compile_endpoints(config_.load_assignment(), found);
    for (Problem& problem : found) {
      problem.object = object_;
      problem.path = "load_assignment." + problem.path;
      problems_.push_back(std::move(problem));
    }
    if (endpoints) cluster_.endpoints = std::move(endpoints);
  }

  void read_time(const std::string& path, const google::protobuf::Duration& from, std::chrono::milliseconds& into) {
    if (auto time = to_milliseconds(from)) {
      into = *time;
    } else {
      error(path, time.error().to_text());
    }
  }

  const Message& config_;
  std::vector<Problem>& problems_;
  std::string object_;
  Cluster cluster_;
};

}  // namespace

std::shared_ptr<const Cluster> compile_cluster(const Message& config, std::vector<Problem>& problems) {
  return Compiler(config, problems).run();
}

}  // namespace weir::proxy
