// SPDX-License-Identifier: Apache-2.0
// Mesh rules → xDS resources of one proxy. Pure: no clock, no kernel, equal input gives equal output.
#pragma once

#include <string>
#include <vector>

#include "mesh-rules/mesh_config.h"
#include "mesh-rules/store.h"
#include "xds/node.h"
#include "xds/resource_set.h"

namespace weir::agent {

struct MeshSettings {
  mesh::MeshConfig config;
  std::string domain = "cluster.local";
};

/// Who asks. Labels and namespace are those of the Pod with this name and address if the rules know it, else what the proxy says.
using ProxyIdentity = xds::NodeIdentity;

/// Everything that the proxy is to have: CDS, EDS (one for each EDS cluster), LDS, RDS. Never fails: what cannot be translated
/// was reported by parse() and validate() and is left out.
xds::ResourceSet translate(const mesh::Store& store, const MeshSettings& settings, const ProxyIdentity& proxy);

}  // namespace weir::agent
