// SPDX-License-Identifier: Apache-2.0
// A config dump (ours, or Envoy's) read back. Include only where messages are used (heavy headers).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "xds/node.h"
#include "xds/resource_set.h"

namespace weir::ctl {

struct ConfigDump {
  xds::ResourceSet resources;  ///< static and active ones
  bool has_endpoints = false;  ///< the dump was made with include_eds
  xds::NodeIdentity node;      ///< empty if the dump has no bootstrap
};

/// Errors (usage) name the place. Fields and types that we do not know are left out: a dump of Envoy has many.
Result<ConfigDump> read_config_dump(std::string_view json);

}  // namespace weir::ctl
