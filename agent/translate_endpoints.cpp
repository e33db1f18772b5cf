// SPDX-License-Identifier: Apache-2.0
// EDS: one assignment for each EDS cluster, even if empty (a client would wait for it).
#include "agent/names.h"
#include "agent/translate_parts.h"
#include "agent/xds_values.h"

namespace weir::agent {
namespace {

namespace endpoint = envoy::config::endpoint::v3;

std::string label(const mesh::Labels& labels, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    auto found = labels.find(name);
    if (found != labels.end()) return found->second;
  }
  return "";
}

/// Istio's "workload;namespace;canonical name;revision;cluster".
std::string workload_text(const mesh::Pod& pod) {
  const mesh::Labels& labels = pod.meta.labels;
  return fmt::format("{};{};{};{};Kubernetes", pod.meta.name(), pod.meta.ns(),
                     label(labels, {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app"}),
                     label(labels, {"service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"}));
}

void add(const EndpointView& from, endpoint::LocalityLbEndpoints& group) {
  endpoint::LbEndpoint& out = *group.add_lb_endpoints();
  *out.mutable_endpoint()->mutable_address() = address(from.addresses.front(), from.port);
  for (std::size_t i = 1; i < from.addresses.size(); ++i) {
    *out.mutable_endpoint()->add_additional_addresses()->mutable_address() = address(from.addresses[i], from.port);
  }
  out.mutable_load_balancing_weight()->set_value(1);
  if (from.pod == nullptr) return;
  auto& istio = (*out.mutable_metadata()->mutable_filter_metadata())["istio"];
  (*istio.mutable_fields())["workload"].set_string_value(workload_text(*from.pod));
}

void add_assignment(const std::string& cluster, const PortView& port, const mesh::Subset* subset, xds::ResourceSet& out) {
  endpoint::ClusterLoadAssignment assignment;
  assignment.set_cluster_name(cluster);
  endpoint::LocalityLbEndpoints group;
  for (const EndpointView& from : port.endpoints) {
    // An endpoint without a known Pod has no labels: it is in a subset only if that asks for none.
    static const mesh::Labels kNone;
    if (subset != nullptr && !mesh::contains_all(from.pod != nullptr ? from.pod->meta.labels : kNone, subset->labels)) continue;
    add(from, group);
  }
  if (group.lb_endpoints_size() > 0) {
    group.mutable_locality();
    group.mutable_load_balancing_weight()->set_value(static_cast<std::uint32_t>(group.lb_endpoints_size()));
    *assignment.add_endpoints() = std::move(group);
  }
  out.endpoints.push_back(std::move(assignment));
}

}  // namespace

void translate_endpoints(const MeshView& view, xds::ResourceSet& out) {
  for (const ServiceView& service : view.services()) {
    if (service.service->headless) continue;  // original destination: no endpoints to choose from
    for (const PortView& port : service.ports) {
      add_assignment(names::outbound_cluster(port.port->port, "", service.host), port, nullptr, out);
      if (!service.rule) continue;
      for (const auto& [rule, subset] : service.rule->subsets) {
        add_assignment(names::outbound_cluster(port.port->port, subset->name, service.host), port, subset, out);
      }
    }
  }
}

}  // namespace weir::agent
