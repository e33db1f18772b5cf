// SPDX-License-Identifier: Apache-2.0
// Who this proxy is to the agent and in its metrics: flags, else Istio's environment, else defaults.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/problem.h"
#include "proxy/stats.h"

namespace envoy::config::core::v3 {
class Node;
}

namespace weir::proxy {

struct IdentityFlags {
  std::string node_id;  ///< the whole id; the parts below are then not asked for
  std::string type = "sidecar";
  std::string name, ns, ip, cluster;
  std::string domain;               ///< "ns.svc.cluster.local" or "cluster.local"; "" = <ns>.svc.cluster.local
  std::vector<std::string> labels;  ///< key=value
};

/// What the machine says, given so that the rest is pure.
struct Host {
  std::function<std::optional<std::string>(const std::string&)> environment;
  std::vector<std::pair<std::string, std::string>> istio_meta;  ///< all ISTIO_META_* and ISTIO_METAJSON_*, with values
  std::string hostname;
  std::vector<IpAddr> addresses;  ///< of interfaces, without loopback and link-local, IPv4 first
  std::string pod_labels;         ///< text of /etc/istio/pod/labels (key="value" lines), "" if there is none
};
/// Asks environment(7), gethostname(2), getifaddrs(3) and the labels file.
Host this_host();

struct Identity {
  std::shared_ptr<const envoy::config::core::v3::Node> node;  ///< never null
  std::string node_id;
  LocalWorkload workload;
};
/// Node id sidecar~IP~NAME.NS~NS.svc.cluster.local; metadata NAMESPACE, NAME, LABELS, INSTANCE_IPS, ISTIO_VERSION,
/// INTERCEPTION_MODE and every ISTIO_META_X as X. Problems with severity error: all that is wrong.
Identity make_identity(const IdentityFlags& flags, const Host& host, std::vector<Problem>& problems);

}  // namespace weir::proxy
