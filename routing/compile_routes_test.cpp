// SPDX-License-Identifier: Apache-2.0
// From RouteConfiguration to values; what is reported and what is refused.
#include <doctest/doctest.h>
#include <google/protobuf/descriptor.h>

#include "base/test_golden.h"
#include "routing/field_table.h"
#include "routing/test_support.h"
#include "xds/proto/cors.pb.h"
#include "xds/proto/fault.pb.h"
#include "xds/proto/file_access_log.pb.h"
#include "xds/proto/http_connection_manager.pb.h"
#include "xds/proto/listener.pb.h"
#include "xds/proto/previous_hosts.pb.h"
#include "xds/proto/rbac_http_filter.pb.h"
#include "xds/proto/router.pb.h"
#include "xds/proto/stream_access_log.pb.h"
#include "xds/proto/tcp_proxy.pb.h"
#include "xds/proto/tls_inspector.pb.h"

using namespace weir;
using namespace weir::routing;
using namespace weir::routing::test;

namespace {

Route route_of(const std::string& text) {
  return routes("routes { match { prefix: '/' } " + text + " }")->virtual_hosts()[0].routes[0];
}
Forward forward_of(const std::string& text) { return std::get<Forward>(route_of("route { cluster: 'c' " + text + " }").action); }

constexpr const char* kFault =
    "typed_per_filter_config { key: 'envoy.filters.http.fault' value {"
    " [type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault] {";
constexpr const char* kCors =
    "typed_per_filter_config { key: 'envoy.filters.http.cors' value {"
    " [type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy] {";

/// Errors, or else warnings, of one table, for the golden text.
std::string problems_of(const std::string& text) {
  std::vector<Problem> unsupported;
  auto compiled = compile(text, unsupported);
  return (compiled ? "accepted\n" : compiled.error().to_text()) + to_text(unsupported);
}

}  // namespace

TEST_CASE("every row of the field table names a field that exists, once") {
  envoy::config::listener::v3::Listener force_linking;
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy tcp;
  envoy::extensions::filters::http::router::v3::Router router;
  envoy::extensions::filters::http::fault::v3::HTTPFault fault;
  envoy::extensions::filters::http::cors::v3::CorsPolicy cors;
  envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  envoy::extensions::access_loggers::stream::v3::StdoutAccessLog stream;
  envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector inspector;
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  std::map<std::string_view, int> seen;
  for (const FieldRule& rule : field_rules()) {
    CAPTURE(rule.field);
    CHECK(pool->FindFieldByName("envoy." + std::string(rule.field)) != nullptr);
    CHECK(++seen[rule.field] == 1);
    CHECK((rule.use == FieldUse::refused) <= !rule.note.empty());
  }
}

