// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/fields.h"

#include "mesh-rules/kinds.h"

namespace weir::mesh {

std::string describe_fields() {
  std::string out = "| field | acted on | meaning |\n|---|---|---|\n| **VirtualService** | | |\n";
  describe_virtual_service(out);
  out += "| **DestinationRule** | | |\n";
  describe_destination_rule(out);
  describe_kubernetes(out);
  out += "| **MeshConfig** | | |\n";
  describe_mesh_config(out);
  return out;
}

}  // namespace weir::mesh
