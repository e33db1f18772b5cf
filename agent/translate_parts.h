// SPDX-License-Identifier: Apache-2.0
// The parts of a translation, one file each. Private to the room.
#pragma once

#include "agent/mesh_view.h"
#include "mesh-rules/resolve.h"

namespace envoy::config::accesslog::v3 {
class AccessLog;
}

namespace weir::agent {

void translate_clusters(const MeshView& view, xds::ResourceSet& out);
void translate_endpoints(const MeshView& view, xds::ResourceSet& out);
void translate_outbound_listeners(const MeshView& view, xds::ResourceSet& out);
void translate_inbound_listener(const MeshView& view, xds::ResourceSet& out);
void translate_routes(const MeshView& view, xds::ResourceSet& out);

/// Routes of a VirtualService for one host and port, as they stand for this proxy; empty if none applies.
void translate_http_routes(const MeshView& view, const mesh::VirtualService& rule, Port listener_port,
                           google::protobuf::RepeatedPtrField<envoy::config::route::v3::Route>& out);
/// The route of a service without a VirtualService.
envoy::config::route::v3::Route default_route(const ServiceView& service, const PortView& port);

/// True if the service can be told by an address of its own, so that its port gets a listener of its own.
bool has_address(const ServiceView& service);
/// The cluster of a destination; `rule` says in whose namespace short names are.
std::string cluster_of(const MeshView& view, const mesh::Destination& destination, const mesh::VirtualService& rule,
                       Port listener_port);
/// Static conditions of a match: true if it can hold for this proxy at this port.
template <class Match>
bool concerns(const MeshView& view, const Match& match, Port listener_port);

/// The mesh's access log; nothing if it is off. `only_no_route` for the listener's own log.
enum class LogOf { requests, listener };
void add_access_log(const MeshView& view, LogOf of,
                    google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& out);

template <class Match>
bool concerns(const MeshView& view, const Match& match, Port listener_port) {
  if (match.port && *match.port != listener_port) return false;
  // Istio: gateways, if given, are the only other condition; sourceLabels then do not count.
  if (!match.gateways.empty()) return mesh::applies_to_mesh(match.gateways);
  if (!match.source_namespace.empty() && match.source_namespace != view.ns()) return false;
  return mesh::contains_all(view.labels(), match.source_labels);
}

}  // namespace weir::agent
