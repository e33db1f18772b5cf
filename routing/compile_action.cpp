// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "routing/compile_route.h"

namespace weir::routing {

namespace {

WeightedCluster compile_entry(const route_v3::WeightedCluster::ClusterWeight& entry, const std::string& path,
                              CompileContext& context) {
  WeightedCluster compiled;
  compiled.cluster = entry.name();
  compiled.weight = entry.weight().value();
  compiled.host_rewrite = entry.host_rewrite_literal();
  compiled.request_headers =
      to_edits(entry.request_headers_to_add(), entry.request_headers_to_remove(), path + ".request_headers", context);
  compiled.response_headers =
      to_edits(entry.response_headers_to_add(), entry.response_headers_to_remove(), path + ".response_headers", context);
  if (compiled.cluster.empty()) context.error(path + ".name", "the entry names no cluster");
  for (const auto& [name, any] : entry.typed_per_filter_config()) {
    std::string where = fmt::format("{}.typed_per_filter_config[\"{}\"]", path, name);
    std::string reason = guard_reason(any.type_url());
    if (!reason.empty()) {
      context.error(where, reason);
    } else {
      context.not_supported("ClusterWeight.typed_per_filter_config", where, "filters are not configured for a weighted entry");
    }
  }
  return compiled;
}

void compile_clusters(const route_v3::RouteAction& action, const std::string& path, CompileContext& context, Forward& forward) {
  if (action.has_weighted_clusters()) {
    std::uint64_t total = 0;
    for (int i = 0; i < action.weighted_clusters().clusters_size(); ++i) {
      std::string here = fmt::format("{}.weighted_clusters.clusters[{}]", path, i);
      forward.clusters.push_back(compile_entry(action.weighted_clusters().clusters(i), here, context));
      total += forward.clusters.back().weight;
    }
    if (total == 0 || total > UINT32_MAX) {
      context.error(path + ".weighted_clusters", fmt::format("the weights sum to {}", total), "use 1 to 4294967295 in sum");
    }
    forward.total_weight = static_cast<std::uint32_t>(total);
    return;
  }
  forward.cluster_header = to_lower(action.cluster_header());
  forward.clusters.push_back({action.cluster(), 1, {}, {}, {}});
  if (action.cluster().empty() && forward.cluster_header.empty()) {
    context.error(path, "the route names no cluster", "use cluster, weighted_clusters or cluster_header");
  }
}

void compile_hash(const route_v3::RouteAction& action, const std::string& path, CompileContext& context, Forward& forward) {
  for (int i = 0; i < action.hash_policy_size(); ++i) {
    const auto& policy = action.hash_policy(i);
    HashPolicy compiled;
    if (policy.has_header()) {
      compiled = {HashPolicy::Kind::header, to_lower(policy.header().header_name()), {}, {}};
    } else if (policy.has_cookie()) {
      compiled = {HashPolicy::Kind::cookie, policy.cookie().name(), policy.cookie().path(), {}};
      if (policy.cookie().has_ttl()) compiled.cookie_ttl = std::chrono::seconds(policy.cookie().ttl().seconds());
    } else if (policy.has_query_parameter()) {
      compiled = {HashPolicy::Kind::query, policy.query_parameter().name(), {}, {}};
    } else if (policy.connection_properties().source_ip()) {
      compiled.kind = HashPolicy::Kind::source_ip;
    } else {
      context.not_supported("hash_policy", fmt::format("{}.hash_policy[{}]", path, i), "no source of a hash that weir knows");
      continue;
    }
    forward.hash.push_back(std::move(compiled));
  }
}

void compile_mirrors(const route_v3::RouteAction& action, const std::string& path, CompileContext& context, Forward& forward) {
  for (int i = 0; i < action.request_mirror_policies_size(); ++i) {
    const auto& policy = action.request_mirror_policies(i);
    if (policy.cluster().empty()) {
      context.not_supported("mirror without cluster", fmt::format("{}.request_mirror_policies[{}]", path, i), "names no cluster");
      continue;
    }
    Mirror mirror{policy.cluster(), {1'000'000}};
    if (policy.has_runtime_fraction()) mirror.share = to_fraction(policy.runtime_fraction().default_value());
    forward.mirrors.push_back(std::move(mirror));
  }
}

void compile_rewrites(const route_v3::RouteAction& action, const std::string& path, CompileContext& context, Forward& forward) {
  if (!action.prefix_rewrite().empty()) forward.prefix_rewrite = action.prefix_rewrite();
  if (action.has_regex_rewrite()) forward.regex_rewrite = to_rewrite(action.regex_rewrite(), path + ".regex_rewrite", context);
  if (forward.prefix_rewrite && action.has_regex_rewrite()) {
    context.error(path, "prefix_rewrite and regex_rewrite exclude each other");
  }
  forward.host_rewrite = action.host_rewrite_literal();
  forward.auto_host_rewrite = action.auto_host_rewrite().value();
}

std::uint16_t not_found_status(const route_v3::RouteAction& action) {
  switch (action.cluster_not_found_response_code()) {
    case route_v3::RouteAction::NOT_FOUND: return 404;
    case route_v3::RouteAction::INTERNAL_SERVER_ERROR: return 500;
    default: return 503;
  }
}

}  // namespace

Forward compile_forward(const route_v3::RouteAction& action, const RetryPolicy* inherited, const std::string& path,
                        CompileContext& context) {
  Forward forward;
  compile_clusters(action, path, context, forward);
  compile_rewrites(action, path, context, forward);
  if (action.has_timeout()) forward.timeout = to_milliseconds(action.timeout(), path + ".timeout", context);
  if (action.has_idle_timeout()) forward.idle_timeout = to_milliseconds(action.idle_timeout(), path + ".idle_timeout", context);
  if (action.has_retry_policy()) {
    forward.retry = compile_retry(action.retry_policy(), path + ".retry_policy", context);
  } else if (inherited != nullptr) {
    forward.retry = *inherited;
  }
  compile_hash(action, path, context, forward);
  compile_mirrors(action, path, context, forward);
  forward.cluster_not_found_status = not_found_status(action);
  for (int i = 0; i < action.upgrade_configs_size(); ++i) {
    const auto& upgrade = action.upgrade_configs(i);
    if (!upgrade.has_enabled() || upgrade.enabled().value()) {
      forward.upgrades.push_back(to_lower(upgrade.upgrade_type()));
    } else {
      context.not_supported("upgrade disabled", fmt::format("{}.upgrade_configs[{}].enabled", path, i),
                            "an upgrade cannot be switched off for one route");
    }
  }
  return forward;
}

Redirect compile_redirect(const route_v3::RedirectAction& action, const std::string& path, CompileContext& context) {
  static constexpr std::uint16_t kStatus[] = {301, 302, 303, 307, 308};
  Redirect redirect;
  if (action.response_code() < 0 || action.response_code() > 4) {
    context.error(path + ".response_code", fmt::format("code {} is not known", static_cast<int>(action.response_code())));
  } else {
    redirect.status = kStatus[action.response_code()];
  }
  redirect.scheme = action.https_redirect() ? "https" : to_lower(action.scheme_redirect());
  redirect.host = action.host_redirect();
  redirect.port = action.port_redirect();
  if (redirect.port > 65535) context.error(path + ".port_redirect", fmt::format("port {} is too large", redirect.port));
  if (!action.path_redirect().empty()) redirect.path = action.path_redirect();
  if (action.path_rewrite_specifier_case() == route_v3::RedirectAction::kPrefixRewrite) {
    redirect.prefix_rewrite = action.prefix_rewrite();
  }
  if (action.has_regex_rewrite()) redirect.regex_rewrite = to_rewrite(action.regex_rewrite(), path + ".regex_rewrite", context);
  redirect.strip_query = action.strip_query();
  for (std::string_view text :
       {std::string_view(redirect.host), std::string_view(action.path_redirect()), std::string_view(redirect.scheme)}) {
    if (text.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      context.error(path, fmt::format("\"{}\" holds CR, LF or NUL", printable(text)));
    }
  }
  return redirect;
}

DirectResponse compile_direct_response(const route_v3::DirectResponseAction& action, std::size_t max_body,
                                       const std::string& path, CompileContext& context) {
  DirectResponse response;
  if (action.status() < 200 || action.status() > 599) {
    context.error(path + ".status", fmt::format("status {} cannot be answered", action.status()), "use 200 to 599");
  }
  response.status = static_cast<std::uint16_t>(action.status());
  response.body = action.body().inline_string().empty() ? action.body().inline_bytes() : action.body().inline_string();
  if (response.body.size() > max_body) {
    context.error(path + ".body", fmt::format("the body has {} bytes", response.body.size()),
                  fmt::format("at most {}", max_body));
  }
  return response;
}

}  // namespace weir::routing
