// SPDX-License-Identifier: Apache-2.0
// Who a proxy says it is: Istio's node id and metadata as a value.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace envoy::config::core::v3 {
class Node;
}

namespace weir::xds {

struct NodeIdentity {
  std::string id;                             ///< "sidecar~10.0.0.5~reviews-v1-abc.default~default.svc.cluster.local"
  std::string type;                           ///< "sidecar", "router", "waypoint" …
  std::vector<IpAddr> ips;                    ///< that of the id first, then INSTANCE_IPS
  std::string name;                           ///< "reviews-v1-abc"
  std::string ns;                             ///< namespace: of the id, else metadata NAMESPACE
  std::string domain;                         ///< "default.svc.cluster.local"
  std::string cluster;                        ///< "reviews.default"
  std::map<std::string, std::string> labels;  ///< metadata LABELS
  std::string user_agent;                     ///< "weir 0.1.0", "envoy"
  std::string generator;                      ///< metadata GENERATOR: "grpc" for proxyless clients
  std::string interception;                   ///< metadata INTERCEPTION_MODE: "REDIRECT", "TPROXY", "NONE"
  friend bool operator==(const NodeIdentity&, const NodeIdentity&) = default;
};

/// The error (protocol) says which of the four parts is wrong, with its value. Limits: id 512 bytes, 64 labels, 64 addresses.
Result<NodeIdentity> parse_node(const envoy::config::core::v3::Node& node);

/// The Node message for an identity (id, cluster, metadata NAMESPACE, LABELS, INSTANCE_IPS, ISTIO_VERSION, user agent).
envoy::config::core::v3::Node make_node(const NodeIdentity& identity);

}  // namespace weir::xds
