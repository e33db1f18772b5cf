// SPDX-License-Identifier: Apache-2.0
// RouteTable::compile: virtual hosts and routes.
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "routing/compile_route.h"
#include "routing/field_audit.h"
#include "routing/route_table_impl.h"
#include "xds/metadata.h"

namespace weir::routing {

namespace {

/// What a route inherits from its table and virtual host.
struct Inherited {
  PerFilter filters;
  std::optional<RetryPolicy> retry;
  std::size_t max_body = 4096;
};

void compile_action(const route_v3::Route& config, const Inherited& inherited, const std::string& path, CompileContext& context,
                    Route& route) {
  switch (config.action_case()) {
    case route_v3::Route::kRoute:
      route.action = compile_forward(config.route(), inherited.retry ? &*inherited.retry : nullptr, path + ".route", context);
      break;
    case route_v3::Route::kRedirect: route.action = compile_redirect(config.redirect(), path + ".redirect", context); break;
    case route_v3::Route::kDirectResponse:
      route.action = compile_direct_response(config.direct_response(), inherited.max_body, path + ".direct_response", context);
      break;
    case route_v3::Route::ACTION_NOT_SET:
      context.error(path, "the route has no action", "use route, redirect or direct_response");
      break;
    default:  // the audit refuses these
      break;
  }
}

Route compile_route(const route_v3::Route& config, const Inherited& inherited, const std::string& path, CompileContext& context) {
  Route route;
  route.name = config.name();
  route.rule = xds::rule_of(config.metadata());
  if (!config.has_match()) context.error(path, "the route has no match");
  if (config.has_match()) compile_match(config.match(), path + ".match", context, route);
  compile_action(config, inherited, path, context, route);
  route.request_headers =
      to_edits(config.request_headers_to_add(), config.request_headers_to_remove(), path + ".request_headers", context);
  route.response_headers =
      to_edits(config.response_headers_to_add(), config.response_headers_to_remove(), path + ".response_headers", context);
  PerFilter filters = inherited.filters;
  compile_per_filter(config.typed_per_filter_config(), path, context, filters);
  route.fault_disabled = filters.fault_disabled.value_or(false);
  if (!route.fault_disabled) route.fault = filters.fault.value_or(Fault{});
  if (!filters.cors_disabled) route.cors = std::move(filters.cors);
  return route;
}

VirtualHost compile_host(const route_v3::VirtualHost& config, Inherited inherited, const std::string& path,
                         CompileContext& context) {
  VirtualHost host;
  host.name = config.name();
  if (host.name.empty()) context.error(path + ".name", "the virtual host has no name");
  if (config.domains().empty()) context.error(path + ".domains", "the virtual host has no domain");
  host.domains.assign(config.domains().begin(), config.domains().end());
  host.attempt_count = config.include_request_attempt_count();
  host.request_headers =
      to_edits(config.request_headers_to_add(), config.request_headers_to_remove(), path + ".request_headers", context);
  host.response_headers =
      to_edits(config.response_headers_to_add(), config.response_headers_to_remove(), path + ".response_headers", context);
  compile_per_filter(config.typed_per_filter_config(), path, context, inherited.filters);
  if (config.has_retry_policy()) inherited.retry = compile_retry(config.retry_policy(), path + ".retry_policy", context);
  for (int i = 0; i < config.routes_size(); ++i) {
    host.routes.push_back(compile_route(config.routes(i), inherited, fmt::format("{}.routes[{}]", path, i), context));
  }
  return host;
}

void index_domains(const std::vector<VirtualHost>& hosts, CompileContext& context, DomainIndex& index) {
  std::set<std::string> seen;
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (!names.insert(hosts[i].name).second) {
      context.error(fmt::format("virtual_hosts[{}].name", i), fmt::format("\"{}\" stands there twice", printable(hosts[i].name)));
    }
    for (std::size_t j = 0; j < hosts[i].domains.size(); ++j) {
      const std::string& domain = hosts[i].domains[j];
      std::string where = fmt::format("virtual_hosts[{}].domains[{}]", i, j);
      if (domain.empty() || std::size_t(std::count(domain.begin(), domain.end(), '*')) > 1 ||
          (domain.find('*') != std::string::npos && domain.front() != '*' && domain.back() != '*')) {
        context.error(where, fmt::format("\"{}\" is no domain", printable(domain)), "use x.y, *.y, x.* or *");
      } else if (!seen.insert(to_lower(domain)).second) {
        context.error(where, fmt::format("domain \"{}\" stands there twice", printable(domain)),
                      "a domain belongs to one virtual host");
      } else {
        index.add(domain, static_cast<int>(i));  // "a." beside "a": the first counts
      }
    }
  }
}

}  // namespace

Result<std::shared_ptr<const RouteTable>> RouteTable::compile(const envoy::config::route::v3::RouteConfiguration& config,
                                                              std::vector<Problem>& unsupported) {
  CompileContext context(fmt::format("RouteConfiguration \"{}\"", printable(config.name())), unsupported);
  audit_fields(config, "", context);
  std::shared_ptr<RouteTable> table(new RouteTable());
  Impl& impl = *table->impl_;
  impl.name = config.name();
  impl.request_headers =
      to_edits(config.request_headers_to_add(), config.request_headers_to_remove(), "request_headers", context);
  impl.response_headers =
      to_edits(config.response_headers_to_add(), config.response_headers_to_remove(), "response_headers", context);
  Inherited inherited;
  if (config.has_max_direct_response_body_size_bytes()) inherited.max_body = config.max_direct_response_body_size_bytes().value();
  compile_per_filter(config.typed_per_filter_config(), "", context, inherited.filters);
  impl.hosts.reserve(static_cast<std::size_t>(config.virtual_hosts_size()));
  for (int i = 0; i < config.virtual_hosts_size(); ++i) {
    impl.hosts.push_back(compile_host(config.virtual_hosts(i), inherited, fmt::format("virtual_hosts[{}]", i), context));
  }
  impl.domains.ignore_port(config.ignore_port_in_host_matching());
  index_domains(impl.hosts, context, impl.domains);
  if (context.failed()) return tl::unexpected(context.to_error());
  return std::shared_ptr<const RouteTable>(std::move(table));
}

}  // namespace weir::routing
