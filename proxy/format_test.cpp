// SPDX-License-Identifier: Apache-2.0
// Operators, escaping, defaults and their errors.
#include "proxy/format.h"

#include <unistd.h>

#include <cstdlib>

#include <doctest/doctest.h>

#include "base/test_golden.h"

using namespace weir;
using namespace weir::proxy;

namespace {

const RuleRef kRule{"VirtualService default/reviews", "rules/reviews.yaml", 12};
const RuleRef kClusterRule{"DestinationRule default/reviews", "rules/dr.yaml", 3};

/// A stream of which every fact is known.
struct Example {
  StreamInfo info;
  http::HeaderMap request, response, trailers;

  Example() {
    info.start = std::chrono::system_clock::time_point(std::chrono::milliseconds(1'795'354'838'042));
    info.duration = std::chrono::microseconds(12'900);
    info.upstream_service_time = std::chrono::milliseconds(9);
    info.request_duration = std::chrono::milliseconds(1);
    info.response_duration = std::chrono::milliseconds(10);
    info.method = "GET";
    info.scheme = "http";
    info.authority = "reviews:9080";
    info.path = "/reviews/0?x=1";
    info.protocol = "HTTP/1.1";
    info.forwarded_for = "10.0.0.7";
    info.user_agent = "curl/7.88.1";
    info.request_id = "0f0b";
    info.code = 200;
    info.code_details = "via_upstream";
    info.bytes_received = 5;
    info.bytes_sent = 379;
    info.attempts = 1;
    info.upstream_host = *SocketAddr::parse("10.1.0.5:9080");
    info.upstream_local = *SocketAddr::parse("10.1.0.2:41000");
    info.downstream_local = *SocketAddr::parse("10.96.0.3:9080");
    info.downstream_remote = *SocketAddr::parse("[fd00::2]:51000");
    info.upstream_cluster = "outbound|9080|v2|reviews.default.svc.cluster.local";
    info.route_name = "jason";
    info.rule = &kRule;
    info.cluster_rule = &kClusterRule;
    info.stream_id = 77;
    request.append_view("X-One", "1");
    request.append_view("x-empty", "");
    response.append_view("Server", "envoy");
    trailers.append_view("grpc-status", "14");
  }
  FormatInput input() const { return {info, &request, &response, &trailers}; }
};

std::string apply(const Result<Format>& format, const FormatInput& input) {
  REQUIRE_MESSAGE(format.has_value(), (format ? "" : format.error().to_text()));
  std::string out;
  TimeCache time;
  format->append(out, input, time);
  return out;
}

std::string text(std::string_view format, const Example& example = {}) { return apply(Format::text(format), example.input()); }
std::string json(std::string_view format, const Example& example = {}) { return apply(Format::json(format), example.input()); }

std::string empty_text(std::string_view format) {
  StreamInfo nothing;
  return apply(Format::text(format), {nothing, nullptr, nullptr, nullptr});
}

}  // namespace

TEST_CASE("every operator has the value of its fact, and a dash without it") {
  struct {
    const char* format;
    const char* value;
    const char* missing;
  } rows[] = {
      {"%START_TIME%", "2026-11-22T13:40:38.042Z", "1970-01-01T00:00:00.000Z"},
      {"%REQ(:METHOD)%", "GET", "-"},
      {"%REQ(:SCHEME)%", "http", "-"},
      {"%REQ(:AUTHORITY)%", "reviews:9080", "-"},
      {"%REQ(:PATH)%", "/reviews/0?x=1", "-"},
      {"%REQ_WITHOUT_QUERY(:PATH)%", "/reviews/0", "-"},
      {"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/reviews/0?x=1", "-"},
      {"%REQ(X-FORWARDED-FOR)%", "10.0.0.7", "-"},
      {"%REQ(USER-AGENT)%", "curl/7.88.1", "-"},
      {"%REQ(X-REQUEST-ID)%", "0f0b", "-"},
      {"%REQ(x-one)%", "1", "-"},
      {"%REQ(x-empty)%", "-", "-"},
      {"%REQ(X-NO?X-ONE)%", "1", "-"},
      {"%RESP(server)%", "envoy", "-"},
      {"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "9", "-"},
      {"%TRAILER(GRPC-STATUS)%", "14", "-"},
      {"%PROTOCOL%", "HTTP/1.1", "-"},
      {"%DURATION%", "12", "0"},
      {"%REQUEST_DURATION%", "1", "-"},
      {"%RESPONSE_DURATION%", "10", "-"},
      {"%RESPONSE_TX_DURATION%", "2", "-"},
      {"%RESPONSE_CODE%", "200", "0"},
      {"%RESPONSE_CODE_DETAILS%", "via_upstream", "-"},
      {"%RESPONSE_FLAGS%", "-", "-"},
      {"%CONNECTION_TERMINATION_DETAILS%", "-", "-"},
      {"%UPSTREAM_TRANSPORT_FAILURE_REASON%", "-", "-"},
      {"%BYTES_RECEIVED%", "5", "0"},
      {"%BYTES_SENT%", "379", "0"},
      {"%UPSTREAM_HOST%", "10.1.0.5:9080", "-"},
      {"%UPSTREAM_REMOTE_ADDRESS%", "10.1.0.5:9080", "-"},
      {"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.1.0.5", "-"},
      {"%UPSTREAM_REMOTE_PORT%", "9080", "-"},
      {"%UPSTREAM_CLUSTER%", "outbound|9080|v2|reviews.default.svc.cluster.local", "-"},
      {"%UPSTREAM_CLUSTER_RAW%", "outbound|9080|v2|reviews.default.svc.cluster.local", "-"},
      {"%UPSTREAM_LOCAL_ADDRESS%", "10.1.0.2:41000", "-"},
      {"%UPSTREAM_LOCAL_PORT%", "41000", "-"},
      {"%DOWNSTREAM_LOCAL_ADDRESS%", "10.96.0.3:9080", "-"},
      {"%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "10.96.0.3", "-"},
      {"%DOWNSTREAM_LOCAL_PORT%", "9080", "-"},
      {"%DOWNSTREAM_REMOTE_ADDRESS%", "[fd00::2]:51000", "-"},
      {"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "fd00::2", "-"},
      {"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "fd00::2", "-"},
      {"%DOWNSTREAM_REMOTE_PORT%", "51000", "-"},
      {"%REQUESTED_SERVER_NAME%", "-", "-"},
      {"%ROUTE_NAME%", "jason", "-"},
      {"\"%METADATA(ROUTE:weir:rule)%\"", "\"VirtualService default/reviews\"", "\"-\""},
      {"%METADATA(ROUTE:weir:file)%", "rules/reviews.yaml", "-"},
      {"%METADATA(ROUTE:weir:line)%", "12", "-"},
      {"%METADATA(CLUSTER:weir:file)%", "rules/dr.yaml", "-"},
      {"%METADATA(CLUSTER:weir:line)%", "3", "-"},
      {"%METADATA(ROUTE:other:key)%", "-", "-"},
      {"%METADATA(UPSTREAM_HOST:weir:rule)%", "-", "-"},
      {"%DYNAMIC_METADATA(a:b)%", "-", "-"},
      {"%FILTER_STATE(a)%", "-", "-"},
      {"%DOWNSTREAM_PEER_URI_SAN%", "-", "-"},
      {"%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "1", "0"},
      {"%GRPC_STATUS%", "Unavailable", "-"},
      {"%GRPC_STATUS(SNAKE_STRING)%", "UNAVAILABLE", "-"},
      {"%GRPC_STATUS(NUMBER)%", "14", "-"},
      {"%GRPC_STATUS_NUMBER%", "14", "-"},
      {"%STREAM_ID%", "77", "-"},
      {"100%%", "100%", "100%"},
      {"%REQ(:PATH):4%", "/rev", "-"},
      {"%REQ(:PATH):0%", "-", "-"},
      {"a%PROTOCOL%b%ROUTE_NAME%c", "aHTTP/1.1bjasonc", "a-b-c"},
      {"", "", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(row.format);
    CHECK(text(row.format) == row.value);
    CHECK(empty_text(row.format) == row.missing);
  }
}

TEST_CASE("START_TIME takes strftime's words and Envoy's fractions") {
  struct {
    const char* format;
    const char* value;
  } rows[] = {
      {"%START_TIME(%Y/%m/%d)%", "2026/11/22"},
      {"%START_TIME(%s.%3f)%", "1795354838.042"},
      {"%START_TIME(%H:%M:%E6S)%", "13:40:38.042000"},
      {"%START_TIME(%f)%", "042000000"},
      {"%START_TIME(%E3f)%", "042"},
      {"%START_TIME(%E*S)%", "38.042000000"},
      {"%START_TIME(%%)%", "%"},
      {"%START_TIME(%d/%b/%Y:%H:%M:%S %z)%", "22/Nov/2026:13:40:38\\x20+0000"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.format);
    CHECK(text(row.format) == row.value);
  }
}

TEST_CASE("the time cache follows the seconds, back and forth") {
  TimeCache cache;
  std::string out;
  for (long millis : {0L, 999L, 1000L, 86'400'001L, 5L}) {
    cache.append(out, std::chrono::system_clock::time_point(std::chrono::milliseconds(millis)));
    out += ' ';
  }
  CHECK(out ==
        "1970-01-01T00:00:00.000Z 1970-01-01T00:00:00.999Z 1970-01-01T00:00:01.000Z 1970-01-02T00:00:00.001Z "
        "1970-01-01T00:00:00.005Z ");
}

TEST_CASE("the environment and the host's name are read when the format is compiled") {
  setenv("WEIR_FORMAT_TEST", "from here", 1);
  CHECK(text("\"%ENVIRONMENT(WEIR_FORMAT_TEST)%\"") == "\"from here\"");
  CHECK(text("%ENVIRONMENT(WEIR_FORMAT_TEST_UNSET)%") == "-");
  char name[256] = {};
  REQUIRE(gethostname(name, sizeof name - 1) == 0);
  CHECK(text("%HOSTNAME%") == name);
}

TEST_CASE("details are logged with underscores for blanks") {
  Example example;
  example.info.upstream_transport_failure_reason = "delayed connect error: Connection refused";
  example.info.code_details = "a b";
  CHECK(text("%UPSTREAM_TRANSPORT_FAILURE_REASON% %RESPONSE_CODE_DETAILS%", example) ==
        "delayed_connect_error:_Connection_refused a_b");
}

TEST_CASE("response flags are joined by commas, in the order in which they came") {
  Example example;
  for (ResponseFlag flag : {ResponseFlag::delay_injected, ResponseFlag::upstream_connect_failure, ResponseFlag::retry_limit,
                            ResponseFlag::upstream_connect_failure})
    example.info.flags.add(flag);
  CHECK(text("%RESPONSE_FLAGS%", example) == "DI,UF,URX");
}

TEST_CASE("a client cannot forge a field, a quote or a line of a text log") {
  Example example;
  example.info.user_agent = "a\" 200 - \"\r\n[2026] \"GET /\\ \x1b[2J\x7f\xc3\xa4";
  example.info.server_name = "a b";
  CHECK(text("\"%REQ(USER-AGENT)%\" %REQUESTED_SERVER_NAME%\n", example) ==
        "\"a\\\" 200 - \\\"\\x0d\\x0a[2026] \\\"GET /\\\\ \\x1b[2J\\x7f\\xc3\\xa4\" a\\x20b\n");
}

TEST_CASE("JSON strings are always valid") {
  Example example;
  example.info.user_agent = "q\" b\\ n\n \x01 \x7f \xc3\xa4 \xff \xed\xa0\x80 \xf0\x9f\x98\x80 \xc0\xaf \xc2\x9b \xe2\x82";
  CHECK(json(R"({"ua":"%REQ(USER-AGENT)%"})", example) ==
        "{\"ua\":\"q\\\" b\\\\ n\\u000a \\u0001 \\u007f \xc3\xa4 \\ufffd \\ufffd\\ufffd\\ufffd \xf0\x9f\x98\x80 \\ufffd\\ufffd "
        "\\u009b "
        "\\ufffd\\ufffd\"}\n");
}

TEST_CASE("JSON keeps nesting, order and constants; single operators keep their type") {
  CHECK(
      json(
          R"({"z":{"code":"%RESPONSE_CODE%","a":["%PROTOCOL%",1,true,null,"x"]},"a":"%BYTES_SENT%","mixed":"code %RESPONSE_CODE%",)"
          R"("none":"%REQUESTED_SERVER_NAME%","mixed none":"sni %REQUESTED_SERVER_NAME%","line":"%METADATA(ROUTE:weir:line)%","e":{},"p":"%%","flags":"%RESPONSE_FLAGS%"})") ==
      R"({"z":{"code":200,"a":["HTTP/1.1",1,true,null,"x"]},"a":379,"mixed":"code 200",)"
      R"("none":null,"mixed none":"sni -","line":12,"e":{},"p":"%","flags":"-"})"
      "\n");
}

TEST_CASE("a header's digits stay a string in JSON, and odd numbers of a peer do not break it") {
  Example example;
  CHECK(json(R"({"one":"%REQ(X-ONE)%"})", example) == "{\"one\":\"1\"}\n");
  example.trailers.clear();
  example.trailers.append_view("grpc-status", "007");
  CHECK(json(R"({"s":"%GRPC_STATUS_NUMBER%"})", example) == "{\"s\":\"007\"}\n");
}

TEST_CASE("in header values nothing is escaped, line ends are dropped and missing values are empty") {
  Example example;
  example.info.user_agent = "a\" b\r\nc";
  CHECK(apply(Format::header("%REQ(USER-AGENT)%;%REQUESTED_SERVER_NAME%;%PROTOCOL%"), example.input()) == "a\" bc;;HTTP/1.1");
}

TEST_CASE("an original path goes before the path") {
  Example example;
  example.info.original_path = "/before";
  CHECK(text("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", example) == "/before");
}

TEST_CASE("a fact that the stream does not hold is looked up in the headers") {
  Example example;
  example.info.user_agent = {};
  example.request.append_view("User-Agent", "from the map");
  example.info.upstream_service_time.reset();
  example.response.append_view("x-envoy-upstream-service-time", "8");
  CHECK(text("\"%REQ(USER-AGENT)%\" %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", example) == "\"from the map\" 8");
}

TEST_CASE("the default lines") {
  Example known, failed;
  failed.info.code = 503;
  failed.info.flags.add(ResponseFlag::retry_limit);
  failed.info.flags.add(ResponseFlag::upstream_connect_failure);
  failed.info.code_details =
      "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}";
  failed.info.upstream_transport_failure_reason = "delayed connect error: Connection refused";
  failed.info.rule = nullptr;
  StreamInfo tcp;
  tcp.start = known.info.start;
  tcp.bytes_received = 10;
  tcp.bytes_sent = 20;
  tcp.duration = std::chrono::seconds(1);
  tcp.upstream_cluster = "PassthroughCluster";
  tcp.upstream_host = tcp.downstream_local = *SocketAddr::parse("10.9.9.9:443");
  tcp.downstream_remote = *SocketAddr::parse("10.1.0.2:50000");
  FormatInput tcp_input{tcp, nullptr, nullptr, nullptr};
  std::string out;
  for (std::string_view format : {kDefaultTextFormat, kDefaultJsonFormat}) {
    auto compiled = format.starts_with('{') ? Format::json(format) : Format::text(format);
    out += apply(compiled, known.input()) + apply(compiled, failed.input()) + apply(compiled, tcp_input) + "\n";
  }
  weir::test::check_golden(WEIR_TESTDATA "/default_lines.txt", out);
}

TEST_CASE("an error names the operator and its place") {
  std::string out;
  for (const char* format :
       {"a %FOO% b", "%RESPONSE_CODES%", "%REQ%", "%REQ()%", "%REQ(A?B?C)%", "%REQ(A?)%", "%REQ(A%", "100%", "a % b",
        "%PROTOCOL(x)%", "%REQ(A):x%", "%REQ(A):99999999%", "%REQ(A)x%", "%PROTOCOLx%", "%ENVIRONMENT%", "%%%"}) {
    auto compiled = Format::text(format);
    out += fmt::format("{}\n  {}\n", format, compiled ? "accepted" : compiled.error().to_text());
  }
  for (const char* format : {"[]", "{", "{\"a\":{\"b\":[\"%FOO%\"]}}", "{\"a\":1,}"}) {
    auto compiled = Format::json(format);
    out += fmt::format("{}\n  {}\n", format, compiled ? "accepted" : compiled.error().to_text());
  }
  weir::test::check_golden(WEIR_TESTDATA "/format_errors.txt", out);
}
