// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/object.h"

#include <algorithm>

namespace weir::mesh {

std::string_view to_text(Kind kind) {
  switch (kind) {
    case Kind::service: return "Service";
    case Kind::endpoint_slice: return "EndpointSlice";
    case Kind::endpoints: return "Endpoints";
    case Kind::pod: return "Pod";
    case Kind::virtual_service: return "VirtualService";
    case Kind::destination_rule: return "DestinationRule";
  }
  return "?";
}

bool contains_all(const Labels& labels, const Labels& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& pair) {
    auto found = labels.find(pair.first);
    return found != labels.end() && found->second == pair.second;
  });
}

std::string ObjectKey::to_text() const { return fmt::format("{} {}/{}", mesh::to_text(kind), ns, name); }

}  // namespace weir::mesh
