// SPDX-License-Identifier: Apache-2.0
// LDS, outbound: 15001, one listener for each HTTP port, one for each address and port of other services.
#include <map>
#include <set>

#include "agent/listener_parts.h"
#include "agent/names.h"
#include "base/text.h"
#include "base/well_known.h"
#include "mesh-rules/resolve.h"
#include "xds/proto/tls_inspector.pb.h"

namespace weir::agent {
namespace {

/// Where traffic goes that no rule knows.
std::string_view unknown_cluster(const MeshView& view) {
  return view.settings().config.outbound == mesh::MeshConfig::OutboundPolicy::allow_any ? names::kPassthrough : names::kBlackHole;
}

lds::Listener unbound(const MeshView& view, const std::vector<IpAddr>& addresses, Port port) {
  lds::Listener out = make_listener(view, names::listener(addresses.front().to_text(), port), addresses, port, core::OUTBOUND);
  out.mutable_bind_to_port()->set_value(false);
  return out;
}

void add_http_chain(const MeshView& view, const std::string& route_table, lds::Listener& out) {
  hcm::HttpConnectionManager manager = make_http(view, "outbound_" + out.name() + ";");
  *manager.mutable_rds()->mutable_config_source() = ads_source();
  manager.mutable_rds()->set_route_config_name(route_table);
  lds::FilterChain& chain = *out.add_filter_chains();
  match_http(chain);
  set_filter(chain, manager);
  add_http_inspector(out);
}

void add_virtual_outbound(const MeshView& view, xds::ResourceSet& out) {
  lds::Listener listener =
      make_listener(view, std::string(names::kVirtualOutbound), wildcard(view), well_known::kOutboundPort, core::OUTBOUND);
  listener.mutable_use_original_dst()->set_value(true);
  if (view.is_transparent()) listener.mutable_transparent()->set_value(true);
  listener.mutable_max_connections_to_accept_per_socket_event()->set_value(1);
  add_access_log(view, LogOf::listener, *listener.mutable_access_log());
  lds::FilterChain& loop = *listener.add_filter_chains();
  loop.set_name("virtualOutbound-blackhole");
  loop.mutable_filter_chain_match()->mutable_destination_port()->set_value(well_known::kOutboundPort);
  set_tcp(view, loop, names::kBlackHole);
  lds::FilterChain& rest = *listener.add_filter_chains();
  rest.set_name("virtualOutbound-catchall-tcp");
  set_tcp(view, rest, unknown_cluster(view));
  out.listeners.push_back(std::move(listener));
}

/// One listener for all services with this HTTP port: Host tells them apart.
void add_http_port(const MeshView& view, Port port, xds::ResourceSet& out) {
  lds::Listener listener = unbound(view, wildcard(view), port);
  add_http_chain(view, fmt::format("{}", port), listener);
  lds::FilterChain& rest = *listener.mutable_default_filter_chain();
  rest.set_name("PassthroughFilterChain");
  set_tcp(view, rest, unknown_cluster(view));
  out.listeners.push_back(std::move(listener));
}

template <class Route>
void set_clusters(const MeshView& view, const mesh::VirtualService& rule, const Route& route, Port port,
                  lds::FilterChain& chain) {
  std::string first = cluster_of(view, route.route.front().destination, rule, port);
  tcp::TcpProxy proxy = make_tcp(view, first);
  if (route.route.size() == 1) {
    proxy.set_cluster(first);
  } else {
    for (const mesh::RouteDestination& destination : route.route) {
      if (destination.weight.value_or(0) == 0) continue;
      auto& weighted = *proxy.mutable_weighted_clusters()->add_clusters();
      weighted.set_name(cluster_of(view, destination.destination, rule, port));
      weighted.set_weight(*destination.weight);
    }
  }
  set_filter(chain, proxy);
  set_rule(*chain.mutable_metadata(), rule.meta, route.where, false);
}

void set_subnets(const mesh::TcpMatch& match, lds::FilterChain& chain) {
  for (const std::string& text : match.destination_subnets) {
    Result<Cidr> subnet = Cidr::parse(text);
    if (!subnet) continue;
    core::CidrRange& range = *chain.mutable_filter_chain_match()->add_prefix_ranges();
    range.set_address_prefix(subnet->address().to_text());
    range.mutable_prefix_len()->set_value(subnet->prefix());
  }
}

/// Adds a chain for those of its conditions (subnet and server name) that no chain before it has: the first counts, and Envoy
/// refuses a listener whose chains overlap.
void add_chain(lds::Listener& out, std::set<std::string>& taken, lds::FilterChain chain) {
  const lds::FilterChainMatch whole = chain.filter_chain_match();
  std::vector<lds::FilterChainMatch> free;
  int count = 0;
  for (int i = 0; i < std::max(1, whole.prefix_ranges_size()); ++i) {
    for (int k = 0; k < std::max(1, whole.server_names_size()); ++k, ++count) {
      lds::FilterChainMatch one;
      if (whole.prefix_ranges_size() > 0) *one.add_prefix_ranges() = whole.prefix_ranges(i);
      if (whole.server_names_size() > 0) one.add_server_names(whole.server_names(k));
      if (taken.insert(one.SerializeAsString()).second) free.push_back(std::move(one));
    }
  }
  if (free.size() == static_cast<std::size_t>(count)) {
    *out.add_filter_chains() = std::move(chain);
    return;
  }
  for (lds::FilterChainMatch& one : free) {
    lds::FilterChain& part = *out.add_filter_chains();
    part = chain;
    *part.mutable_filter_chain_match() = std::move(one);
  }
}

/// Chains of a VirtualService's tls routes. True if there are any for this proxy: the service's own chain then is not added.
bool add_tls_routes(const MeshView& view, const ServiceView& service, Port port, std::set<std::string>& taken,
                    lds::Listener& out) {
  bool any = false;
  for (const mesh::TlsRoute& route : service.virtual_service->tls) {
    for (const mesh::TlsMatch& match : route.match) {
      if (!concerns(view, match, port)) continue;
      lds::FilterChain chain;
      set_subnets(match, chain);
      for (const std::string& name : match.sni_hosts) chain.mutable_filter_chain_match()->add_server_names(to_lower(name));
      set_clusters(view, *service.virtual_service, route, port, chain);
      add_chain(out, taken, std::move(chain));
      any = true;
    }
  }
  if (!any) return false;
  envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector inspector;
  inspector.mutable_initial_read_buffer_size()->set_value(512);
  add_listener_filter(out, "envoy.filters.listener.tls_inspector", inspector);
  // What no route names goes where it was going.
  lds::FilterChain& rest = *out.mutable_default_filter_chain();
  rest.set_name("PassthroughFilterChain");
  set_tcp(view, rest, unknown_cluster(view));
  return true;
}

/// Chains of tcp routes, in order, up to the first that takes everything. True if one does.
bool add_tcp_routes(const MeshView& view, const ServiceView& service, Port port, std::set<std::string>& taken,
                    lds::Listener& out) {
  for (const mesh::TcpRoute& route : service.virtual_service->tcp) {
    std::vector<const mesh::TcpMatch*> matches;
    for (const mesh::TcpMatch& match : route.match) {
      if (concerns(view, match, port)) matches.push_back(&match);
    }
    if (route.match.empty()) matches.push_back(nullptr);
    for (const mesh::TcpMatch* match : matches) {
      lds::FilterChain chain;
      if (match != nullptr) set_subnets(*match, chain);
      set_clusters(view, *service.virtual_service, route, port, chain);
      add_chain(out, taken, std::move(chain));
      if (match == nullptr || match->destination_subnets.empty()) return true;
    }
  }
  return false;
}

/// What is not HTTP of a service with an address of its own.
void add_tcp_chains(const MeshView& view, const ServiceView& service, const PortView& port, lds::Listener& out) {
  std::set<std::string> taken;
  Port number = port.port->port;
  if (service.virtual_service != nullptr) {
    if (port.protocol == Protocol::tls && add_tls_routes(view, service, number, taken, out)) return;
    if (port.protocol != Protocol::tls && add_tcp_routes(view, service, number, taken, out)) return;
  }
  lds::FilterChain chain;
  set_tcp(view, chain, names::outbound_cluster(number, "", service.host));
  add_chain(out, taken, std::move(chain));
}

void add_address(const MeshView& view, const ServiceView& service, const PortView& port, const std::vector<IpAddr>& addresses,
                 std::set<std::string>& taken, xds::ResourceSet& out) {
  // Of two services with one address and port the first counts.
  for (const IpAddr& ip : addresses) {
    if (!taken.insert(names::listener(ip.to_text(), port.port->port)).second) return;
  }
  lds::Listener listener = unbound(view, addresses, port.port->port);
  if (port.protocol == Protocol::detect) {
    add_http_chain(view, names::host_port(service.host, port.port->port), listener);
    lds::Listener rest;
    add_tcp_chains(view, service, port, rest);
    for (lds::FilterChain& chain : *rest.mutable_filter_chains()) {
      if (chain.has_filter_chain_match()) {
        *listener.add_filter_chains() = std::move(chain);
      } else {
        *listener.mutable_default_filter_chain() = std::move(chain);
      }
    }
  } else {
    add_tcp_chains(view, service, port, listener);
  }
  out.listeners.push_back(std::move(listener));
}

/// Addresses of a service that this proxy's families can reach.
std::vector<IpAddr> usable(const MeshView& view, const std::vector<IpAddr>& addresses) {
  std::vector<IpAddr> out;
  for (const IpAddr& ip : addresses) {
    // The wildcard's listeners belong to the HTTP ports.
    if ((ip.is_v4() || view.has_v6()) && !ip.is_unspecified()) out.push_back(ip);
  }
  return out;
}

}  // namespace

void translate_outbound_listeners(const MeshView& view, xds::ResourceSet& out) {
  add_virtual_outbound(view, out);
  std::set<Port> http_ports;
  std::set<std::string> taken;
  for (const ServiceView& service : view.services()) {
    for (const PortView& port : service.ports) {
      if (is_http(port.protocol)) {
        // 15001 and 15006 are the proxy's own: a listener there would take its place.
        bool is_ours = port.port->port == well_known::kOutboundPort || port.port->port == well_known::kInboundPort;
        if (!is_ours && http_ports.insert(port.port->port).second) add_http_port(view, port.port->port, out);
      } else if (std::vector<IpAddr> addresses = usable(view, service.service->cluster_ips); !addresses.empty()) {
        add_address(view, service, port, addresses, taken, out);
      } else if (service.service->headless) {
        for (const EndpointView& endpoint : port.endpoints) {
          // Calls to our own address do not come this way.
          if (view.is_own(endpoint.addresses.front())) continue;
          add_address(view, service, port, usable(view, endpoint.addresses), taken, out);
        }
      }
    }
  }
}

}  // namespace weir::agent
