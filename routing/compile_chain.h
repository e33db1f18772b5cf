// SPDX-License-Identifier: Apache-2.0
// Internal to the room.
#pragma once

#include <string>

#include "routing/compile_context.h"
#include "routing/listener_table.h"
#include "xds/proto/listener.pb.h"

namespace weir::routing {

namespace listener_v3 = envoy::config::listener::v3;

FilterChain compile_chain(const listener_v3::FilterChain& config, const std::string& path, CompileContext& context);

}  // namespace weir::routing
