// SPDX-License-Identifier: Apache-2.0
// From Listener to values; which listener and filter chain a connection gets.
#include <doctest/doctest.h>

#include "base/test_golden.h"
#include "routing/listener_table.h"
#include "routing/test_support.h"
#include "xds/proto/cors.pb.h"
#include "xds/proto/fault.pb.h"
#include "xds/proto/file_access_log.pb.h"
#include "xds/proto/grpc_stats.pb.h"
#include "xds/proto/http_connection_manager.pb.h"
#include "xds/proto/http_inspector.pb.h"
#include "xds/proto/listener.pb.h"
#include "xds/proto/original_dst.pb.h"
#include "xds/proto/original_src.pb.h"
#include "xds/proto/router.pb.h"
#include "xds/proto/stream_access_log.pb.h"
#include "xds/proto/tcp_proxy.pb.h"
#include "xds/proto/tls_inspector.pb.h"

using namespace weir;
using namespace weir::routing;
using namespace weir::routing::test;

namespace {

/// The text format finds a type inside an Any only if the program links it.
void link_types() {
  namespace ext = envoy::extensions;
  for (const auto* type :
       {ext::filters::http::cors::v3::Cors::descriptor(), ext::filters::http::fault::v3::HTTPFault::descriptor(),
        ext::filters::http::grpc_stats::v3::FilterConfig::descriptor(), ext::filters::http::router::v3::Router::descriptor(),
        ext::filters::listener::http_inspector::v3::HttpInspector::descriptor(),
        ext::filters::listener::original_dst::v3::OriginalDst::descriptor(),
        ext::filters::listener::original_src::v3::OriginalSrc::descriptor(),
        ext::filters::listener::tls_inspector::v3::TlsInspector::descriptor(),
        ext::filters::network::tcp_proxy::v3::TcpProxy::descriptor(), ext::access_loggers::file::v3::FileAccessLog::descriptor(),
        ext::access_loggers::stream::v3::StdoutAccessLog::descriptor()}) {
    REQUIRE(type != nullptr);
  }
}

envoy::config::listener::v3::Listener parsed(const std::string& text) {
  link_types();
  return message<envoy::config::listener::v3::Listener>("name: 'l' " + text);
}

std::string any(const std::string& type, const std::string& body = "") {
  return "typed_config { [type.googleapis.com/envoy.extensions." + type + "] { " + body + " } }";
}
std::string opaque(const std::string& name, const std::string& type) {
  return "{ name: '" + name + "' typed_config { type_url: 'type.googleapis.com/" + type + "' } }";
}
std::string tcp(const std::string& cluster, const std::string& more = "") {
  return "filters { name: 'tcp' " +
         any("filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix: 's' cluster: '" + cluster + "' " + more) + " }";
}
const std::string kRouter = "http_filters { name: 'router' " + any("filters.http.router.v3.Router") + " }";
std::string hcm(const std::string& body) {
  return "filters { name: 'hcm' " + any("filters.network.http_connection_manager.v3.HttpConnectionManager", body) + " }";
}
std::string rds(const std::string& name, const std::string& more = "") {
  return hcm("stat_prefix: 's' rds { config_source { ads {} } route_config_name: '" + name + "' } " + more + kRouter);
}
std::string chain(const std::string& name, const std::string& match, const std::string& filters = tcp("c")) {
  return "filter_chains { name: '" + name + "' filter_chain_match { " + match + " } " + filters + " }";
}
const std::string kAt = "address { socket_address { address: '0.0.0.0' port_value: 15001 } } ";
const std::string kHttpInspector =
    "listener_filters { name: 'http' " + any("filters.listener.http_inspector.v3.HttpInspector") + " } ";
const std::string kTlsInspector =
    "listener_filters { name: 'tls' " + any("filters.listener.tls_inspector.v3.TlsInspector") + " } ";

std::shared_ptr<const Listener> listener(const std::string& text, const std::string& warnings = "") {
  std::vector<Problem> unsupported;
  auto compiled = compile_listener(parsed(text), unsupported);
  REQUIRE_MESSAGE(compiled.has_value(), (compiled ? "" : compiled.error().to_text()));
  CHECK(to_text(unsupported) == warnings);
  return *compiled;
}

Connection to(const char* destination, std::string_view application = "", std::string_view server_name = "",
              const char* source = "10.9.9.9:1") {
  return {.destination = *SocketAddr::parse(destination),
          .source = *SocketAddr::parse(source),
          .server_name = server_name,
          .transport = server_name.empty() ? "raw_buffer" : "tls",
          .application = application};
}

std::string chosen(const Listener& listener, const Connection& connection) {
  const FilterChain* found = match_chain(listener, connection);
  return found == nullptr ? "-" : found->name;
}

const HttpManager& http_of(const Listener& listener) { return std::get<HttpManager>(listener.chains.at(0).manager); }
const TcpManager& tcp_of(const Listener& listener) { return std::get<TcpManager>(listener.chains.at(0).manager); }

}  // namespace

