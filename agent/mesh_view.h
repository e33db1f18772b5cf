// SPDX-License-Identifier: Apache-2.0
// The rules as one proxy sees them: visible services with their endpoints, the VirtualService and DestinationRule that count
// for each. Made once for each translation; all pointers are into the Store, which must outlive it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/protocol.h"
#include "agent/translate.h"

namespace weir::agent {

/// One place to which a service's port can be sent.
struct EndpointView {
  std::vector<IpAddr> addresses;  ///< the preferred one first; several only if they are one Pod's
  Port port = 0;
  const mesh::Pod* pod = nullptr;  ///< null if not known
};

struct PortView {
  const mesh::ServicePort* port = nullptr;
  Protocol protocol = Protocol::detect;
  std::vector<EndpointView> endpoints;  ///< ready ones, sorted by address
};

/// Several DestinationRules of one host in one namespace count as one: subsets united, the first policy.
struct RuleView {
  const mesh::DestinationRule* rule = nullptr;  ///< the one whose policy counts
  std::vector<std::pair<const mesh::DestinationRule*, const mesh::Subset*>> subsets;
};

struct ServiceView {
  const mesh::Service* service = nullptr;
  std::string host;
  std::vector<PortView> ports;  ///< TCP ones
  std::optional<RuleView> rule;
  const mesh::VirtualService* virtual_service = nullptr;
};

/// One of the workload's own ports.
struct OwnPort {
  Port port = 0;  ///< where the workload listens
  Protocol protocol = Protocol::detect;
  const ServiceView* service = nullptr;
  Port service_port = 0;
};

class MeshView {
 public:
  MeshView(const mesh::Store& store, const MeshSettings& settings, const ProxyIdentity& proxy);

  const MeshSettings& settings() const { return settings_; }
  const std::string& ns() const { return ns_; }
  const mesh::Labels& labels() const { return labels_; }
  bool has_v6() const { return has_v6_; }
  /// TPROXY: the proxy takes connections as they are addressed, and its workload sees the clients' addresses.
  bool is_transparent() const { return is_transparent_; }
  bool is_own(const IpAddr& address) const;

  /// Sorted by host.
  const std::vector<ServiceView>& services() const { return services_; }
  const ServiceView* service(const std::string& host) const;
  /// VirtualServices that apply to sidecars and are visible here, in Istio's order.
  const std::vector<const mesh::VirtualService*>& virtual_services() const { return virtual_services_; }
  /// Hosts of VirtualServices that no service has, each with the first rule for it.
  std::map<std::string, const mesh::VirtualService*> foreign_hosts() const;
  /// Sorted by port; one entry a port.
  const std::vector<OwnPort>& own_ports() const { return own_ports_; }

 private:
  using HostRules = std::map<std::string, const mesh::VirtualService*>;

  void find_identity(const mesh::Store& store, const ProxyIdentity& proxy);
  void add_services(const mesh::Store& store);
  void add_endpoints(const mesh::Store& store);
  void add_group(ServiceView& view, const mesh::Meta& meta, const mesh::EndpointGroup& group);
  void finish_endpoints(PortView& port) const;
  void add_virtual_services(const mesh::Store& store);
  void add_destination_rules(const mesh::Store& store);
  void add_own_ports();
  const mesh::Pod* find_pod(const std::string& ns, const mesh::Endpoint& endpoint) const;

  const MeshSettings& settings_;
  std::string ns_;
  mesh::Labels labels_;
  std::vector<IpAddr> ips_;
  const mesh::Pod* pod_ = nullptr;
  bool has_v6_ = false;
  bool is_transparent_ = false;
  bool prefers_v6_ = false;
  std::map<std::pair<std::string, std::string>, const mesh::Pod*> pods_by_name_;
  std::map<IpAddr, const mesh::Pod*> pods_by_address_;
  std::vector<ServiceView> services_;
  std::map<std::string, std::size_t> by_host_;
  std::vector<const mesh::VirtualService*> virtual_services_;
  HostRules rules_by_host_;
  std::vector<OwnPort> own_ports_;
};

}  // namespace weir::agent
