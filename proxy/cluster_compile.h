// SPDX-License-Identifier: Apache-2.0
// Cluster and ClusterLoadAssignment messages compiled to what the data path uses. Pure.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/problem.h"
#include "proxy/config.h"

namespace envoy::config::cluster::v3 {
class Cluster;
}
namespace envoy::config::endpoint::v3 {
class ClusterLoadAssignment;
}

namespace weir::proxy {

/// Errors (the cluster is refused; null is returned) and warnings (fields without effect) go to `problems`, each with the
/// cluster's name as object and the field path. Defaults are Envoy's (cluster.proto): connect timeout 5 s, round robin, 1024
/// connections, pending and open requests, 3 retries. A source of 127.0.0.6 implies ::6 for IPv6 endpoints. What guards a door
/// (transport sockets) or changes where requests go (filters, DNS) and is not implemented is an error.
std::shared_ptr<const Cluster> compile_cluster(const envoy::config::cluster::v3::Cluster& config, std::vector<Problem>& problems);

/// Errors refuse the whole assignment (null).
std::shared_ptr<const EndpointSet> compile_endpoints(const envoy::config::endpoint::v3::ClusterLoadAssignment& config,
                                                     std::vector<Problem>& problems);

}  // namespace weir::proxy
