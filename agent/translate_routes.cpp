// SPDX-License-Identifier: Apache-2.0
// RDS: one table for each HTTP port, one for each port whose protocol is detected.
#include <map>
#include <set>

#include "agent/names.h"
#include "agent/translate_parts.h"
#include "agent/xds_values.h"
#include "base/text.h"

namespace weir::agent {
namespace {

namespace rds = envoy::config::route::v3;

constexpr std::uint32_t kMaxDirectResponse = 1U << 20;
/// Only there do VirtualServices for hosts without a Service count.
constexpr Port kPlainHttp = 80;

rds::RouteConfiguration table(const std::string& name) {
  rds::RouteConfiguration out;
  out.set_name(name);
  out.mutable_validate_clusters()->set_value(false);
  out.mutable_max_direct_response_body_size_bytes()->set_value(kMaxDirectResponse);
  out.set_ignore_port_in_host_matching(true);
  return out;
}

/// The names by which callers of this proxy's namespace reach a service. Ports in Host do not count.
std::vector<std::string> domains_of(const MeshView& view, const ServiceView& service) {
  const mesh::Meta& meta = service.service->meta;
  std::vector<std::string> domains = {service.host};
  if (meta.ns() == view.ns()) domains.push_back(meta.name());
  domains.push_back(fmt::format("{}.{}.svc", meta.name(), meta.ns()));
  domains.push_back(fmt::format("{}.{}", meta.name(), meta.ns()));
  if (service.service->headless) {
    for (std::size_t i = 0, n = domains.size(); i < n; ++i) domains.push_back("*." + domains[i]);
  }
  for (const IpAddr& ip : service.service->cluster_ips) domains.push_back(ip.is_v4() ? ip.to_text() : "[" + ip.to_text() + "]");
  return domains;
}

/// Adds a virtual host with those domains that none before it has; Envoy refuses a table with a domain twice.
void add_host(rds::RouteConfiguration& out, std::set<std::string>& taken, rds::VirtualHost host,
              const std::vector<std::string>& domains) {
  for (const std::string& domain : domains) {
    if (taken.insert(to_lower(domain)).second) host.add_domains(domain);
  }
  if (host.domains_size() == 0 || host.routes_size() == 0) return;
  host.set_include_request_attempt_count(true);
  *out.add_virtual_hosts() = std::move(host);
}

/// The routes of a service: its VirtualService's, or the default one. Empty if the VirtualService has none for this proxy.
rds::VirtualHost host_of(const MeshView& view, const ServiceView& service, const PortView& port) {
  rds::VirtualHost host;
  host.set_name(names::host_port(service.host, port.port->port));
  if (service.virtual_service != nullptr && !service.virtual_service->http.empty()) {
    translate_http_routes(view, *service.virtual_service, port.port->port, *host.mutable_routes());
  } else {
    *host.add_routes() = default_route(service, port);
  }
  return host;
}

/// What becomes of hosts that the table does not know: the mesh's outbound policy.
rds::VirtualHost unknown_hosts(const MeshView& view) {
  rds::VirtualHost host;
  rds::Route& route = *host.add_routes();
  route.mutable_match()->set_prefix("/");
  bool is_allowed = view.settings().config.outbound == mesh::MeshConfig::OutboundPolicy::allow_any;
  std::string_view name = is_allowed ? names::kAllowAny : names::kBlockAll;
  host.set_name(std::string(name));
  route.set_name(std::string(name));
  if (is_allowed) {
    route.mutable_route()->set_cluster(std::string(names::kPassthrough));
    route.mutable_route()->mutable_timeout();
    route.mutable_route()->mutable_max_stream_duration()->mutable_max_stream_duration();
    route.mutable_route()->mutable_max_stream_duration()->mutable_grpc_timeout_header_max();
  } else {
    route.mutable_direct_response()->set_status(502);
  }
  return host;
}

void add_port_table(const MeshView& view, Port number,
                    const std::vector<std::pair<const ServiceView*, const PortView*>>& services, xds::ResourceSet& out) {
  rds::RouteConfiguration config = table(fmt::format("{}", number));
  std::set<std::string> taken;
  for (const auto& [service, port] : services)
    add_host(config, taken, host_of(view, *service, *port), domains_of(view, *service));
  if (number == kPlainHttp) {
    for (const auto& [name, rule] : view.foreign_hosts()) {
      rds::VirtualHost host;
      host.set_name(names::host_port(name, number));
      translate_http_routes(view, *rule, number, *host.mutable_routes());
      Result<IpAddr> ip = IpAddr::parse(name);
      add_host(config, taken, std::move(host), {ip && !ip->is_v4() ? "[" + name + "]" : name});
    }
  }
  add_host(config, taken, unknown_hosts(view), {"*"});
  out.routes.push_back(std::move(config));
}

}  // namespace

bool has_address(const ServiceView& service) { return !service.service->cluster_ips.empty(); }

void translate_routes(const MeshView& view, xds::ResourceSet& out) {
  std::map<Port, std::vector<std::pair<const ServiceView*, const PortView*>>> by_port;
  for (const ServiceView& service : view.services()) {
    for (const PortView& port : service.ports) {
      if (is_http(port.protocol)) by_port[port.port->port].emplace_back(&service, &port);
    }
  }
  for (const auto& [number, services] : by_port) add_port_table(view, number, services, out);
  for (const ServiceView& service : view.services()) {
    for (const PortView& port : service.ports) {
      if (port.protocol != Protocol::detect || !(has_address(service) || service.service->headless)) continue;
      // Its listener serves no other service, so any Host is its own.
      rds::RouteConfiguration config = table(names::host_port(service.host, port.port->port));
      std::set<std::string> taken;
      add_host(config, taken, host_of(view, service, port), {"*"});
      if (config.virtual_hosts_size() == 0) add_host(config, taken, unknown_hosts(view), {"*"});
      out.routes.push_back(std::move(config));
    }
  }
}

}  // namespace weir::agent