TEST_CASE("a chain for the destination port goes before one without, even if nothing else of it fits") {
  auto l = listener(kAt + chain("port", "destination_port { value: 80 } transport_protocol: 'tls'") + chain("any", ""));
  CHECK(chosen(*l, to("1.2.3.4:80")) == "-");  // no way back
  CHECK(chosen(*l, to("1.2.3.4:81")) == "any");
}

TEST_CASE("of destination prefixes the longest wins") {
  auto l = listener(kAt + chain("wide", "prefix_ranges { address_prefix: '10.0.0.0' prefix_len { value: 8 } }") +
                    chain("narrow", "prefix_ranges { address_prefix: '10.1.0.0' prefix_len { value: 16 } }") + chain("any", ""));
  CHECK(chosen(*l, to("10.1.2.3:80")) == "narrow");
  CHECK(chosen(*l, to("10.2.2.3:80")) == "wide");
  CHECK(chosen(*l, to("11.2.2.3:80")) == "any");
  CHECK(chosen(*l, to("[fd00::1]:80")) == "any");
}

TEST_CASE("the port is asked before the address") {
  auto l = listener(kAt + chain("address", "prefix_ranges { address_prefix: '10.1.2.3' prefix_len { value: 32 } }") +
                    chain("port", "destination_port { value: 80 }"));
  CHECK(chosen(*l, to("10.1.2.3:80")) == "port");
}

TEST_CASE("server names: exact, then the longest wildcard, then none; case does not count") {
  auto l = listener(kAt + kTlsInspector + chain("any", "") + chain("wide", "server_names: '*.test'") +
                    chain("long", "server_names: '*.b.test'") + chain("exact", "server_names: 'A.b.test'"));
  CHECK(chosen(*l, to("1.1.1.1:443", "", "a.B.test")) == "exact");
  CHECK(chosen(*l, to("1.1.1.1:443", "", "c.b.test")) == "long");
  CHECK(chosen(*l, to("1.1.1.1:443", "", "c.test")) == "wide");
  CHECK(chosen(*l, to("1.1.1.1:443", "", "test")) == "any");
  CHECK(chosen(*l, to("1.1.1.1:443", "", "")) == "any");
}

TEST_CASE("a server name is asked before the transport protocol, without a way back") {
  auto l = listener(kAt + chain("name", "server_names: 'a.test' transport_protocol: 'raw_buffer'") +
                    chain("tls", "transport_protocol: 'tls'"));
  CHECK(chosen(*l, to("1.1.1.1:443", "", "a.test")) == "-");
}

TEST_CASE("a chain for the transport protocol goes before one without") {
  auto l = listener(kAt + chain("any", "") + chain("raw", "transport_protocol: 'raw_buffer'"));
  CHECK(chosen(*l, to("1.1.1.1:1")) == "raw");
  CHECK(chosen(*l, to("1.1.1.1:1", "", "a.test")) == "any");
}

TEST_CASE("a chain for the application protocol goes before one without") {
  auto l =
      listener(kAt + chain("any", "transport_protocol: 'raw_buffer'") +
               chain("http", "transport_protocol: 'raw_buffer' application_protocols: 'http/1.1' application_protocols: 'h2c'"));
  CHECK(chosen(*l, to("1.1.1.1:1", "http/1.1")) == "http");
  CHECK(chosen(*l, to("1.1.1.1:1", "h2c")) == "http");
  CHECK(chosen(*l, to("1.1.1.1:1")) == "any");
}

TEST_CASE("the longest source prefix decides last") {
  auto l = listener(kAt + chain("any", "") +
                    chain("from", "source_prefix_ranges { address_prefix: '10.9.0.0' prefix_len { value: 16 } }"));
  CHECK(chosen(*l, to("1.1.1.1:1")) == "from");
  CHECK(chosen(*l, to("1.1.1.1:1", "", "", "10.8.0.1:1")) == "any");
}

