// SPDX-License-Identifier: Apache-2.0
// One http route of a VirtualService → Envoy's routes, one for each match.
#include <algorithm>
#include <cmath>

#include "agent/names.h"
#include "agent/translate_parts.h"
#include "agent/xds_values.h"
#include "base/text.h"
#include "mesh-rules/resolve.h"
#include "xds/proto/cors.pb.h"
#include "xds/proto/fault.pb.h"
#include "xds/proto/previous_hosts.pb.h"

namespace weir::agent {
namespace {

namespace rds = envoy::config::route::v3;
namespace matcher = envoy::type::matcher::v3;
using Fraction = envoy::type::v3::FractionalPercent;
using HeaderList = google::protobuf::RepeatedPtrField<core::HeaderValueOption>;

/// What fails before a server has begun to work on the request.
constexpr std::string_view kDefaultRetryOn = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
constexpr std::uint32_t kDefaultRetries = 2;
constexpr int kHostAttempts = 5;

void set_percent(Fraction& out, double percent) {
  out.set_numerator(static_cast<std::uint32_t>(std::lround(percent * 10'000)));
  out.set_denominator(Fraction::MILLION);
}

matcher::StringMatcher string_matcher(const mesh::StringMatch& from) {
  matcher::StringMatcher out;
  switch (from.kind) {
    case mesh::StringMatch::Kind::prefix: out.set_prefix(from.text); break;
    case mesh::StringMatch::Kind::regex: out.mutable_safe_regex()->set_regex(from.text); break;
    case mesh::StringMatch::Kind::exact:
    case mesh::StringMatch::Kind::presence: out.set_exact(from.text); break;
  }
  return out;
}

/// An empty exact text means presence, as in Istio.
bool is_presence(const mesh::StringMatch& match) { return match.kind == mesh::StringMatch::Kind::presence || match.text.empty(); }

void add_header(rds::RouteMatch& out, std::string name, const mesh::StringMatch& match, bool is_forbidden) {
  rds::HeaderMatcher& header = *out.add_headers();
  header.set_name(std::move(name));
  if (is_presence(match)) {
    header.set_present_match(true);
  } else {
    *header.mutable_string_match() = string_matcher(match);
    if (is_forbidden) header.set_treat_missing_header_as_empty(true);
  }
  if (is_forbidden) header.set_invert_match(true);
}

void set_path(rds::RouteMatch& out, const std::optional<mesh::StringMatch>& uri) {
  if (!uri) {
    out.set_prefix("/");
  } else if (uri->kind == mesh::StringMatch::Kind::exact) {
    out.set_path(uri->text);
  } else if (uri->kind == mesh::StringMatch::Kind::prefix) {
    out.set_prefix(uri->text);
  } else {
    out.mutable_safe_regex()->set_regex(uri->text);
  }
}

rds::RouteMatch route_match(const mesh::HttpMatch* from) {
  rds::RouteMatch out;
  if (from == nullptr) {
    out.set_prefix("/");
    return out;
  }
  set_path(out, from->uri);
  out.mutable_case_sensitive()->set_value(!from->ignore_uri_case);
  for (const auto& [name, match] : from->headers) add_header(out, to_lower(name), match, false);
  for (const auto& [name, match] : from->without_headers) add_header(out, to_lower(name), match, true);
  if (from->method) add_header(out, ":method", *from->method, false);
  if (from->authority) add_header(out, ":authority", *from->authority, false);
  if (from->scheme) add_header(out, ":scheme", *from->scheme, false);
  for (const auto& [name, match] : from->query_params) {
    rds::QueryParameterMatcher& query = *out.add_query_parameters();
    query.set_name(name);
    if (is_presence(match)) {
      query.set_present_match(true);
    } else {
      *query.mutable_string_match() = string_matcher(match);
    }
  }
  return out;
}

/// Takes every request: what follows in the list is never reached and not sent.
bool takes_all(const rds::RouteMatch& match) {
  bool any_path = match.prefix() == "/" || match.safe_regex().regex() == ".*";
  return any_path && match.headers_size() == 0 && match.query_parameters_size() == 0;
}

bool is_host(std::string_view name) { return equals_ignore_case(name, "host") || name == ":authority"; }

void add_headers(HeaderList& out, const std::map<std::string, std::string>& from, bool overwrite) {
  for (const auto& [name, value] : from) {
    // Host is a rewrite (see host_rewrite); other pseudo-headers cannot be changed.
    if (is_host(name) || name.starts_with(':')) continue;
    core::HeaderValueOption& header = *out.Add();
    header.mutable_header()->set_key(name);
    header.mutable_header()->set_value(value);
    header.set_append_action(overwrite ? core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD
                                       : core::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD);
  }
}

/// Route and WeightedCluster.ClusterWeight have the same four fields.
template <class Message>
void set_headers(Message& out, const mesh::Headers& from) {
  add_headers(*out.mutable_request_headers_to_add(), from.request.set, true);
  add_headers(*out.mutable_request_headers_to_add(), from.request.add, false);
  add_headers(*out.mutable_response_headers_to_add(), from.response.set, true);
  add_headers(*out.mutable_response_headers_to_add(), from.response.add, false);
  for (const std::string& name : from.request.remove) out.add_request_headers_to_remove(name);
  for (const std::string& name : from.response.remove) out.add_response_headers_to_remove(name);
}

std::string host_rewrite(const mesh::Headers& headers) {
  for (const auto* changes : {&headers.request.set, &headers.request.add}) {
    for (const auto& [name, value] : *changes) {
      if (is_host(name)) return value;
    }
  }
  return "";
}

void avoid_previous_hosts(rds::RetryPolicy& out) {
  pack_named("envoy.retry_host_predicates.previous_hosts",
             envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate(), *out.add_retry_host_predicate());
  out.set_host_selection_retry_max_attempts(kHostAttempts);
}

/// Numbers among the words are status codes.
void set_conditions(rds::RetryPolicy& out, const std::string& retry_on) {
  std::vector<std::string> words;
  for (std::string_view word : split(retry_on, ',')) {
    word = trim(word);
    if (std::optional<std::uint64_t> code = parse_uint(word, 599)) {
      out.add_retriable_status_codes(static_cast<std::uint32_t>(*code));
    } else if (!word.empty()) {
      words.emplace_back(word);
    }
  }
  const std::string by_code = "retriable-status-codes";
  if (out.retriable_status_codes_size() > 0 && std::find(words.begin(), words.end(), by_code) == words.end())
    words.push_back(by_code);
  out.set_retry_on(join(words, ","));
}

void set_retries(rds::RouteAction& out, const std::optional<mesh::HttpRetry>& from) {
  if (from && from->attempts == 0) return;
  rds::RetryPolicy& policy = *out.mutable_retry_policy();
  policy.mutable_num_retries()->set_value(from ? from->attempts : kDefaultRetries);
  if (from && !from->retry_on.empty()) {
    set_conditions(policy, from->retry_on);
  } else {
    policy.set_retry_on(std::string(kDefaultRetryOn));
  }
  if (!from || from->ignore_previous_hosts.value_or(true)) avoid_previous_hosts(policy);
  if (from && from->per_try_timeout) set(*policy.mutable_per_try_timeout(), *from->per_try_timeout);
  if (from && from->backoff) set(*policy.mutable_retry_back_off()->mutable_base_interval(), *from->backoff);
}

/// Unset is "no limit" in Istio (0), not Envoy's 15 s; a gRPC caller's own limit then counts. With max_stream_duration Envoy
/// takes no notice of `timeout`, so that a route has either. (istiod says it with max_grpc_timeout, which Envoy calls deprecated
/// for every route in its log.)
void set_timeout(rds::RouteAction& out, Nanoseconds timeout) {
  set(*out.mutable_timeout(), timeout);
  if (timeout.count() > 0) return;
  out.mutable_max_stream_duration()->mutable_max_stream_duration();
  out.mutable_max_stream_duration()->mutable_grpc_timeout_header_max();
}

std::uint32_t grpc_code(const std::string& status) {
  static constexpr std::string_view kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  if (std::optional<std::uint64_t> number = parse_uint(status, 16)) return static_cast<std::uint32_t>(*number);
  return static_cast<std::uint32_t>(std::find(std::begin(kNames), std::end(kNames), status) - std::begin(kNames));
}

void set_fault(rds::Route& out, const mesh::HttpFault& from) {
  envoy::extensions::filters::http::fault::v3::HTTPFault fault;
  if (from.delay && from.delay->percentage > 0) {
    set(*fault.mutable_delay()->mutable_fixed_delay(), from.delay->fixed_delay);
    set_percent(*fault.mutable_delay()->mutable_percentage(), from.delay->percentage);
  }
  if (from.abort && from.abort->percentage > 0) {
    if (from.abort->http_status) fault.mutable_abort()->set_http_status(*from.abort->http_status);
    if (!from.abort->http_status) fault.mutable_abort()->set_grpc_status(grpc_code(from.abort->grpc_status));
    set_percent(*fault.mutable_abort()->mutable_percentage(), from.abort->percentage);
  }
  if (fault.has_delay() || fault.has_abort()) pack(fault, (*out.mutable_typed_per_filter_config())["envoy.filters.http.fault"]);
}

void set_cors(rds::Route& out, const mesh::CorsPolicy& from) {
  envoy::extensions::filters::http::cors::v3::CorsPolicy cors;
  for (const mesh::StringMatch& origin : from.allow_origins) *cors.add_allow_origin_string_match() = string_matcher(origin);
  cors.set_allow_methods(join(from.allow_methods, ","));
  cors.set_allow_headers(join(from.allow_headers, ","));
  cors.set_expose_headers(join(from.expose_headers, ","));
  if (from.max_age) cors.set_max_age(fmt::format("{}", std::chrono::duration_cast<std::chrono::seconds>(*from.max_age).count()));
  if (from.allow_credentials) cors.mutable_allow_credentials()->set_value(*from.allow_credentials);
  cors.mutable_filter_enabled()->mutable_default_value()->set_numerator(100);
  cors.mutable_forward_not_matching_preflights()->set_value(from.forward_unmatched_preflights);
  pack(cors, (*out.mutable_typed_per_filter_config())["envoy.filters.http.cors"]);
}

void set_redirect(rds::Route& out, const mesh::HttpRedirect& from, Port listener_port) {
  rds::RedirectAction& redirect = *out.mutable_redirect();
  if (from.uri) redirect.set_path_redirect(*from.uri);
  if (from.authority) redirect.set_host_redirect(*from.authority);
  if (from.scheme) redirect.set_scheme_redirect(*from.scheme);
  if (from.port) redirect.set_port_redirect(*from.port);
  // The request's port is this listener's; the protocol's default port needs no mention.
  if (from.derive_port == mesh::HttpRedirect::DerivePort::from_request_port) redirect.set_port_redirect(listener_port);
  switch (from.code) {
    case 302: redirect.set_response_code(rds::RedirectAction::FOUND); break;
    case 303: redirect.set_response_code(rds::RedirectAction::SEE_OTHER); break;
    case 307: redirect.set_response_code(rds::RedirectAction::TEMPORARY_REDIRECT); break;
    case 308: redirect.set_response_code(rds::RedirectAction::PERMANENT_REDIRECT); break;
    default: redirect.set_response_code(rds::RedirectAction::MOVED_PERMANENTLY); break;
  }
}

void set_direct_response(rds::Route& out, const mesh::DirectResponse& from) {
  out.mutable_direct_response()->set_status(from.status);
  if (from.body_is_bytes) {
    out.mutable_direct_response()->mutable_body()->set_inline_bytes(from.body);
  } else if (!from.body.empty()) {
    out.mutable_direct_response()->mutable_body()->set_inline_string(from.body);
  }
}

/// The parts of one translation of one http route.
struct Source {
  const MeshView& view;
  const mesh::VirtualService& rule;
  const mesh::HttpRoute& route;
  Port listener_port;
};

void set_destinations(const Source& from, rds::Route& out) {
  rds::RouteAction& action = *out.mutable_route();
  auto cluster = [&](const mesh::HttpDestination& d) {
    return cluster_of(from.view, d.destination, from.rule, from.listener_port);
  };
  if (from.route.route.size() == 1) {
    const mesh::HttpDestination& only = from.route.route.front();
    action.set_cluster(cluster(only));
    set_headers(out, only.headers);
    if (std::string host = host_rewrite(only.headers); !host.empty() && action.host_rewrite_literal().empty())
      action.set_host_rewrite_literal(host);
    return;
  }
  for (const mesh::HttpDestination& destination : from.route.route) {
    if (destination.weight.value_or(0) == 0) continue;
    rds::WeightedCluster::ClusterWeight& weighted = *action.mutable_weighted_clusters()->add_clusters();
    weighted.set_name(cluster(destination));
    weighted.mutable_weight()->set_value(*destination.weight);
    set_headers(weighted, destination.headers);
    if (std::string host = host_rewrite(destination.headers); !host.empty()) weighted.set_host_rewrite_literal(host);
  }
}

void set_mirrors(const Source& from, rds::RouteAction& action) {
  for (const mesh::HttpMirror& mirror : from.route.mirrors) {
    if (mirror.percentage <= 0) continue;
    rds::RouteAction::RequestMirrorPolicy& out = *action.add_request_mirror_policies();
    out.set_cluster(cluster_of(from.view, mirror.destination, from.rule, from.listener_port));
    set_percent(*out.mutable_runtime_fraction()->mutable_default_value(), mirror.percentage);
    out.mutable_trace_sampled()->set_value(false);
    out.set_disable_shadow_host_suffix_append(true);
  }
}

void set_forward(const Source& from, rds::Route& out) {
  rds::RouteAction& action = *out.mutable_route();
  if (from.route.rewrite) {
    const mesh::HttpRewrite& rewrite = *from.route.rewrite;
    if (!rewrite.authority.empty()) action.set_host_rewrite_literal(rewrite.authority);
    if (!rewrite.uri.empty()) action.set_prefix_rewrite(rewrite.uri);
    if (rewrite.uri_regex) {
      action.mutable_regex_rewrite()->mutable_pattern()->set_regex(rewrite.uri_regex->match);
      action.mutable_regex_rewrite()->set_substitution(rewrite.uri_regex->rewrite);
    }
  }
  if (std::string host = host_rewrite(from.route.headers); !host.empty()) action.set_host_rewrite_literal(host);
  set_destinations(from, out);
  set_retries(action, from.route.retries);
  set_timeout(action, from.route.timeout.value_or(Nanoseconds(0)));
  set_mirrors(from, action);
}

/// For traces: "host:port/path*"; with several destinations the rule's name stands for the host.
std::string operation(const rds::Route& route, const std::string& rule, Port port) {
  const rds::RouteMatch& match = route.match();
  std::string path = match.has_path() ? match.path() : match.has_safe_regex() ? match.safe_regex().regex() : match.prefix() + "*";
  std::vector<std::string_view> parts = split(route.route().cluster(), '|');
  if (parts.size() == 4) return fmt::format("{}:{}{}", parts[3], parts[1], path);
  return fmt::format("{}:{}{}", rule, port, path);
}

rds::Route make_route(const Source& from, const mesh::HttpMatch* match) {
  rds::Route out;
  std::string name = from.route.name;
  if (match != nullptr && !match->name.empty()) name += "." + match->name;
  out.set_name(name);
  if (match != nullptr) out.set_stat_prefix(match->stat_prefix);
  *out.mutable_match() = route_match(match);
  set_rule(*out.mutable_metadata(), from.rule.meta, match != nullptr ? match->where : from.route.where, true);
  set_headers(out, from.route.headers);
  if (from.route.redirect) {
    set_redirect(out, *from.route.redirect, from.listener_port);
  } else if (from.route.direct_response) {
    set_direct_response(out, *from.route.direct_response);
  } else {
    set_forward(from, out);
  }
  out.mutable_decorator()->set_operation(operation(out, from.rule.meta.name(), from.listener_port));
  if (from.route.fault) set_fault(out, *from.route.fault);
  if (from.route.cors) set_cors(out, *from.route.cors);
  return out;
}

}  // namespace

std::string cluster_of(const MeshView& view, const mesh::Destination& destination, const mesh::VirtualService& rule,
                       Port listener_port) {
  std::string host = mesh::full_host(destination.host, rule.meta.ns(), view.settings().domain);
  const ServiceView* service = view.service(host);
  std::uint32_t port = destination.port.value_or(listener_port);
  if (!destination.port && service != nullptr && service->service->ports.size() == 1) port = service->service->ports.front().port;
  return names::outbound_cluster(port, destination.subset, host);
}

void translate_http_routes(const MeshView& view, const mesh::VirtualService& rule, Port listener_port,
                           google::protobuf::RepeatedPtrField<rds::Route>& out) {
  for (const mesh::HttpRoute& route : rule.http) {
    Source from{view, rule, route, listener_port};
    if (route.match.empty()) {
      *out.Add() = make_route(from, nullptr);
      return;
    }
    for (const mesh::HttpMatch& match : route.match) {
      if (!concerns(view, match, listener_port)) continue;
      *out.Add() = make_route(from, &match);
      if (takes_all(out[out.size() - 1].match())) return;
    }
  }
}

rds::Route default_route(const ServiceView& service, const PortView& port) {
  rds::Route out;
  out.set_name("default");
  out.mutable_match()->set_prefix("/");
  rds::RouteAction& action = *out.mutable_route();
  action.set_cluster(names::outbound_cluster(port.port->port, "", service.host));
  set_retries(action, std::nullopt);
  set_timeout(action, Nanoseconds(0));
  out.mutable_decorator()->set_operation(names::host_port(service.host, port.port->port) + "/*");
  set_rule(*out.mutable_metadata(), service.service->meta, service.service->meta.where, true);
  return out;
}

}  // namespace weir::agent
