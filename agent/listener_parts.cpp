// SPDX-License-Identifier: Apache-2.0
#include "agent/listener_parts.h"

#include "agent/names.h"
#include "xds/proto/cors.pb.h"
#include "xds/proto/fault.pb.h"
#include "xds/proto/grpc_stats.pb.h"
#include "xds/proto/http_inspector.pb.h"
#include "xds/proto/request_id.pb.h"
#include "xds/proto/router.pb.h"

namespace weir::agent {

std::vector<IpAddr> wildcard(const MeshView& view) {
  std::vector<IpAddr> addresses = {IpAddr::any(Family::v4)};
  if (view.has_v6()) addresses.push_back(IpAddr::any(Family::v6));
  return addresses;
}

lds::Listener make_listener(const MeshView&, const std::string& name, const std::vector<IpAddr>& addresses, Port port,
                            core::TrafficDirection direction) {
  lds::Listener out;
  out.set_name(name);
  *out.mutable_address() = address(addresses.front(), port);
  for (std::size_t i = 1; i < addresses.size(); ++i)
    *out.add_additional_addresses()->mutable_address() = address(addresses[i], port);
  out.set_traffic_direction(direction);
  // No limit, as in Istio: a limit here would make a slow client's HTTP go as TCP. Our own proxy has its own way not to let a
  // client of a server-first protocol wait.
  out.mutable_listener_filters_timeout();
  out.set_continue_on_listener_filters_timeout(true);
  return out;
}

hcm::HttpConnectionManager make_http(const MeshView& view, const std::string& stat_prefix) {
  hcm::HttpConnectionManager out;
  out.set_stat_prefix(stat_prefix);
  out.mutable_use_remote_address()->set_value(false);
  out.mutable_stream_idle_timeout();
  out.mutable_normalize_path()->set_value(true);
  out.set_path_with_escaped_slashes_action(hcm::HttpConnectionManager::KEEP_UNCHANGED);
  out.set_proxy_100_continue(true);
  out.add_upgrade_configs()->set_upgrade_type("websocket");
  // Istio refuses HTTP/1.0 unless asked (426, a frequent complaint): here it is served by the same rules.
  out.mutable_http_protocol_options()->set_accept_http_10(true);
  hcm::HttpConnectionManager::Tracing& tracing = *out.mutable_tracing();
  tracing.mutable_client_sampling()->set_value(100);
  tracing.mutable_random_sampling()->set_value(1);
  tracing.mutable_overall_sampling()->set_value(100);
  envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig request_id;
  request_id.mutable_use_request_id_for_trace_sampling()->set_value(true);
  pack(request_id, *out.mutable_request_id_extension()->mutable_typed_config());

  envoy::extensions::filters::http::grpc_stats::v3::FilterConfig grpc_stats;
  grpc_stats.set_emit_filter_state(true);
  grpc_stats.mutable_stats_for_all_methods()->set_value(false);
  pack_named("envoy.filters.http.grpc_stats", grpc_stats, *out.add_http_filters());
  pack_named("envoy.filters.http.fault", envoy::extensions::filters::http::fault::v3::HTTPFault(), *out.add_http_filters());
  pack_named("envoy.filters.http.cors", envoy::extensions::filters::http::cors::v3::Cors(), *out.add_http_filters());
  pack_named("envoy.filters.http.router", envoy::extensions::filters::http::router::v3::Router(), *out.add_http_filters());
  add_access_log(view, LogOf::requests, *out.mutable_access_log());
  return out;
}

tcp::TcpProxy make_tcp(const MeshView& view, const std::string& stat_prefix) {
  tcp::TcpProxy out;
  out.set_stat_prefix(stat_prefix);
  add_access_log(view, LogOf::requests, *out.mutable_access_log());
  return out;
}

void set_filter(lds::FilterChain& chain, const hcm::HttpConnectionManager& manager) {
  pack_named("envoy.filters.network.http_connection_manager", manager, *chain.add_filters());
  chain.mutable_transport_socket_connect_timeout()->set_seconds(15);
}

void set_filter(lds::FilterChain& chain, const tcp::TcpProxy& proxy) {
  pack_named("envoy.filters.network.tcp_proxy", proxy, *chain.add_filters());
  chain.mutable_transport_socket_connect_timeout()->set_seconds(15);
}

void set_tcp(const MeshView& view, lds::FilterChain& chain, std::string_view cluster) {
  tcp::TcpProxy proxy = make_tcp(view, std::string(cluster));
  proxy.set_cluster(std::string(cluster));
  set_filter(chain, proxy);
}

void match_http(lds::FilterChain& chain) {
  lds::FilterChainMatch& match = *chain.mutable_filter_chain_match();
  match.set_transport_protocol("raw_buffer");
  for (const char* protocol : {"http/1.0", "http/1.1", "h2c"}) match.add_application_protocols(protocol);
}

void add_listener_filter(lds::Listener& listener, std::string_view name, const google::protobuf::Message& config) {
  pack_named(name, config, *listener.add_listener_filters());
}

void add_http_inspector(lds::Listener& listener) {
  add_listener_filter(listener, "envoy.filters.listener.http_inspector",
                      envoy::extensions::filters::listener::http_inspector::v3::HttpInspector());
}

}  // namespace weir::agent