TEST_CASE("what no chain fits goes to the default chain, if there is one") {
  auto l = listener(kAt + chain("http", "application_protocols: 'http/1.1'") + "default_filter_chain { name: 'passthrough' " +
                    tcp("p") + " }");
  CHECK(chosen(*l, to("1.1.1.1:1")) == "passthrough");
  CHECK(chosen(*l, to("1.1.1.1:1", "http/1.1")) == "http");
}

TEST_CASE("every chain that does not take a connection is named with the first reason") {
  auto l = listener(kAt + chain("port", "destination_port { value: 15001 }") +
                    chain("net", "prefix_ranges { address_prefix: '10.0.0.0' prefix_len { value: 8 } }") +
                    chain("http", "application_protocols: 'http/1.1' application_protocols: 'h2c'") + chain("rest", "") +
                    chain("sni", "server_names: 'a.test'"));
  auto told = [&](const Connection& connection) {
    std::string text;
    for (const PassedChain& passed : explain_chains(*l, connection)) text += passed.chain->name + ": " + passed.why + "\n";
    return text;
  };
  CHECK(told(to("1.1.1.1:80")) ==
        "port: port is 80, wanted 15001\nnet: address is 1.1.1.1, wanted 10.0.0.0/8\n"
        "http: application protocol is not known, wanted http/1.1, h2c\nsni: server name is not known, wanted a.test\n");
  CHECK(told(to("10.1.1.1:80", "http/1.1")) ==
        "port: port is 80, wanted 15001\nhttp: another chain fits better by destination address\n"
        "rest: another chain fits better by destination address\nsni: another chain fits better by destination address\n");
}

TEST_CASE("Istio's inbound listener: its own port is a black hole, declared ports their own chains, the rest passes") {
  auto l = listener(
      "address { socket_address { address: '0.0.0.0' port_value: 15006 } } traffic_direction: INBOUND listener_filters_timeout "
      "{} continue_on_listener_filters_timeout: true"
      " listener_filters { name: 'o' " +
      any("filters.listener.original_dst.v3.OriginalDst") +
      " }"
      " listener_filters { name: 'h' " +
      any("filters.listener.http_inspector.v3.HttpInspector") +
      " filter_disabled { or_match { rules { destination_port_range { start: 8080 end: 8081 } } rules { destination_port_range { "
      "start: 9090 end: 9092 } } } } }" +
      chain("blackhole", "destination_port { value: 15006 }") +
      chain("http", "transport_protocol: 'raw_buffer' application_protocols: 'http/1.1' application_protocols: 'h2c'", rds("r")) +
      chain("tcp", "transport_protocol: 'raw_buffer'") +
      chain("8080", "destination_port { value: 8080 } transport_protocol: 'raw_buffer'", rds("r")) +
      chain("9090", "destination_port { value: 9090 }"));
  CHECK(chosen(*l, to("10.0.0.1:15006")) == "blackhole");
  CHECK(chosen(*l, to("10.0.0.1:8080")) == "8080");
  CHECK(chosen(*l, to("10.0.0.1:9090", "http/1.1")) == "9090");
  CHECK(chosen(*l, to("10.0.0.1:7000", "http/1.1")) == "http");
  CHECK(chosen(*l, to("10.0.0.1:7000")) == "tcp");
  CHECK(l->detect_http_off.to_text() == "8080,9090-9091");
  CHECK(l->detect_timeout == Milliseconds{0});
  CHECK(l->continue_on_detect_timeout);
  CHECK(l->direction == Direction::inbound);
  CHECK(needs_detection(*l, *SocketAddr::parse("10.0.0.1:7000")));
  CHECK(!needs_detection(*l, *SocketAddr::parse("10.0.0.1:8080")));
  CHECK(!needs_detection(*l, *SocketAddr::parse("10.0.0.1:9090")));
  CHECK(!needs_detection(*l, *SocketAddr::parse("10.0.0.1:15006")));
}

TEST_CASE("a transparent listener and the mark of its connections upstream are read") {
  auto plain = listener(kAt + chain("c", ""));
  CHECK(!plain->transparent);
  CHECK(!plain->original_src_mark);
  auto l = listener(kAt + "transparent { value: true } listener_filters { name: 'envoy.filters.listener.original_src' " +
                    any("filters.listener.original_src.v3.OriginalSrc", "mark: 1337") + " }" + chain("c", ""));
  CHECK(l->transparent);
  CHECK(l->original_src_mark == 1337);
}