TEST_CASE("the defaults of a forwarding route are Envoy's") {
  Forward forward = forward_of("");
  CHECK(forward.timeout == Milliseconds{15'000});
  CHECK(!forward.idle_timeout);
  CHECK(forward.retry.on == 0);
  CHECK(forward.cluster_not_found_status == 503);
  CHECK(forward.total_weight == 1);
}

TEST_CASE("timeouts are milliseconds, rounded up; 0s means none") {
  CHECK(forward_of("timeout {}").timeout == Milliseconds{0});
  CHECK(forward_of("timeout { seconds: 1 nanos: 500000001 }").timeout == Milliseconds{1501});
  CHECK(forward_of("idle_timeout { nanos: 1 }").idle_timeout == Milliseconds{1});
}

TEST_CASE("a retry policy: words, counts, codes, backoff, hosts") {
  envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate linked;  // so that the text format knows it
  RetryPolicy retry =
      forward_of(
          "retry_policy { retry_on: 'connect-failure, refused-stream,unavailable,cancelled,retriable-status-codes' num_retries { "
          "value: 2 }"
          " per_try_timeout { nanos: 200000000 } retriable_status_codes: 418 retry_back_off { base_interval { nanos: 2000000 } }"
          " retry_host_predicate { name: 'envoy.retry_host_predicates.previous_hosts' typed_config {"
          " [type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate] {} } }"
          " host_selection_retry_max_attempts: 5 }")
          .retry;
  CHECK(retry.on == (16U | 64U | 4096U | 256U | 128U));
  CHECK(retry.retries == 2);
  CHECK(retry.per_try_timeout == Milliseconds{200});
  CHECK(retry.status_codes == std::vector<std::uint16_t>{418});
  CHECK(retry.base_interval == Milliseconds{2});
  CHECK(retry.max_interval == Milliseconds{20});
  CHECK(retry.avoid_previous_hosts);
  CHECK(retry.host_attempts == 5);
}

TEST_CASE("every retry word of the list is known") {
  struct {
    const char* word;
    RetryOn bit;
  } rows[] = {{"5xx", RetryOn::five_xx},
              {"gateway-error", RetryOn::gateway_error},
              {"reset", RetryOn::reset},
              {"reset-before-request", RetryOn::reset_before_request},
              {"connect-failure", RetryOn::connect_failure},
              {"envoy-ratelimited", RetryOn::envoy_ratelimited},
              {"retriable-4xx", RetryOn::retriable_4xx},
              {"refused-stream", RetryOn::refused_stream},
              {"retriable-status-codes", RetryOn::retriable_status_codes},
              {"retriable-headers", RetryOn::retriable_headers},
              {"cancelled", RetryOn::cancelled},
              {"deadline-exceeded", RetryOn::deadline_exceeded},
              {"internal", RetryOn::internal},
              {"resource-exhausted", RetryOn::resource_exhausted},
              {"unavailable", RetryOn::unavailable}};
  for (const auto& row : rows) {
    CAPTURE(row.word);
    CHECK(forward_of(std::string("retry_policy { retry_on: '") + row.word + "' }").retry.on ==
          static_cast<std::uint32_t>(row.bit));
  }
  CHECK(forward_of("retry_policy { retry_on: 'http3-post-connect-failure' }").retry.on == 0);
}

TEST_CASE("a virtual host's retry policy holds for routes without one") {
  auto t = routes(
      "retry_policy { retry_on: 'reset' } routes { match { prefix: '/a' } route { cluster: 'c' } }"
      " routes { match { prefix: '/b' } route { cluster: 'c' retry_policy { retry_on: '5xx' } } }");
  const auto& compiled = t->virtual_hosts()[0].routes;
  CHECK(std::get<Forward>(compiled[0].action).retry.has(RetryOn::reset));
  CHECK(std::get<Forward>(compiled[1].action).retry.on == 1);
}

TEST_CASE("weighted clusters keep weights, header edits and host rewrites") {
  Forward forward = std::get<Forward>(route_of("route { weighted_clusters { clusters { name: 'a' weight { value: 80 } "
                                               "host_rewrite_literal: 'h' request_headers_to_remove: 'X-Y' }"
                                               " clusters { name: 'b' weight { value: 20 } } } }")
                                          .action);
  CHECK(forward.total_weight == 100);
  CHECK(forward.clusters[0].host_rewrite == "h");
  CHECK(forward.clusters[0].request_headers.remove == std::vector<std::string>{"x-y"});
  CHECK(forward.clusters[1].cluster == "b");
}

TEST_CASE("header edits keep order, action and whether they hold operators") {
  HeaderEdits edits =
      route_of(
          "route { cluster: 'c' }"
          " request_headers_to_add { header { key: 'X-Set' value: 'new' } append_action: OVERWRITE_IF_EXISTS_OR_ADD }"
          " request_headers_to_add { header { key: 'x-add' value: '%PROTOCOL%' } }"
          " request_headers_to_add { header { key: 'x-new' value: '1' } append_action: ADD_IF_ABSENT }"
          " request_headers_to_add { header { key: 'x-old' value: '1' } append { value: false } }"
          " request_headers_to_add { header { key: 'x-empty' } }"
          " request_headers_to_remove: 'X-Gone'")
          .request_headers;
  REQUIRE(edits.set.size() == 4);
  CHECK(edits.set[0].name == "X-Set");
  CHECK(edits.set[0].action == HeaderValue::Action::overwrite);
  CHECK(!edits.set[0].formatted);
  CHECK(edits.set[1].action == HeaderValue::Action::append);
  CHECK(edits.set[1].formatted);
  CHECK(edits.set[2].action == HeaderValue::Action::add_if_absent);
  CHECK(edits.set[3].action == HeaderValue::Action::overwrite);
  CHECK(edits.remove == std::vector<std::string>{"x-gone"});
}

TEST_CASE("fault: delay and abort with shares in parts per million; without a share nothing happens") {
  Fault fault = route_of(std::string("route { cluster: 'c' } ") + kFault +
                         "delay { fixed_delay { nanos: 300000000 } percentage { numerator: 1000000 denominator: MILLION } }"
                         " abort { http_status: 418 percentage { numerator: 50 } } } } }")
                    .fault;
  CHECK(fault.delay == Milliseconds{300});
  CHECK(fault.delay_share.per_million == 1'000'000);
  CHECK(fault.abort_status == 418);
  CHECK(fault.abort_share.per_million == 500'000);
  CHECK(!fault.abort_grpc_status);
  Fault grpc = route_of(std::string("route { cluster: 'c' } ") + kFault + "abort { grpc_status: 14 } } } }").fault;
  CHECK(grpc.abort_grpc_status == 14U);
  CHECK(grpc.abort_share.per_million == 0);
}

TEST_CASE("a fault of the virtual host holds for its routes, unless a route overrides or disables it") {
  std::string fault = std::string(kFault) + "abort { http_status: 500 percentage { numerator: 100 } } } } }";
  auto t = routes(
      fault +
      " routes { match { prefix: '/a' } route { cluster: 'c' } }"
      " routes { match { prefix: '/b' } route { cluster: 'c' } " +
      kFault +
      "abort { http_status: 503 } } } } }"
      " routes { match { prefix: '/c' } route { cluster: 'c' } typed_per_filter_config { key: 'envoy.filters.http.fault' value {"
      " [type.googleapis.com/envoy.config.route.v3.FilterConfig] { disabled: true } } } }");
  const auto& compiled = t->virtual_hosts()[0].routes;
  CHECK(compiled[0].fault.abort_status == 500);
  CHECK(compiled[1].fault.abort_status == 503);
  CHECK(compiled[2].fault.empty());
  CHECK(compiled[2].fault_disabled);
}

TEST_CASE("cors: origins, lists, credentials, preflights; filter_enabled 0 % switches it off") {
  Cors cors =
      *route_of(std::string("route { cluster: 'c' } ") + kCors +
                "allow_origin_string_match { exact: 'http://ok.test' } allow_origin_string_match { safe_regex { regex: "
                "'http://.*[.]good[.]test' } }"
                " allow_methods: 'GET,PUT' allow_headers: 'x-one' expose_headers: 'x-shown' max_age: '60' allow_credentials { "
                "value: true }"
                " filter_enabled { default_value { numerator: 100 } } forward_not_matching_preflights { value: false } } } }")
           .cors;
  REQUIRE(cors.origins.size() == 2);
  CHECK(cors.origins[1].matches("http://a.good.test"));
  CHECK(cors.methods == "GET,PUT");
  CHECK(cors.max_age == "60");
  CHECK(cors.credentials);
  CHECK(!cors.forward_unmatched_preflights);
  CHECK(!route_of(std::string("route { cluster: 'c' } ") + kCors + "filter_enabled { default_value {} } } } }").cors);
}

TEST_CASE("redirects, direct responses, mirrors, hashes, upgrades") {
  CHECK(std::get<Redirect>(route_of("redirect { response_code: PERMANENT_REDIRECT https_redirect: true }").action).status == 308);
  CHECK(std::get<Redirect>(route_of("redirect { https_redirect: true }").action).scheme == "https");
  auto direct = std::get<DirectResponse>(route_of("direct_response { status: 299 body { inline_bytes: 'hello' } }").action);
  CHECK(direct.status == 299);
  CHECK(direct.body == "hello");
  Forward forward = forward_of(
      "request_mirror_policies { cluster: 'm' runtime_fraction { default_value { numerator: 100 denominator: MILLION } } }"
      " hash_policy { cookie { name: 'stick' path: '/p' ttl { seconds: 60 } } } hash_policy { header { header_name: 'X-User' } }"
      " hash_policy { connection_properties { source_ip: true } } hash_policy { query_parameter { name: 'u' } }"
      " upgrade_configs { upgrade_type: 'WebSocket' } cluster_not_found_response_code: INTERNAL_SERVER_ERROR");
  CHECK(forward.mirrors[0].share.per_million == 100);
  REQUIRE(forward.hash.size() == 4);
  CHECK(forward.hash[0].cookie_ttl == std::chrono::seconds{60});
  CHECK(forward.hash[1].name == "x-user");
  CHECK(forward.hash[2].kind == HashPolicy::Kind::source_ip);
  CHECK(forward.hash[3].kind == HashPolicy::Kind::query);
  CHECK(forward.upgrades == std::vector<std::string>{"websocket"});
  CHECK(forward.cluster_not_found_status == 500);
}

TEST_CASE("what is wrong is said with its place, all at once; what is not implemented is reported once a table") {
  std::string out;
  auto add = [&](const char* title, const std::string& text) { out += fmt::format("# {}\n{}\n\n", title, problems_of(text)); };
  auto host = [](const std::string& text) { return "name: 't' virtual_hosts { name: 'h' domains: '*' " + text + " }"; };
  auto route = [&](const std::string& text) { return host("routes { match { prefix: '/' } " + text + " }"); };
  auto match = [&](const std::string& text) { return host("routes { match { " + text + " } route { cluster: 'c' } }"); };
  auto guard = [&](const std::string& type) {
    return route("route { cluster: 'c' } typed_per_filter_config { key: 'f' value { type_url: 'type.googleapis.com/" + type +
                 "' } }");
  };
  add("several at once",
      "name: 't' virtual_hosts { name: 'a' domains: 'x' domains: 'X' routes {} }"
      " virtual_hosts { name: 'a' domains: '*' domains: 'a*b' domains: '' } virtual_hosts { name: 'c' }");
  add("a bad regex", match("safe_regex { regex: '(' } headers { name: 'x' string_match { safe_regex { regex: '[' } } }"));
  add("a regex that explodes", match("safe_regex { regex: '((a{100}){100}){100}' }"));
  add("conditions that are not understood",
      match("prefix: '/' headers { name: 'x' range_match { start: 1 end: 2 } } dynamic_metadata {} cookies {} tls_context {}"
            " query_parameters { name: 'q' present_match: false } headers { string_match {} }"));
  add("paths", match("path_separated_prefix: '/a/'"));
  add("no action", host("routes { match { prefix: '/' } }"));
  add("actions of other servers",
      host("routes { match { prefix: '/' } non_forwarding_action {} } routes { match { prefix: '/' } filter_action {} }"));
  add("no cluster, weights, codes",
      host(
          "routes { match { prefix: '/' } route {} } routes { match { prefix: '/' } route { weighted_clusters { clusters {} } } }"
          " routes { match { prefix: '/' } direct_response { status: 99 body { inline_string: 'x' } } }"
          " routes { match { prefix: '/' } redirect { port_redirect: 70000 } }"
          " routes { match { prefix: '/' } route { cluster: 'c' retry_policy { retriable_status_codes: 42 } timeout { seconds: "
          "-1 } } }"));
  add("a body above the limit",
      "name: 't' max_direct_response_body_size_bytes { value: 3 } virtual_hosts { name: 'h' domains: '*'"
      " routes { match { prefix: '/' } direct_response { status: 200 body { inline_string: 'four' } } } }");
  add("headers that must not be set",
      route("route { cluster: 'c' } request_headers_to_add { header { key: ':path' value: '/' } } request_headers_to_add { "
            "header { key: 'Host' value: 'x' } }"
            " response_headers_to_add { header { key: 'x' value: 'a\\r\\nb' } } request_headers_to_remove: 'a b'"));
  add("guards: RBAC", guard("envoy.extensions.filters.http.rbac.v3.RBACPerRoute"));
  add("guards: JWT", guard("envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig"));
  add("guards: ext_authz", guard("envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"));
  add("guards: TLS", host("require_tls: ALL"));
  add("a narrowed fault",
      route(std::string("route { cluster: 'c' } ") + kFault + "headers { name: 'x' } upstream_cluster: 'u' } } }"));
  add("not implemented: said once for two routes",
      host(
          "routes { match { prefix: '/' } route { cluster: 'c' max_grpc_timeout { seconds: 1 } priority: HIGH hedge_policy {} } }"
          " routes { match { prefix: '/' } route { cluster: 'c' priority: HIGH retry_policy { retry_on: 'gatway-error,503' } } "
          "}"));
  add("not implemented: another filter", guard("envoy.extensions.filters.http.wasm.v3.Wasm"));
  weir::test::check_golden(WEIR_TESTDATA "/route_problems.txt", out);
}

TEST_CASE("a field that our messages do not know is reported by its number") {
  auto config = message<envoy::config::route::v3::RouteConfiguration>("name: 't' virtual_hosts { name: 'h' domains: '*' }");
  auto& host = *config.mutable_virtual_hosts(0);
  host.GetReflection()->MutableUnknownFields(&host)->AddVarint(999, 1);
  std::vector<Problem> unsupported;
  REQUIRE(RouteTable::compile(config, unsupported).has_value());
  REQUIRE(unsupported.size() == 1);
  CHECK(to_text(unsupported[0]) ==
        "warning: RouteConfiguration \"t\": virtual_hosts[0]: field number 999 of VirtualHost is not known");
}

TEST_CASE("what an Istio sidecar's route carries is accepted with one report at most") {
  std::vector<Problem> unsupported;
  auto compiled = compile(
      "name: '9080' ignore_port_in_host_matching: true validate_clusters {} max_direct_response_body_size_bytes { value: 1048576 "
      "}"
      " virtual_hosts { name: 'h' domains: 'reviews' include_request_attempt_count: true routes { name: 'default' match { "
      "prefix: '/' case_sensitive { value: true } }"
      " route { cluster: 'outbound|9080||reviews.default.svc.cluster.local' timeout {} max_grpc_timeout {} max_stream_duration { "
      "max_stream_duration {} grpc_timeout_header_max {} } }"
      " decorator { operation: 'reviews:9080/*' } } }",
      unsupported);
  CHECK(compiled.has_value());
  CHECK(to_text(unsupported) == "");
}
