// SPDX-License-Identifier: Apache-2.0
// What one proxy has, compiled by the proxy's own code (routing), to be asked questions.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/problem.h"
#include "routing/listener_table.h"
#include "routing/route_table.h"

namespace weir::xds {
struct ResourceSet;
}

namespace weir::ctl {

struct EndpointView {
  SocketAddr address;
  std::vector<SocketAddr> additional;  ///< dialled in turn if the one before cannot be reached
  std::string workload;                ///< "reviews-v1.default"; "" if not known
  std::string health = "healthy";      ///< or "unhealthy", "draining"
};

struct ClusterView {
  std::string name;
  std::string type;       ///< "EDS", "STATIC", "ORIGINAL_DST" …
  std::string lb_policy;  ///< "LEAST_REQUEST" …
  RuleRef rule;           ///< its DestinationRule
  std::vector<EndpointView> endpoints;

  /// The parts of "outbound|9080|v1|reviews.default.svc.cluster.local"; empty for other names.
  std::string direction() const { return part(0); }
  std::string port() const { return part(1); }
  std::string subset() const { return part(2); }
  /// The name itself if it has no parts.
  std::string host() const;
  bool follows_destination() const { return type == "ORIGINAL_DST"; }

 private:
  std::string part(std::size_t index) const;
};

struct ProxyView {
  std::unique_ptr<routing::ListenerTable> listeners;
  std::map<std::string, std::shared_ptr<const routing::RouteTable>, std::less<>> routes;
  std::map<std::string, ClusterView, std::less<>> clusters;
  std::vector<Problem> refused;  ///< resources that a proxy would refuse, each with the reason

  const ClusterView* cluster(std::string_view name) const {
    auto found = clusters.find(name);
    return found == clusters.end() ? nullptr : &found->second;
  }
};

std::shared_ptr<const ProxyView> compile(const xds::ResourceSet& resources);

}  // namespace weir::ctl
