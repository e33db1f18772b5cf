// SPDX-License-Identifier: Apache-2.0
// Private to inject: a container istio-proxy that the workload brings itself gets what it does not say.
#pragma once

#include "ctl/inject_sidecar.h"
#include "ctl/inject_status.h"

namespace weir::ctl {

/// The workload's own container istio-proxy, and in which list it is.
struct OwnProxy {
  Place container;
  bool native = false;
};
std::optional<OwnProxy> find_own_proxy(const Workload& workload);
ProxyIds ids_of(const OwnProxy& own);

/// What the workload says wins; maps are merged, of lists of named things (variables, ports, mounts) those of new names are
/// added. What was added is noted in `status`.
Result<> merge(YamlEdit& edit, const OwnProxy& own, const boost::json::object& proxy, Status& status);
/// Takes out what merge() has added, as far as it is still there.
Result<> unmerge(YamlEdit& edit, const Place& container, const Status& status);

}  // namespace weir::ctl
