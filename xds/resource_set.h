// SPDX-License-Identifier: Apache-2.0
// What a translation yields: messages, not yet serialised. Include only where the messages are made (heavy headers).
#pragma once

#include <vector>

#include "xds/proto/cluster.pb.h"
#include "xds/proto/endpoint.pb.h"
#include "xds/proto/listener.pb.h"
#include "xds/proto/route.pb.h"

namespace weir::xds {

struct ResourceSet {
  std::vector<envoy::config::cluster::v3::Cluster> clusters;
  std::vector<envoy::config::endpoint::v3::ClusterLoadAssignment> endpoints;  ///< one for each EDS cluster, even if empty
  std::vector<envoy::config::listener::v3::Listener> listeners;
  std::vector<envoy::config::route::v3::RouteConfiguration> routes;
};

}  // namespace weir::xds
