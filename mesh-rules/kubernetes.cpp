// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/kubernetes.h"

#include <algorithm>

#include "base/text.h"
#include "mesh-rules/kinds.h"

namespace weir::mesh {
namespace {

void read_protocol(Reader& r, const Node& n, std::string& out) {
  read_word<std::string>(r, n, out, {{"TCP", "TCP"}, {"UDP", "UDP"}, {"SCTP", "SCTP"}});
}

bool has_condition(const Node& n, std::string_view name, bool absent) {
  const Node* conditions = n.find("conditions");
  const Node* value = conditions != nullptr ? conditions->find(name) : nullptr;
  return value == nullptr ? absent : to_lower(value->text) == "true";
}

}  // namespace

template <>
struct Table<ServicePort> : Rows<ServicePort> {
  static void target(Reader& r, const Node& n, ServicePort& out) {
    bool fine = n.is_scalar() && (yaml::meaning(n) == yaml::Plain::string || yaml::meaning(n) == yaml::Plain::integer);
    if (!fine) return r.wrong_type(n, "a port number or a port's name");
    if (yaml::meaning(n) == yaml::Plain::integer) {
      Port port = 0;
      Decoder<Port>::read(r, n, port);
      if (port == 0) return;
    }
    out.target = n.text;
  }
  static void protocol(Reader& r, const Node& n, ServicePort& out) { read_protocol(r, n, out.protocol); }
  static constexpr Field<ServicePort> rows[] = {
      acts<&ServicePort::name>("name", "its first word names the protocol: http, http2, grpc, tcp, tls, https …"),
      required<&ServicePort::port>("port", ""),
      custom("protocol", protocol, "TCP; UDP and SCTP ports are left alone"),
      acts<&ServicePort::app_protocol>("appProtocol", "stronger than the name"),
      custom("targetPort", target, "number, or name of a container port"),
      quiet("nodePort"),
  };
};

/// `spec` of a Service.
struct ServiceSpec {
  Service object;  ///< what the spec is read into
  std::string cluster_ip;
  std::vector<std::string> cluster_ips;
  std::string type;
};
template <>
struct Table<ServiceSpec> : Rows<ServiceSpec> {
  template <auto Member>
  static void of(Reader& r, const Node& n, ServiceSpec& spec) {
    using Value = std::remove_reference_t<decltype(spec.object.*Member)>;
    Decoder<Value>::read(r, n, spec.object.*Member);
  }
  static constexpr Field<ServiceSpec> rows[] = {
      {"ports", Use::acts, false, "", of<&Service::ports>,
       [](std::string& out, const std::string& p) { describe_rows<ServicePort>(out, p + "[]."); }},
      custom("selector", of<&Service::selector>, "which Pods are its own"),
      acts<&ServiceSpec::cluster_ip>("clusterIP", "an address, or None"),
      acts<&ServiceSpec::cluster_ips>("clusterIPs", "one per family"),
      acts<&ServiceSpec::type>("type", "ExternalName is ignored with a warning"),
      custom("externalName", of<&Service::external_name>, ""),
      custom("publishNotReadyAddresses", of<&Service::publish_not_ready>, ""),
      not_yet("internalTrafficPolicy"),
      not_yet("trafficDistribution"),
      quiet("ipFamilies"),
      quiet("ipFamilyPolicy"),
      quiet("sessionAffinity"),
      quiet("sessionAffinityConfig"),
      quiet("externalIPs"),
      quiet("externalTrafficPolicy"),
      quiet("loadBalancerIP"),
      quiet("loadBalancerClass"),
      quiet("loadBalancerSourceRanges"),
      quiet("allocateLoadBalancerNodePorts"),
      quiet("healthCheckNodePort"),
  };
  static void check(Reader& reader, const Node& node, ServiceSpec& spec);
};

void Table<ServiceSpec>::check(Reader& reader, const Node& node, ServiceSpec& spec) {
  Service& service = spec.object;
  std::vector<std::string> addresses = spec.cluster_ips;
  if (addresses.empty() && !spec.cluster_ip.empty()) addresses.push_back(spec.cluster_ip);
  const Node* given = node.find("clusterIPs") != nullptr ? node.find("clusterIPs") : node.find("clusterIP");
  for (const std::string& text : addresses) {
    if (text == "None") {
      service.headless = true;
      continue;
    }
    if (Result<IpAddr> address = IpAddr::parse(text)) {
      service.cluster_ips.push_back(*address);
    } else if (!text.empty()) {
      reader.error(given->line, fmt::format("\"{}\" is not an IP address", printable(text)), "write an address, or None");
    }
  }
  if (const Node* type = node.find("type")) {
    static constexpr std::string_view kTypes[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"};
    if (std::find(std::begin(kTypes), std::end(kTypes), spec.type) == std::end(kTypes)) {
      reader.error_at("type", *type, fmt::format("\"{}\" is not a type of Service", printable(spec.type)),
                      "use ClusterIP, NodePort, LoadBalancer or ExternalName");
    }
    if (spec.type == "ExternalName")
      reader.warning_at("type", *type, "ExternalName is not supported yet, ignored", "calls to it pass through");
  }
  std::map<std::string, int> names;
  for (const ServicePort& port : service.ports) {
    if (service.ports.size() > 1 && port.name.empty())
      reader.error(port.where.line, fmt::format("port {} has no name", port.port), "with several ports each needs one");
    auto [at, fresh] = names.emplace(port.name, port.where.line);
    if (!fresh && !port.name.empty())
      reader.error(port.where.line, fmt::format("port \"{}\" is defined already in line {}", port.name, at->second));
  }
}

template <>
struct Table<Service> : Rows<Service> {
  static void spec(Reader& r, const Node& n, Service& out) {
    ServiceSpec block;
    block.object = std::move(out);
    read_table(r, n, block);
    out = std::move(block.object);
  }
  static constexpr Field<Service> rows[] = {
      quiet("apiVersion"),
      quiet("kind"),
      quiet("metadata"),
      quiet("status"),
      {"spec", Use::acts, false, "", spec,
       [](std::string& out, const std::string& p) { describe_rows<ServiceSpec>(out, p + "."); }},
  };
};

template <>
struct Table<EndpointPort> : Rows<EndpointPort> {
  static void protocol(Reader& r, const Node& n, EndpointPort& out) { read_protocol(r, n, out.protocol); }
  static constexpr Field<EndpointPort> rows[] = {
      acts<&EndpointPort::name>("name", "joins the Service's port of that name"),
      required<&EndpointPort::port>("port", ""),
      custom("protocol", protocol, ""),
      quiet("appProtocol"),
  };
};

/// targetRef of an endpoint.
struct TargetRef {
  std::string kind, name;
};
template <>
struct Table<TargetRef> : Rows<TargetRef> {
  static constexpr Field<TargetRef> rows[] = {acts<&TargetRef::kind>("kind", ""),
                                              acts<&TargetRef::name>("name", ""),
                                              quiet("namespace"),
                                              quiet("uid"),
                                              quiet("apiVersion"),
                                              quiet("fieldPath"),
                                              quiet("resourceVersion")};
};
inline void read_target(Reader& r, const Node& n, Endpoint& out) {
  TargetRef target;
  read_table(r, n, target);
  if (target.kind == "Pod") out.pod = target.name;
}

template <>
struct Table<Endpoint> : Rows<Endpoint> {
  static void conditions(Reader& r, const Node& n, Endpoint&) {
    if (!n.is_map()) r.wrong_type(n, "a map");
  }
  static constexpr Field<Endpoint> rows[] = {
      required<&Endpoint::addresses>("addresses", ""),
      custom("conditions", conditions, "ready: absent counts as true"),
      acts<&Endpoint::hostname>("hostname", ""),
      custom("targetRef", read_target, "the Pod, whose labels count for subsets"),
      acts<&Endpoint::node>("nodeName", ""),
      quiet("zone"),
      quiet("hints"),
      quiet("deprecatedTopology"),
  };
  static void check(Reader&, const Node& node, Endpoint& out) {
    out.ready = has_condition(node, "ready", true) && !has_condition(node, "terminating", false);
  }
};

template <>
struct Table<EndpointSlice> : Rows<EndpointSlice> {
  static void family(Reader& r, const Node& n, EndpointSlice&) {
    bool is_fqdn = false;
    if (read_word(r, n, is_fqdn, {{"IPv4", false}, {"IPv6", false}, {"FQDN", true}}) && is_fqdn) {
      r.error(n.line, "FQDN is not supported", "use IPv4 or IPv6");
    }
  }
  static void endpoints(Reader& r, const Node& n, EndpointSlice& out) {
    Decoder<std::vector<Endpoint>>::read(r, n, out.group.endpoints);
  }
  static void ports(Reader& r, const Node& n, EndpointSlice& out) {
    Decoder<std::vector<EndpointPort>>::read(r, n, out.group.ports);
  }
  static constexpr Field<EndpointSlice> rows[] = {
      quiet("apiVersion"),
      quiet("kind"),
      quiet("metadata"),
      custom("addressType", family, "IPv4 or IPv6"),
      {"endpoints", Use::acts, false, "", endpoints,
       [](std::string& out, const std::string& p) { describe_rows<Endpoint>(out, p + "[]."); }},
      {"ports", Use::acts, false, "", ports,
       [](std::string& out, const std::string& p) { describe_rows<EndpointPort>(out, p + "[]."); }},
  };
  static void check(Reader& reader, const Node& node, EndpointSlice& out) {
    auto service = out.meta.labels.find("kubernetes.io/service-name");
    if (service == out.meta.labels.end()) {
      reader.warning(node.line, "belongs to no Service, ignored", "add the label kubernetes.io/service-name");
    } else {
      out.service = service->second;
    }
  }
};

/// One address of an Endpoints object.
struct OldAddress {
  IpAddr ip;
  Endpoint endpoint;
};
template <>
struct Table<OldAddress> : Rows<OldAddress> {
  static void target(Reader& r, const Node& n, OldAddress& out) { read_target(r, n, out.endpoint); }
  static void hostname(Reader& r, const Node& n, OldAddress& out) { Decoder<std::string>::read(r, n, out.endpoint.hostname); }
  static void node(Reader& r, const Node& n, OldAddress& out) { Decoder<std::string>::read(r, n, out.endpoint.node); }
  static constexpr Field<OldAddress> rows[] = {required<&OldAddress::ip>("ip", ""), custom("hostname", hostname, ""),
                                               custom("nodeName", node, ""), custom("targetRef", target, "")};
};
template <>
struct Table<EndpointGroup> : Rows<EndpointGroup> {
  static void some(Reader& r, const Node& n, EndpointGroup& out, bool ready) {
    std::vector<OldAddress> addresses;
    Decoder<std::vector<OldAddress>>::read(r, n, addresses);
    for (OldAddress& address : addresses) {
      address.endpoint.addresses = {address.ip};
      address.endpoint.ready = ready;
      out.endpoints.push_back(std::move(address.endpoint));
    }
  }
  static void ready(Reader& r, const Node& n, EndpointGroup& out) { some(r, n, out, true); }
  static void not_ready(Reader& r, const Node& n, EndpointGroup& out) { some(r, n, out, false); }
  static constexpr Field<EndpointGroup> rows[] = {custom("addresses", ready, ""), custom("notReadyAddresses", not_ready, ""),
                                                  acts<&EndpointGroup::ports>("ports", "")};
};
template <>
struct Table<Endpoints> : Rows<Endpoints> {
  static constexpr Field<Endpoints> rows[] = {
      quiet("apiVersion"), quiet("kind"), quiet("metadata"),
      acts<&Endpoints::groups>("subsets", "used where no EndpointSlice of the service is there")};
};

template <>
struct Table<ContainerPort> : Rows<ContainerPort> {
  static void protocol(Reader& r, const Node& n, ContainerPort& out) { read_protocol(r, n, out.protocol); }
  static constexpr Field<ContainerPort> rows[] = {acts<&ContainerPort::name>("name", ""),
                                                  required<&ContainerPort::port>("containerPort", ""),
                                                  custom("protocol", protocol, ""), quiet("hostPort"), quiet("hostIP")};
};
struct Container {
  std::vector<ContainerPort> ports;
};
/// A Pod has hundreds of fields that do not concern the mesh: unknown ones in spec and status are not our business.
template <>
struct Table<Container> : Rows<Container> {
  static constexpr bool tolerant = true;
  static constexpr Field<Container> rows[] = {acts<&Container::ports>("ports", "")};
};
struct PodSpec {
  std::vector<Container> containers, init_containers;
  std::string node, service_account;
  bool host_network = false;
};
template <>
struct Table<PodSpec> : Rows<PodSpec> {
  static constexpr bool tolerant = true;
  static constexpr Field<PodSpec> rows[] = {
      acts<&PodSpec::containers>("containers", ""),
      acts<&PodSpec::init_containers>("initContainers", ""),
      acts<&PodSpec::node>("nodeName", ""),
      acts<&PodSpec::service_account>("serviceAccountName", ""),
      acts<&PodSpec::host_network>("hostNetwork", ""),
  };
};
struct PodIp {
  IpAddr ip;
};
template <>
struct Table<PodIp> : Rows<PodIp> {
  static constexpr Field<PodIp> rows[] = {required<&PodIp::ip>("ip", "")};
};
struct PodStatus {
  std::optional<IpAddr> ip;
  std::vector<PodIp> ips;
  std::string phase;
};
template <>
struct Table<PodStatus> : Rows<PodStatus> {
  static constexpr bool tolerant = true;
  static constexpr Field<PodStatus> rows[] = {
      acts<&PodStatus::ip>("podIP", ""),
      acts<&PodStatus::ips>("podIPs", "both families"),
      acts<&PodStatus::phase>("phase", ""),
  };
};
template <>
struct Table<Pod> : Rows<Pod> {
  static void spec(Reader& r, const Node& n, Pod& out) {
    PodSpec block;
    read_table(r, n, block);
    for (std::vector<Container>* list : {&block.containers, &block.init_containers}) {
      for (Container& container : *list) out.ports.insert(out.ports.end(), container.ports.begin(), container.ports.end());
    }
    out.node = block.node;
    out.service_account = block.service_account;
    out.host_network = block.host_network;
  }
  static void status(Reader& r, const Node& n, Pod& out) {
    PodStatus block;
    read_table(r, n, block);
    if (block.ip) out.ips.push_back(*block.ip);
    for (const PodIp& ip : block.ips) {
      if (std::find(out.ips.begin(), out.ips.end(), ip.ip) == out.ips.end()) out.ips.push_back(ip.ip);
    }
    out.finished = block.phase == "Succeeded" || block.phase == "Failed";
  }
  static constexpr Field<Pod> rows[] = {
      quiet("apiVersion"),
      quiet("kind"),
      quiet("metadata"),
      {"spec", Use::acts, false, "", spec, [](std::string& out, const std::string& p) { describe_rows<PodSpec>(out, p + "."); }},
      {"status", Use::acts, false, "", status,
       [](std::string& out, const std::string& p) { describe_rows<PodStatus>(out, p + "."); }},
  };
};

void read_object(Reader& reader, const Node& node, Service& out) {
  read_table(reader, node, out);
  auto annotation = out.meta.annotations.find("networking.istio.io/exportTo");
  if (annotation == out.meta.annotations.end()) return;
  for (std::string_view part : split(annotation->second, ',')) out.export_to.emplace_back(trim(part));
}
void read_object(Reader& reader, const Node& node, EndpointSlice& out) { read_table(reader, node, out); }
void read_object(Reader& reader, const Node& node, Endpoints& out) { read_table(reader, node, out); }
void read_object(Reader& reader, const Node& node, Pod& out) { read_table(reader, node, out); }

void describe_kubernetes(std::string& out) {
  out += "| **Service** | | |\n";
  describe_rows<Service>(out, "");
  out += "| **EndpointSlice** | | |\n";
  describe_rows<EndpointSlice>(out, "");
  out += "| **Endpoints** | | |\n";
  describe_rows<Endpoints>(out, "");
  out += "| **Pod** | | |\n";
  describe_rows<Pod>(out, "");
}

}  // namespace weir::mesh
