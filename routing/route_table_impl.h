// SPDX-License-Identifier: Apache-2.0
// What a RouteTable holds. Internal to the room.
#pragma once

#include <string>
#include <vector>

#include "routing/domain_index.h"
#include "routing/route_table.h"

namespace weir::routing {

struct RouteTable::Impl {
  std::string name;
  std::vector<VirtualHost> hosts;
  HeaderEdits request_headers, response_headers;
  DomainIndex domains;
};

}  // namespace weir::routing
