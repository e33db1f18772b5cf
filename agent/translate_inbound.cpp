// SPDX-License-Identifier: Apache-2.0
// LDS, inbound: 15006, with a chain for each of the workload's own ports.
#include "agent/listener_parts.h"
#include "agent/names.h"
#include "base/well_known.h"
#include "xds/proto/http_inspector.pb.h"
#include "xds/proto/original_dst.pb.h"
#include "xds/proto/original_src.pb.h"

namespace weir::agent {
namespace {

namespace rds = envoy::config::route::v3;

/// One route to one cluster; `operation` is for traces.
hcm::HttpConnectionManager inbound_http(const MeshView& view, const std::string& cluster, Port port, const std::string& operation,
                                        bool is_grpc) {
  hcm::HttpConnectionManager out = make_http(view, fmt::format("inbound_0.0.0.0_{};", port));
  out.set_server_name("istio-envoy");
  out.set_forward_client_cert_details(hcm::HttpConnectionManager::APPEND_FORWARD);
  out.mutable_set_current_client_cert_details()->mutable_subject()->set_value(true);
  out.mutable_set_current_client_cert_details()->set_dns(true);
  out.mutable_set_current_client_cert_details()->set_uri(true);

  rds::RouteConfiguration& config = *out.mutable_route_config();
  config.set_name(cluster);
  config.mutable_validate_clusters()->set_value(false);
  rds::VirtualHost& host = *config.add_virtual_hosts();
  host.set_name(fmt::format("inbound|http|{}", port));
  host.add_domains("*");
  rds::Route& route = *host.add_routes();
  route.set_name("default");
  route.mutable_match()->set_prefix("/");
  route.mutable_decorator()->set_operation(operation);
  rds::RouteAction& action = *route.mutable_route();
  action.set_cluster(cluster);
  action.mutable_timeout();
  action.mutable_max_stream_duration()->mutable_max_stream_duration();
  action.mutable_max_stream_duration()->mutable_grpc_timeout_header_max();
  if (!is_grpc) {
    // The workload may close an idle connection just as a request is sent on it.
    action.mutable_retry_policy()->set_retry_on("reset-before-request");
    action.mutable_retry_policy()->mutable_num_retries()->set_value(2);
  }
  return out;
}

void add_inspector(const MeshView& view, lds::Listener& listener) {
  std::vector<Port> declared;
  for (const OwnPort& own : view.own_ports()) {
    if (own.protocol != Protocol::detect) declared.push_back(own.port);
  }
  add_http_inspector(listener);
  if (declared.empty()) return;
  auto& disabled = *listener.mutable_listener_filters(listener.listener_filters_size() - 1)->mutable_filter_disabled();
  auto set_range = [](lds::ListenerFilterChainMatchPredicate& rule, Port port) {
    rule.mutable_destination_port_range()->set_start(port);
    rule.mutable_destination_port_range()->set_end(port + 1);
  };
  // Envoy wants two rules at least in an or_match.
  if (declared.size() == 1) return set_range(disabled, declared.front());
  for (Port port : declared) set_range(*disabled.mutable_or_match()->add_rules(), port);
}

void add_own_port(const MeshView& view, const OwnPort& own, lds::Listener& listener) {
  std::string cluster = names::inbound_cluster(own.port);
  auto chain_for = [&](bool by_protocol) -> lds::FilterChain& {
    lds::FilterChain& chain = *listener.add_filter_chains();
    if (by_protocol) match_http(chain);
    chain.mutable_filter_chain_match()->set_transport_protocol("raw_buffer");
    chain.mutable_filter_chain_match()->mutable_destination_port()->set_value(own.port);
    chain.set_name(names::listener("0.0.0.0", own.port));
    return chain;
  };
  if (is_http(own.protocol) || own.protocol == Protocol::detect) {
    std::string operation = names::host_port(own.service->host, own.service_port) + "/*";
    set_filter(chain_for(own.protocol == Protocol::detect),
               inbound_http(view, cluster, own.port, operation, own.protocol == Protocol::http2));
  }
  if (is_http(own.protocol)) return;
  lds::FilterChain& chain = chain_for(false);
  // Beside a chain for HTTP, both must ask for the same transport: the more specific one would win, and chains are chosen without
  // a way back. The workload's own TLS goes through either way, since nothing here looks for it.
  if (own.protocol != Protocol::detect) chain.mutable_filter_chain_match()->clear_transport_protocol();
  set_tcp(view, chain, cluster);
}

}  // namespace

void translate_inbound_listener(const MeshView& view, xds::ResourceSet& out) {
  lds::Listener listener =
      make_listener(view, std::string(names::kVirtualInbound), wildcard(view), well_known::kInboundPort, core::INBOUND);
  listener.mutable_max_connections_to_accept_per_socket_event()->set_value(1);
  add_listener_filter(listener, "envoy.filters.listener.original_dst",
                      envoy::extensions::filters::listener::original_dst::v3::OriginalDst());
  if (view.is_transparent()) {
    listener.mutable_transparent()->set_value(true);
    envoy::extensions::filters::listener::original_src::v3::OriginalSrc source;
    source.set_mark(well_known::kTproxyMark);
    add_listener_filter(listener, "envoy.filters.listener.original_src", source);
  }
  add_inspector(view, listener);
  add_access_log(view, LogOf::listener, *listener.mutable_access_log());

  lds::FilterChain& loop = *listener.add_filter_chains();
  loop.set_name("virtualInbound-blackhole");
  loop.mutable_filter_chain_match()->mutable_destination_port()->set_value(well_known::kInboundPort);
  set_tcp(view, loop, names::kBlackHole);
  std::string rest(names::kInboundPassthrough);
  lds::FilterChain& http = *listener.add_filter_chains();
  http.set_name("virtualInbound-catchall-http");
  match_http(http);
  set_filter(http, inbound_http(view, rest, 0, ":0/*", false));
  lds::FilterChain& other = *listener.add_filter_chains();
  other.set_name("virtualInbound");
  other.mutable_filter_chain_match()->set_transport_protocol("raw_buffer");
  set_tcp(view, other, names::kInboundPassthrough);
  for (const OwnPort& own : view.own_ports()) add_own_port(view, own, listener);
  out.listeners.push_back(std::move(listener));
}

}  // namespace weir::agent
