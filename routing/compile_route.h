// SPDX-License-Identifier: Apache-2.0
// Parts of RouteTable::compile. Internal to the room. All take the field path of what they compile and report to the context;
// after an error the value returned is not used.
#pragma once

#include <map>
#include <string>

#include "routing/compile_context.h"
#include "xds/proto/route.pb.h"

namespace weir::routing {

namespace route_v3 = envoy::config::route::v3;

/// Path, headers, query and runtime fraction of `match` into `route`.
void compile_match(const route_v3::RouteMatch& match, const std::string& path, CompileContext& context, Route& route);

/// `inherited` is the virtual host's retry policy, null if it has none.
Forward compile_forward(const route_v3::RouteAction& action, const RetryPolicy* inherited, const std::string& path,
                        CompileContext& context);
Redirect compile_redirect(const route_v3::RedirectAction& action, const std::string& path, CompileContext& context);
DirectResponse compile_direct_response(const route_v3::DirectResponseAction& action, std::size_t max_body,
                                       const std::string& path, CompileContext& context);
RetryPolicy compile_retry(const route_v3::RetryPolicy& policy, const std::string& path, CompileContext& context);

/// What typed_per_filter_config says at one level; later levels override earlier ones.
struct PerFilter {
  std::optional<Fault> fault;
  std::optional<bool> fault_disabled;
  std::optional<Cors> cors;
  bool cors_disabled = false;
};
using PerFilterConfig = google::protobuf::Map<std::string, google::protobuf::Any>;
void compile_per_filter(const PerFilterConfig& config, const std::string& path, CompileContext& context, PerFilter& out);

/// Why a filter of that type URL or name must not be passed over; "" if it guards no door.
std::string guard_reason(std::string_view type_url, std::string_view name = {});
/// Type name after the last "/" of a type URL.
std::string_view type_name(std::string_view type_url);

}  // namespace weir::routing