TEST_CASE("detection is needed only where an inspector is there and the first bytes can decide") {
  SocketAddr somewhere = *SocketAddr::parse("10.0.0.1:80");
  std::string http = chain("http", "application_protocols: 'http/1.1'"), sni = chain("sni", "server_names: 'a.test'");
  CHECK(needs_detection(*listener(kAt + kHttpInspector + http), somewhere));
  CHECK(!needs_detection(*listener(kAt + http), somewhere));
  CHECK(!needs_detection(*listener(kAt + kHttpInspector + chain("all", "")), somewhere));
  CHECK(needs_detection(*listener(kAt + kTlsInspector + sni), somewhere));
  CHECK(!needs_detection(*listener(kAt + kHttpInspector + sni), somewhere));
  CHECK(!needs_detection(
      *listener(kAt + kHttpInspector + chain("other", "destination_port { value: 81 } application_protocols: 'h2c'") +
                chain("all", "")),
      somewhere));
  CHECK(!needs_detection(*listener(kAt + kHttpInspector + chain("raw", "transport_protocol: 'raw_buffer'")), somewhere));
}

TEST_CASE("a connection goes from 15001 to the listener of its address, else of its port, else stays") {
  auto named = [](const char* name, const char* address, int port, const char* more) {
    std::vector<Problem> unsupported;
    return *compile_listener(message<envoy::config::listener::v3::Listener>(
                                 fmt::format("name: '{}' address {{ socket_address {{ address: '{}' port_value: {} }} }} {} {}",
                                             name, address, port, more, chain("c", ""))),
                             unsupported);
  };
  ListenerTable table(
      {named("out", "0.0.0.0", 15001, "use_original_dst { value: true }"), named("in", "0.0.0.0", 15006, ""),
       named("vip", "10.96.0.1", 80, "bind_to_port { value: false }"), named("any80", "0.0.0.0", 80, "bind_to_port {}"),
       named("any81", "::", 81, "deprecated_v1 { bind_to_port {} }"),
       named("two", "10.96.0.2", 80,
             "bind_to_port {} additional_addresses { address { socket_address { address: 'fd00::2' port_value: 80 } } }")});
  const Listener& out = *table.by_name("out");
  auto where = [&](const char* destination) { return table.for_destination(out, *SocketAddr::parse(destination)).name; };
  CHECK(where("10.96.0.1:80") == "vip");
  CHECK(where("10.96.0.9:80") == "any80");
  CHECK(where("[fd00::9]:80") == "any80");
  CHECK(where("10.96.0.9:81") == "any81");
  CHECK(where("[fd00::2]:80") == "two");
  CHECK(where("10.96.0.9:82") == "out");
  CHECK(where("10.96.0.9:15006") == "out");  // a bound listener is nobody's original destination
  CHECK(table.for_destination(*table.by_name("in"), *SocketAddr::parse("10.96.0.1:80")).name == "in");
  CHECK(table.by_name("nobody") == nullptr);
  CHECK(table.all().size() == 6);
}

TEST_CASE("a TCP proxy: clusters, weights, timeouts, the chain's rule") {
  auto l = listener(kAt +
                    "filter_chains { name: 'n' metadata { filter_metadata { key: 'weir' value { fields { key: 'rule' value { "
                    "string_value: 'VirtualService a/b' } }"
                    " fields { key: 'file' value { string_value: 'f.yaml' } } fields { key: 'line' value { number_value: 3 } } } "
                    "} } filters { name: 't' " +
                    any("filters.network.tcp_proxy.v3.TcpProxy",
                        "stat_prefix: 's' weighted_clusters { clusters { name: 'a' weight: 3 } clusters { name: 'b' weight: 1 } "
                        "} idle_timeout {} max_connect_attempts { value: 3 }") +
                    " } }");
  CHECK(tcp_of(*l).total_weight == 4);
  CHECK(tcp_of(*l).clusters[1].cluster == "b");
  CHECK(tcp_of(*l).idle_timeout == Milliseconds{0});
  CHECK(tcp_of(*l).max_connect_attempts == 3);
  CHECK(l->chains[0].rule == RuleRef{"VirtualService a/b", "f.yaml", 3});
  CHECK(tcp_of(*listener(kAt + chain("c", ""))).idle_timeout == Milliseconds{3'600'000});
}

