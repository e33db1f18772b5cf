// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "routing/compile_listener.h"
#include "routing/compile_route.h"
#include "routing/unpack.h"
#include "xds/proto/cors.pb.h"
#include "xds/proto/fault.pb.h"
#include "xds/proto/http_connection_manager.pb.h"
#include "xds/proto/router.pb.h"

namespace weir::routing {

namespace {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
using envoy::extensions::filters::http::cors::v3::Cors;
using envoy::extensions::filters::http::fault::v3::HTTPFault;
using envoy::extensions::filters::http::router::v3::Router;
using Hcm = hcm::HttpConnectionManager;

void compile_filter(const hcm::HttpFilter& filter, const std::string& path, CompileContext& context, HttpManager& http) {
  const google::protobuf::Any& any = filter.typed_config();
  std::string title = filter_title(filter.name(), any);
  if (std::string reason = guard_reason(any.type_url(), filter.name()); !reason.empty()) {
    context.error(path, reason);  // even if disabled or optional: a route could switch it on
  } else if (any.Is<HTTPFault>()) {
    auto config = unpack<HTTPFault>(any, path + ".typed_config", context);
    if (config.has_delay() || config.has_abort()) {
      context.not_supported("listener fault", path, "faults are injected by routes only, not for a whole listener");
    }
    http.fault_filter = !filter.disabled();
  } else if (any.Is<envoy::extensions::filters::http::cors::v3::Cors>()) {
    http.cors_filter = !filter.disabled();
  } else if (filter.disabled() || filter.is_optional() || may_be_skipped(filter.name(), any.type_url())) {
    context.not_supported("HTTP filter " + title, path, fmt::format("filter {} is skipped", title));
  } else {
    context.error(path, fmt::format("filter {} is not implemented", title), "remove it, or mark it is_optional");
  }
}

void compile_filters(const Hcm& config, const std::string& path, CompileContext& context, HttpManager& http) {
  int count = config.http_filters_size();
  for (int i = 0; i < count; ++i) {
    const auto& filter = config.http_filters(i);
    std::string here = fmt::format("{}.http_filters[{}]", path, i);
    bool is_router = filter.typed_config().Is<Router>();
    if (is_router) unpack<Router>(filter.typed_config(), here + ".typed_config", context);
    if (is_router && i + 1 != count) context.error(here, "the router must be the last HTTP filter");
    if (!is_router) compile_filter(filter, here, context, http);
  }
  if (count == 0 || !config.http_filters(count - 1).typed_config().Is<Router>()) {
    context.error(path + ".http_filters", "the last HTTP filter is not the router", "end with envoy.filters.http.router");
  }
}

void compile_routes(const Hcm& config, const std::string& path, CompileContext& context, HttpManager& http) {
  if (config.has_rds()) {
    http.rds_name = config.rds().route_config_name();
    if (http.rds_name.empty()) context.error(path + ".rds.route_config_name", "it is empty");
    return;
  }
  if (!config.has_route_config()) {
    context.error(path, "the HTTP connection manager has no routes", "use rds or route_config");
    return;
  }
  std::vector<Problem> warnings;
  auto table = RouteTable::compile(config.route_config(), warnings);
  for (const Problem& warning : warnings) {
    // Said once for a listener, whichever of its chains it stands in.
    context.not_supported(warning.message + warning.path.substr(warning.path.rfind('.') + 1),
                          join_path(path + ".route_config", warning.path), warning.message);
  }
  if (table) {
    http.inline_routes = std::move(*table);
  } else {
    for (std::string_view line : split(table.error().message(), '\n')) context.error(path + ".route_config", std::string(line));
  }
}

void compile_headers(const Hcm& config, const std::string& path, CompileContext& context, HttpManager& http) {
  if (!config.server_name().empty()) http.server_name = config.server_name();
  http.overwrite_server = config.server_header_transformation() == Hcm::OVERWRITE;
  if (config.server_header_transformation() == Hcm::APPEND_IF_ABSENT) {
    context.not_supported("APPEND_IF_ABSENT", path + ".server_header_transformation",
                          "the upstream's server header is passed as it is");
  }
  // Without TLS no client certificate was seen, so what a caller says about one is removed, unless asked to forward it always.
  http.sanitize_client_cert_header = config.forward_client_cert_details() != Hcm::ALWAYS_FORWARD_ONLY;
  if (config.has_generate_request_id()) http.generate_request_id = config.generate_request_id().value();
  if (config.has_normalize_path()) http.normalize_path = config.normalize_path().value();
  if (config.path_with_escaped_slashes_action() > Hcm::KEEP_UNCHANGED) {
    context.error(path + ".path_with_escaped_slashes_action", "escaped slashes are neither refused nor decoded",
                  "use KEEP_UNCHANGED");
  }
  if (config.has_max_request_headers_kb()) {
    std::uint32_t kb = config.max_request_headers_kb().value();
    if (kb == 0 || kb > 8192)
      context.error(path + ".max_request_headers_kb", fmt::format("{} is out of range", kb), "use 1 to 8192");
    http.max_head_bytes = kb * 1024;
  }
}

void compile_timeouts(const Hcm& config, const std::string& path, CompileContext& context, HttpManager& http) {
  if (config.has_stream_idle_timeout()) {
    http.stream_idle_timeout = to_milliseconds(config.stream_idle_timeout(), path + ".stream_idle_timeout", context);
  }
  if (config.common_http_protocol_options().has_idle_timeout()) {
    http.idle_timeout = to_milliseconds(config.common_http_protocol_options().idle_timeout(),
                                        path + ".common_http_protocol_options.idle_timeout", context);
  }
  if (config.has_request_headers_timeout()) {
    http.request_headers_timeout = to_milliseconds(config.request_headers_timeout(), path + ".request_headers_timeout", context);
  }
}

}  // namespace

HttpManager compile_hcm(const google::protobuf::Any& any, const std::string& path, CompileContext& context) {
  auto config = unpack<Hcm>(any, path, context);
  HttpManager http;
  http.stat_prefix = config.stat_prefix();
  compile_routes(config, path, context, http);
  compile_filters(config, path, context, http);
  compile_headers(config, path, context, http);
  compile_timeouts(config, path, context, http);
  http.access_logs = compile_logs(config.access_log(), path + ".access_log", context);
  http.proxy_100_continue = config.proxy_100_continue();
  for (const auto& upgrade : config.upgrade_configs()) {
    if (!upgrade.has_enabled() || upgrade.enabled().value()) http.upgrades.push_back(to_lower(upgrade.upgrade_type()));
  }
  return http;
}

}  // namespace weir::routing
