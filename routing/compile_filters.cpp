// SPDX-License-Identifier: Apache-2.0
// Per-route filter configuration: fault and CORS; everything that guards a door is refused.
#include <fmt/format.h>

#include "base/text.h"
#include "routing/compile_route.h"
#include "routing/field_audit.h"
#include "xds/proto/cors.pb.h"
#include "xds/proto/fault.pb.h"

namespace weir::routing {

namespace {

using envoy::extensions::filters::http::cors::v3::CorsPolicy;
using envoy::extensions::filters::http::fault::v3::HTTPFault;

Fault compile_fault(const HTTPFault& config, const std::string& path, CompileContext& context) {
  Fault fault;
  if (config.delay().has_fixed_delay()) {
    fault.delay = to_milliseconds(config.delay().fixed_delay(), path + ".delay.fixed_delay", context);
    fault.delay_share = to_fraction(config.delay().percentage());  // absent: 0 %
  }
  fault.abort_share = to_fraction(config.abort().percentage());
  using Abort = envoy::extensions::filters::http::fault::v3::FaultAbort;
  if (config.abort().error_type_case() == Abort::kHttpStatus) {
    std::uint32_t status = config.abort().http_status();
    if (status < 200 || status > 599) {
      context.error(path + ".abort.http_status", fmt::format("status {} cannot be answered", status), "use 200 to 599");
    }
    fault.abort_status = static_cast<std::uint16_t>(status);
  } else if (config.abort().error_type_case() == Abort::kGrpcStatus) {
    fault.abort_grpc_status = config.abort().grpc_status();
  }
  return fault;
}

std::optional<Cors> compile_cors(const CorsPolicy& policy, const std::string& path, CompileContext& context) {
  Cors cors;
  for (int i = 0; i < policy.allow_origin_string_match_size(); ++i) {
    std::string here = fmt::format("{}.allow_origin_string_match[{}]", path, i);
    if (auto origin = to_matcher(policy.allow_origin_string_match(i), here, context)) cors.origins.push_back(std::move(*origin));
  }
  cors.methods = policy.allow_methods();
  cors.headers = policy.allow_headers();
  cors.expose = policy.expose_headers();
  cors.max_age = policy.max_age();
  cors.credentials = policy.allow_credentials().value();
  if (policy.has_forward_not_matching_preflights()) {
    cors.forward_unmatched_preflights = policy.forward_not_matching_preflights().value();
  }
  if (!policy.has_filter_enabled()) return cors;
  Fraction share = to_fraction(policy.filter_enabled().default_value());
  if (share.per_million == 0) return std::nullopt;
  if (share.per_million < 1'000'000) {
    context.not_supported("CorsPolicy.filter_enabled", path + ".filter_enabled",
                          "the policy holds for all requests, not for a share");
  }
  return cors;
}

void compile_one(const std::string& name, const google::protobuf::Any& any, const std::string& path, CompileContext& context,
                 PerFilter& out) {
  if (std::string reason = guard_reason(any.type_url()); !reason.empty()) return context.error(path, reason);
  if (any.Is<route_v3::FilterConfig>()) {
    route_v3::FilterConfig wrapped;
    if (!any.UnpackTo(&wrapped)) return context.error(path, "FilterConfig does not parse");
    audit_fields(wrapped, path, context);
    bool is_fault = name == "envoy.filters.http.fault", is_cors = name == "envoy.filters.http.cors";
    if (wrapped.disabled() && is_fault) out.fault_disabled = true;
    if (wrapped.disabled() && is_cors) out.cors_disabled = true;
    if (wrapped.disabled() && !is_fault && !is_cors) {
      context.not_supported("disabled " + name, path, fmt::format("filter \"{}\" is not known here", printable(name)));
    }
    if (wrapped.has_config()) compile_one(name, wrapped.config(), path + ".config", context, out);
  } else if (any.Is<HTTPFault>()) {
    HTTPFault config;
    if (!any.UnpackTo(&config)) return context.error(path, "HTTPFault does not parse");
    audit_fields(config, path, context);
    out.fault = compile_fault(config, path, context);
    out.fault_disabled = false;
  } else if (any.Is<CorsPolicy>()) {
    CorsPolicy policy;
    if (!any.UnpackTo(&policy)) return context.error(path, "CorsPolicy does not parse");
    audit_fields(policy, path, context);
    out.cors = compile_cors(policy, path, context);
    out.cors_disabled = !out.cors;
  } else {
    context.not_supported("typed_per_filter_config " + name, path,
                          fmt::format("{} is not implemented", type_name(any.type_url())));
  }
}

}  // namespace

std::string_view type_name(std::string_view type_url) { return type_url.substr(type_url.rfind('/') + 1); }

std::string guard_reason(std::string_view type_url, std::string_view name) {
  struct Guard {
    std::string_view part, what;
  };
  static constexpr Guard kGuards[] = {
      {".rbac.", "authorization (RBAC)"},
      {".jwt_authn.", "JWT authentication"},
      {".ext_authz.", "external authorization"},
      {".basic_auth.", "basic authentication"},
      {".oauth2.", "OAuth2"},
      {".api_key_auth.", "API key authentication"},
      {"istio.authn", "Istio authentication"},
  };
  std::string dotted_name = std::string(name) + '.';  // "envoy.filters.http.rbac" ends in the telling word
  for (const Guard& guard : kGuards) {
    if (type_url.find(guard.part) == std::string_view::npos && dotted_name.find(guard.part) == std::string::npos) continue;
    return fmt::format("{} guards a door and is not implemented ({}); without it everybody would be let in", guard.what,
                       type_url.empty() ? name : type_name(type_url));
  }
  return {};
}

void compile_per_filter(const PerFilterConfig& config, const std::string& path, CompileContext& context, PerFilter& out) {
  std::map<std::string, const google::protobuf::Any*> sorted;  // so that problems come in a stable order
  for (const auto& [name, any] : config) sorted.emplace(name, &any);
  for (const auto& [name, any] : sorted) {
    compile_one(name, *any, join_path(path, fmt::format("typed_per_filter_config[\"{}\"]", name)), context, out);
  }
}

}  // namespace weir::routing
