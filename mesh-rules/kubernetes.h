// SPDX-License-Identifier: Apache-2.0
// The few Kubernetes kinds that a mesh needs, with the few fields that matter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "mesh-rules/object.h"

namespace weir::mesh {

struct ServicePort {
  SourceRef where;
  std::string name;
  Port port = 0;
  std::string protocol = "TCP";  ///< TCP, UDP or SCTP
  std::string app_protocol;
  std::string target;  ///< number or port name as text; empty: same as `port`
};

struct Service {
  Meta meta;
  std::vector<IpAddr> cluster_ips;  ///< empty: headless or not yet assigned
  bool headless = false;            ///< clusterIP: None
  std::string external_name;        ///< type ExternalName
  Labels selector;
  bool publish_not_ready = false;
  std::vector<ServicePort> ports;
  std::vector<std::string> export_to;  ///< annotation networking.istio.io/exportTo
};

struct EndpointPort {
  std::string name;
  Port port = 0;
  std::string protocol = "TCP";
};

struct Endpoint {
  std::vector<IpAddr> addresses;
  bool ready = true;
  std::string pod;  ///< targetRef of kind Pod: its name (in the object's own namespace), else empty
  std::string hostname;
  std::string node;
};

/// Addresses and ports that belong together.
struct EndpointGroup {
  std::vector<Endpoint> endpoints;
  std::vector<EndpointPort> ports;
};

struct EndpointSlice {
  Meta meta;
  std::string service;  ///< label kubernetes.io/service-name
  EndpointGroup group;
};

/// The older form; its name is the service's. Used only where no EndpointSlice of that service is there.
struct Endpoints {
  Meta meta;
  std::vector<EndpointGroup> groups;
};

struct ContainerPort {
  std::string name;
  Port port = 0;
  std::string protocol = "TCP";
};

struct Pod {
  Meta meta;
  std::vector<IpAddr> ips;
  std::vector<ContainerPort> ports;  ///< of all containers
  std::string node;
  std::string service_account;
  bool host_network = false;
  bool finished = false;  ///< phase Succeeded or Failed
};

}  // namespace weir::mesh