TEST_CASE("an HTTP connection manager as Istio sends it") {
  auto l = listener(kAt + chain("c", "",
                                hcm("stat_prefix: 'outbound_0.0.0.0_80;' rds { config_source { ads {} initial_fetch_timeout {} "
                                    "resource_api_version: V3 } route_config_name: '80' }"
                                    " http_filters { name: 'fault' " +
                                    any("filters.http.fault.v3.HTTPFault") + " } http_filters { name: 'cors' " +
                                    any("filters.http.cors.v3.Cors") + " } " + kRouter +
                                    " use_remote_address {} normalize_path { value: true } path_with_escaped_slashes_action: "
                                    "KEEP_UNCHANGED proxy_100_continue: true stream_idle_timeout {}"
                                    " upgrade_configs { upgrade_type: 'websocket' } server_name: 'istio-envoy' "
                                    "forward_client_cert_details: APPEND_FORWARD"
                                    " set_current_client_cert_details { dns: true } common_http_protocol_options { idle_timeout "
                                    "{ seconds: 5 } } max_request_headers_kb { value: 96 }")));
  const HttpManager& http = http_of(*l);
  CHECK(http.rds_name == "80");
  CHECK(http.inline_routes == nullptr);
  CHECK(http.fault_filter);
  CHECK(http.cors_filter);
  CHECK(http.normalize_path);
  CHECK(http.proxy_100_continue);
  CHECK(http.stream_idle_timeout == Milliseconds{0});
  CHECK(http.idle_timeout == Milliseconds{5'000});
  CHECK(http.server_name == "istio-envoy");
  CHECK(http.overwrite_server);
  CHECK(http.sanitize_client_cert_header);
  CHECK(http.upgrades == std::vector<std::string>{"websocket"});
  CHECK(http.max_head_bytes == 96 * 1024);
}

TEST_CASE("inline routes are compiled with the listener") {
  auto l =
      listener(kAt + chain("c", "",
                           hcm("stat_prefix: 's' route_config { name: 'inbound|8080||' virtual_hosts { name: 'h' domains: '*'"
                               " routes { name: 'default' match { prefix: '/' } route { cluster: 'inbound|8080||' } } } } " +
                               kRouter)));
  REQUIRE(http_of(*l).inline_routes != nullptr);
  CHECK(taken(*http_of(*l).inline_routes, Call{}) == "default");
}

TEST_CASE("access logs: text, JSON template with sorted members, stream, NR only") {
  auto l = listener(kAt + chain("c", "") + "access_log { name: 'f' filter { response_flag_filter { flags: 'NR' } } " +
                    any("access_loggers.file.v3.FileAccessLog",
                        "path: '/dev/stdout' log_format { text_format_source { inline_string: '%PROTOCOL%\\n' } }") +
                    " }"
                    " access_log { name: 'j' " +
                    any("access_loggers.file.v3.FileAccessLog",
                        "path: '/tmp/x' log_format { json_format { fields { key: 'b' value { string_value: '%PROTOCOL%' } } "
                        "fields { key: 'a' value { struct_value {"
                        " fields { key: 'n' value { number_value: 1 } } fields { key: 'l' value { list_value { values { "
                        "bool_value: true } values { null_value: NULL_VALUE } } } } } } } } }") +
                    " }"
                    " access_log { name: 's' " +
                    any("access_loggers.stream.v3.StdoutAccessLog") + " }");
  REQUIRE(l->access_logs.size() == 3);
  CHECK(l->access_logs[0] == AccessLogSpec{"/dev/stdout", "%PROTOCOL%\n", "", true});
  CHECK(l->access_logs[1] == AccessLogSpec{"/tmp/x", "", R"({"a":{"l":[true,null],"n":1},"b":"%PROTOCOL%"})", false});
  CHECK(l->access_logs[2] == AccessLogSpec{"/dev/stdout", "", "", false});
}

TEST_CASE("what is wrong with a listener is said with its place; doors are never left open") {
  std::string out;
  auto add = [&](const char* title, const std::string& text) {
    std::vector<Problem> unsupported;
    auto compiled = compile_listener(parsed(text), unsupported);
    out +=
        fmt::format("# {}\n{}\n\n", title, (compiled ? "accepted\n" : compiled.error().to_text() + "\n") + to_text(unsupported));
  };
  auto filter = [&](const std::string& name, const std::string& type) {
    return "filters " + opaque(name, type) + " " + tcp("c");
  };
  auto http = [&](const std::string& more) { return kAt + chain("c", "", rds("80", more)); };
  add("nothing in it", "");
  add("addresses",
      "address { socket_address { address: 'example.test' port_value: 70000 } } additional_addresses { address { pipe { path: "
      "'/x' } } } " +
          chain("c", ""));
  add("UDP, named port", "address { socket_address { protocol: UDP address: '::' named_port: 'http' } } " + chain("c", ""));
  add("chain matches", kAt +
                           chain("a",
                                 "destination_port { value: 70000 } prefix_ranges { address_prefix: 'x' } prefix_ranges { "
                                 "address_prefix: '1.1.1.1' prefix_len { value: 33 } } server_names: '*'"
                                 " source_type: EXTERNAL source_ports: 1 address_suffix: 'x'") +
                           chain("b", "") + chain("c", ""));
  add("no terminal filter", kAt + "filter_chains {}");
  add("a filter behind the end", kAt + chain("c", "", tcp("c") + tcp("d")));
  add("TLS", kAt + "filter_chains { transport_socket " +
                 opaque("tls", "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext") + tcp("c") + " }");
  add("network guards",
      kAt + chain("c", "", filter("rbac", "envoy.extensions.filters.network.rbac.v3.RBAC")) +
          chain("d", "destination_port { value: 1 }", filter("x", "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz")));
  add("network filters unknown, skippable",
      kAt + chain("c", "", filter("envoy.redis_proxy", "envoy.extensions.filters.network.redis_proxy.v3.RedisProxy")) +
          chain("d", "destination_port { value: 1 }", filter("istio.metadata_exchange", "udpa.type.v1.TypedStruct")));
  add("HTTP guards, even if disabled or optional",
      http("http_filters { name: 'r' disabled: true typed_config { type_url: "
           "'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC' } }"
           " http_filters { name: 'j' is_optional: true typed_config { type_url: "
           "'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication' } }"
           " http_filters { name: 'e' typed_config { type_url: "
           "'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz' } }"));
  add("HTTP filters unknown, skippable, optional",
      http("http_filters " + opaque("wasm", "envoy.extensions.filters.http.wasm.v3.Wasm") + " http_filters " +
           opaque("istio.stats", "stats.PluginConfig") +
           " http_filters { name: 'lua' is_optional: true typed_config { type_url: "
           "'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua' } }"
           " http_filters { name: 'envoy.filters.http.grpc_stats' " +
           any("filters.http.grpc_stats.v3.FilterConfig", "emit_filter_state: true") + " }"));
  add("no router, no routes", kAt + chain("c", "", hcm("stat_prefix: 's'")));
  add("escaped slashes", http("path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD max_request_headers_kb {} "));
  add("routes inside", kAt + chain("c", "",
                                   hcm("route_config { name: 'r' virtual_hosts { name: 'h' } virtual_hosts { name: 'i' domains: "
                                       "'i' require_tls: ALL } } " +
                                       kRouter)));
  add("TCP proxies",
      kAt + chain("c", "", tcp("")) +
          chain("d", "destination_port { value: 1 }", tcp("c", "tunneling_config { hostname: 'x' } max_connect_attempts {}")));
  add("listener filters",
      kAt + "listener_filters " +
          opaque("envoy.filters.listener.proxy_protocol", "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol") +
          chain("c", ""));
  add("the client's port", kAt + "listener_filters { name: 's' filter_disabled { any_match: true } " +
                               any("filters.listener.original_src.v3.OriginalSrc", "bind_port: true") + " }" + chain("c", ""));
  add("access logs", kAt +
                         "access_log { name: 'otel' typed_config { type_url: "
                         "'x/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig' } }"
                         " access_log { name: 'f' filter { not_health_check_filter {} } " +
                         any("access_loggers.file.v3.FileAccessLog", "log_format {}") + " } " + chain("c", ""));
  add("not implemented, reported",
      kAt + "freebind {} metadata {} per_connection_buffer_limit_bytes { value: 1 } " +
          chain("c", "",
                rds("80",
                    "use_remote_address { value: true } tracing { random_sampling { value: 1 } } merge_slashes: true "
                    "xff_num_trusted_hops: 1 server_header_transformation: APPEND_IF_ABSENT ")));
  weir::test::check_golden(WEIR_TESTDATA "/listener_problems.txt", out);
}
