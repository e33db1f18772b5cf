// SPDX-License-Identifier: Apache-2.0
#include "agent/mesh_view.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "base/well_known.h"
#include "mesh-rules/resolve.h"

namespace weir::agent {
namespace {

/// Where rules for the whole mesh live.
constexpr std::string_view kRootNamespace = "istio-system";

/// Several DestinationRules of one host in one namespace, in order.
RuleView united(const std::vector<const mesh::DestinationRule*>& rules) {
  RuleView view;
  std::set<std::string_view> names;
  for (const mesh::DestinationRule* rule : rules) {
    const mesh::TrafficPolicy& policy = rule->policy.all_ports;
    bool has_policy = policy.load_balancer != mesh::LoadBalancer::unspecified || policy.connection_pool ||
                      policy.outlier_detection || !rule->policy.by_port.empty();
    if (view.rule == nullptr && has_policy) view.rule = rule;
    for (const mesh::Subset& subset : rule->subsets) {
      if (names.insert(subset.name).second) view.subsets.emplace_back(rule, &subset);
    }
  }
  if (view.rule == nullptr) view.rule = rules.front();
  return view;
}

/// The entry whose key covers the host most specifically: the exact one, else a wildcard. Null if none.
template <class Value>
const Value* most_specific(const std::map<std::string, Value>& by_host, const std::string& host) {
  auto exact = by_host.find(host);
  if (exact != by_host.end()) return &exact->second;
  const std::string* best = nullptr;
  const Value* found = nullptr;
  // Wildcards sort together: '*' is below every letter and digit of a host.
  for (auto at = by_host.lower_bound("*"); at != by_host.end() && mesh::is_wildcard(at->first); ++at) {
    if (!mesh::covers(at->first, host) || (best != nullptr && !mesh::more_specific(at->first, *best))) continue;
    best = &at->first;
    found = &at->second;
  }
  return found;
}

}  // namespace

MeshView::MeshView(const mesh::Store& store, const MeshSettings& settings, const ProxyIdentity& proxy) : settings_(settings) {
  find_identity(store, proxy);
  add_services(store);
  add_endpoints(store);
  add_virtual_services(store);
  add_destination_rules(store);
  add_own_ports();
}

bool MeshView::is_own(const IpAddr& address) const { return std::find(ips_.begin(), ips_.end(), address) != ips_.end(); }

const ServiceView* MeshView::service(const std::string& host) const {
  auto found = by_host_.find(host);
  return found == by_host_.end() ? nullptr : &services_[found->second];
}

void MeshView::find_identity(const mesh::Store& store, const ProxyIdentity& proxy) {
  for (const auto& pod : store.pods()) {
    if (pod->finished) continue;
    pods_by_name_[{pod->meta.ns(), pod->meta.name()}] = pod.get();
    if (pod->host_network) continue;
    for (const IpAddr& ip : pod->ips) pods_by_address_.emplace(ip, pod.get());
  }
  ns_ = proxy.ns;
  labels_ = mesh::Labels(proxy.labels.begin(), proxy.labels.end());
  ips_ = proxy.ips;
  is_transparent_ = proxy.interception == "TPROXY";
  auto found = pods_by_name_.find({proxy.ns, proxy.name});
  if (found != pods_by_name_.end()) {
    const mesh::Pod* pod = found->second;
    // Name and address together: a name alone could be claimed by anyone.
    bool is_here = std::any_of(pod->ips.begin(), pod->ips.end(), [&](const IpAddr& ip) { return is_own(ip); });
    if (is_here) pod_ = pod;
  }
  if (pod_ != nullptr) {
    labels_ = pod_->meta.labels;
    for (const IpAddr& ip : pod_->ips) {
      if (!is_own(ip)) ips_.push_back(ip);
    }
  }
  bool has_v4 = false;
  for (const IpAddr& ip : ips_) (ip.is_v4() ? has_v4 : has_v6_) = true;
  prefers_v6_ = has_v6_ && !has_v4;
  // Our own proxy binds both families whatever the Pod has; another one may not be able to.
  if (proxy.user_agent.starts_with("weir")) has_v6_ = true;
}

void MeshView::add_services(const mesh::Store& store) {
  for (const auto& service : store.services()) {
    if (!service->external_name.empty() || !mesh::visible(service->export_to, service->meta.ns(), ns_)) continue;
    ServiceView view;
    view.service = service.get();
    view.host = mesh::service_host(service->meta.name(), service->meta.ns(), settings_.domain);
    for (const mesh::ServicePort& port : service->ports) {
      Protocol protocol = protocol_of(port);
      if (protocol != Protocol::foreign) view.ports.push_back({&port, protocol, {}});
    }
    services_.push_back(std::move(view));
  }
  std::sort(services_.begin(), services_.end(), [](const ServiceView& a, const ServiceView& b) { return a.host < b.host; });
  for (std::size_t i = 0; i < services_.size(); ++i) by_host_[services_[i].host] = i;
}

const mesh::Pod* MeshView::find_pod(const std::string& ns, const mesh::Endpoint& endpoint) const {
  if (!endpoint.pod.empty()) {
    auto found = pods_by_name_.find({ns, endpoint.pod});
    if (found != pods_by_name_.end()) return found->second;
  }
  for (const IpAddr& address : endpoint.addresses) {
    auto found = pods_by_address_.find(address);
    if (found != pods_by_address_.end()) return found->second;
  }
  return nullptr;
}

void MeshView::add_group(ServiceView& view, const mesh::Meta& meta, const mesh::EndpointGroup& group) {
  for (PortView& port : view.ports) {
    for (const mesh::EndpointPort& target : group.ports) {
      // Joined by name; a port without a name only if the service has a single one.
      if (target.name != port.port->name || target.protocol != port.port->protocol) continue;
      for (const mesh::Endpoint& endpoint : group.endpoints) {
        if (!endpoint.ready && !view.service->publish_not_ready) continue;
        const mesh::Pod* pod = find_pod(meta.ns(), endpoint);
        // A slice lists several addresses of one endpoint as interchangeable; Kubernetes uses the first.
        if (!endpoint.addresses.empty()) port.endpoints.push_back({{endpoint.addresses.front()}, target.port, pod});
      }
    }
  }
}

/// Sorts, drops duplicates, and makes one endpoint of a Pod's two families.
void MeshView::finish_endpoints(PortView& port) const {
  auto rank = [this](const IpAddr& ip) { return ip.is_v4() == prefers_v6_; };
  std::stable_sort(port.endpoints.begin(), port.endpoints.end(), [&](const EndpointView& a, const EndpointView& b) {
    return std::tuple(rank(a.addresses[0]), a.addresses[0], a.port) < std::tuple(rank(b.addresses[0]), b.addresses[0], b.port);
  });
  std::vector<EndpointView> kept;
  std::set<std::pair<IpAddr, Port>> seen;
  std::map<std::pair<const mesh::Pod*, Port>, std::size_t> by_pod;  // looked up only: the order of pointers shows nowhere
  for (EndpointView& endpoint : port.endpoints) {
    if (!seen.emplace(endpoint.addresses[0], endpoint.port).second) continue;
    if (endpoint.pod != nullptr) {
      auto [at, fresh] = by_pod.emplace(std::pair(endpoint.pod, endpoint.port), kept.size());
      if (!fresh) {
        kept[at->second].addresses.push_back(endpoint.addresses[0]);
        continue;
      }
    }
    kept.push_back(std::move(endpoint));
  }
  port.endpoints = std::move(kept);
}

void MeshView::add_endpoints(const mesh::Store& store) {
  std::set<std::string> sliced;
  auto view_of = [&](const std::string& name, const std::string& ns) -> ServiceView* {
    auto found = by_host_.find(mesh::service_host(name, ns, settings_.domain));
    return found == by_host_.end() ? nullptr : &services_[found->second];
  };
  for (const auto& slice : store.endpoint_slices()) {
    ServiceView* view = view_of(slice->service, slice->meta.ns());
    if (view == nullptr) continue;
    sliced.insert(view->host);
    add_group(*view, slice->meta, slice->group);
  }
  for (const auto& endpoints : store.endpoints()) {
    ServiceView* view = view_of(endpoints->meta.name(), endpoints->meta.ns());
    if (view == nullptr || sliced.contains(view->host)) continue;
    for (const mesh::EndpointGroup& group : endpoints->groups) add_group(*view, endpoints->meta, group);
  }
  for (ServiceView& view : services_) {
    for (PortView& port : view.ports) finish_endpoints(port);
  }
}

void MeshView::add_virtual_services(const mesh::Store& store) {
  for (const auto& rule : store.virtual_services()) {
    if (!mesh::applies_to_mesh(rule->gateways) || !mesh::visible(rule->export_to, rule->meta.ns(), ns_)) continue;
    virtual_services_.push_back(rule.get());
    for (const std::string& host : rule->hosts)
      rules_by_host_.emplace(mesh::full_host(host, rule->meta.ns(), settings_.domain), rule.get());
  }
  for (ServiceView& view : services_) {
    if (const auto* rule = most_specific(rules_by_host_, view.host)) view.virtual_service = *rule;
  }
}

std::map<std::string, const mesh::VirtualService*> MeshView::foreign_hosts() const {
  HostRules foreign;
  for (const auto& entry : rules_by_host_) {
    const std::string& host = entry.first;
    bool is_known = by_host_.contains(host) ||
                    (mesh::is_wildcard(host) && std::any_of(services_.begin(), services_.end(), [&](const ServiceView& view) {
                       return mesh::covers(host, view.host);
                     }));
    if (!is_known) foreign.insert(entry);
  }
  return foreign;
}

void MeshView::add_destination_rules(const mesh::Store& store) {
  using ByHost = std::map<std::string, std::vector<const mesh::DestinationRule*>>;
  std::map<std::string, ByHost> own, exported;
  for (const auto& rule : store.destination_rules()) {
    std::string host = mesh::full_host(rule->host, rule->meta.ns(), settings_.domain);
    if (rule->meta.ns() == ns_) own[ns_][host].push_back(rule.get());
    if (mesh::visible(rule->export_to, rule->meta.ns(), ns_)) exported[rule->meta.ns()][host].push_back(rule.get());
  }
  for (ServiceView& view : services_) {
    // The client's namespace, the service's, the root's: the first with a fitting rule wins; they are never merged.
    const auto* rules = most_specific(own[ns_], view.host);
    if (rules == nullptr) rules = most_specific(exported[view.service->meta.ns()], view.host);
    if (rules == nullptr) rules = most_specific(exported[std::string(kRootNamespace)], view.host);
    if (rules != nullptr) view.rule = united(*rules);
  }
}

void MeshView::add_own_ports() {
  std::map<Port, OwnPort> ports;
  auto target_of = [this](const mesh::ServicePort& port) -> Port {
    if (port.target.empty()) return port.port;
    if (std::optional<std::uint64_t> number = parse_uint(port.target, 65535)) return static_cast<Port>(*number);
    for (const mesh::ContainerPort& container : pod_->ports) {
      if (container.name == port.target && container.protocol == port.protocol) return container.port;
    }
    return 0;
  };
  for (const ServiceView& view : services_) {
    bool is_selected = pod_ != nullptr && view.service->meta.ns() == ns_ && !view.service->selector.empty() &&
                       mesh::contains_all(labels_, view.service->selector);
    for (const PortView& port : view.ports) {
      if (is_selected) {
        Port target = target_of(*port.port);
        if (target != 0) ports.emplace(target, OwnPort{target, port.protocol, &view, port.port->port});
      }
      // Services without a selector, and proxies whose Pod the rules do not know: by address.
      for (const EndpointView& endpoint : port.endpoints) {
        bool is_here =
            std::any_of(endpoint.addresses.begin(), endpoint.addresses.end(), [&](const IpAddr& ip) { return is_own(ip); });
        if (is_here) ports.emplace(endpoint.port, OwnPort{endpoint.port, port.protocol, &view, port.port->port});
      }
    }
  }
  for (const auto& [number, port] : ports) {
    // Nobody but the proxy can listen there.
    if (number != well_known::kInboundPort && number != well_known::kOutboundPort) own_ports_.push_back(port);
  }
}

}  // namespace weir::agent
