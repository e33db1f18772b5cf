// SPDX-License-Identifier: Apache-2.0
// Private to inject: what is put into a pod, as Kubernetes' values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "ctl/inject_wish.h"

namespace weir::ctl {

/// Istio's names, by which its tools and CNI plugins know a sidecar.
inline constexpr std::string_view kProxyName = "istio-proxy";
inline constexpr std::string_view kInitName = "istio-init";
inline constexpr std::string_view kStateVolume = "weir-state";
inline constexpr std::string_view kAgentVolume = "weir-agent";
/// Annotations that are added.
inline constexpr std::string_view kStatus = "sidecar.istio.io/status";
inline constexpr std::string_view kDefaultContainer = "kubectl.kubernetes.io/default-container";
inline constexpr std::string_view kPodmanInitType = "io.podman.annotations.init.container.type";

struct Sidecar {
  boost::json::object proxy;
  std::optional<boost::json::object> init;
  boost::json::array volumes;
  bool native = false;  ///< among the init containers, before the others
  bool first = false;   ///< before the other containers
};

/// Ids of a proxy container that the workload brings itself; 0: not said.
struct ProxyIds {
  std::uint32_t uid = 0, gid = 0;
};

/// What cannot be had together becomes a problem.
Sidecar make_sidecar(const Workload& workload, const Wish& wish, const InjectOptions& options, bool native, ProxyIds ids,
                     std::vector<Problem>& problems);

/// What will surprise: an application that runs as the proxy's uid, takes one of its ports, or has probes that only see the
/// proxy.
void check_workload(const Workload& workload, std::vector<Problem>& problems);

}  // namespace weir::ctl
