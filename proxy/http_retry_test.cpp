// SPDX-License-Identifier: Apache-2.0
// What happens when an upstream fails or is slow: retries, time limits, faults, limits of a cluster.
#include "proxy/data_testing.h"

using namespace weir;
using namespace weir::proxy;
using namespace weir::proxy::test;

namespace {

const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

std::string retry(const std::string& on, int retries = 2) {
  return fmt::format(
      "retry_policy {{ retry_on: '{}' num_retries {{ value: {} }} retry_back_off {{ base_interval {{ nanos: 1000000 }} }} }}", on,
      retries);
}

std::string timeout(const char* nanos) { return std::string("timeout { nanos: ") + nanos + " }"; }

/// As to(), but `fields` hold the timeout.
Setup timed(const Upstream& upstream, const std::string& fields) {
  Setup setup;
  setup.routes = "routes { match { prefix: '/' } route { cluster: 'a' " + fields + " } }";
  setup.clusters = {{"a", {endpoint(upstream)}}};
  return setup;
}

}  // namespace

TEST_CASE("a refused connection is tried at another endpoint") {
  Upstream gone, upstream;
  Setup setup = to(upstream, retry("connect-failure"));
  setup.clusters = {{"a", {endpoint(gone), endpoint(upstream)}}};
  gone.close();
  Lab lab(setup);
  for (int i = 0; i < 4; ++i) {
    Peer client = lab.dial();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    Peer server = upstream.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    CHECK(client.rest().ends_with("ok<eof>"));
  }
}

TEST_CASE("an endpoint's further address is dialled once the one before is refused, and stays the one") {
  Upstream gone, upstream;
  Setup setup = to(upstream, retry("connect-failure"));
  Endpoint both = endpoint(gone);
  both.additional = {endpoint(upstream).address};
  setup.clusters = {{"a", {both}}};
  gone.close();
  Lab lab(setup);
  for (int i = 0; i < 2; ++i) {
    Peer client = lab.dial();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    Peer server = upstream.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    CHECK(client.rest().ends_with("ok<eof>"));
  }
}

TEST_CASE("retries that are used up say so") {
  Upstream gone;
  Setup setup = to(gone, retry("connect-failure", 1));
  gone.close();
  Lab lab(setup);
  Peer client = lab.dial();
  client.send(kGet);
  client.head();
  std::string body =
      "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: remote connection failure";
  CHECK(client.exactly(body.size()) == body);
  CHECK(lab.next_record().starts_with("GET 503 URX,UF upstream_reset_before_response_started{remote_connection_failure|"));
}

TEST_CASE("an answer of the wrong class is retried, body and all; other answers are not") {
  Upstream upstream;
  Setup setup = to(upstream, retry("5xx"));
  setup.host_fields = "include_request_attempt_count: true";
  Lab lab(setup);
  Peer client = lab.dial();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  for (int i = 1; i <= 2; ++i) {
    Peer server = upstream.accept();
    CHECK(server.head().find(fmt::format("x-envoy-attempt-count: {}\r\n", i)) != std::string::npos);
    std::string body = server.until("0\r\n\r\n");
    CHECK((body == "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" || body == "5\r\nabcde\r\n0\r\n\r\n"));
    server.send(i == 1 ? "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"
                       : "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    if (i == 2) {
      CHECK(client.head().starts_with("HTTP/1.1 404 Not Found\r\n"));
      CHECK(!upstream.has_caller());
    }
  }
}

TEST_CASE("the last answer is passed on when retries are used up") {
  Upstream upstream;
  Lab lab(to(upstream, retry("5xx", 1)));
  Peer client = lab.dial();
  client.send(kGet);
  for (int i = 0; i < 2; ++i) {
    Peer server = upstream.accept();
    server.head();
    server.send("HTTP/1.1 500 Oops\r\nContent-Length: 1\r\n\r\nx");
  }
  CHECK(client.head().starts_with("HTTP/1.1 500 Oops\r\n"));
  CHECK(lab.next_record().starts_with("GET 500 URX via_upstream "));
}

TEST_CASE("a body beyond the limit is sent once only") {
  Upstream upstream;
  WorkerOptions options;
  options.replay_bytes = 10;
  Lab lab(to(upstream, retry("5xx")), options);
  Peer client = lab.dial();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world");
  Peer server = upstream.accept();
  server.head();
  CHECK(server.exactly(11) == "hello world");
  server.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
  CHECK(client.head().starts_with("HTTP/1.1 503 "));
}

TEST_CASE("an upstream that closes before its answer: 503 UC, and no retry unless the policy says so") {
  Upstream upstream;
  Lab lab(to(upstream, retry("connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes")));
  Peer client = lab.dial();
  client.send(kGet);
  Peer server = upstream.accept();
  server.head();
  server.close();
  CHECK(client.head().starts_with("HTTP/1.1 503 "));
  CHECK(lab.next_record().starts_with("GET 503 UC upstream_reset_before_response_started{connection_termination} "));
}

TEST_CASE("a reset is retried where the policy says reset") {
  Upstream upstream;
  Lab lab(to(upstream, retry("reset")));
  Peer client = lab.dial();
  client.send(kGet);
  {
    Peer server = upstream.accept();
    server.head();
    server.reset();
  }
  Peer server = upstream.accept();
  server.head();
  server.send(kOk);
  CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("a kept connection that closes as the next request goes out is replaced unseen") {
  for (const char* method : {"GET", "POST"}) {
    CAPTURE(method);
    Upstream upstream;
    Lab lab(to(upstream));
    Peer client = lab.dial();
    client.send(kGet);
    Peer server = upstream.accept();
    server.head();
    server.send(kOk);
    client.head();
    client.exactly(2);
    client.send(fmt::format("{} /again HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", method));
    server.head();  // it came on the kept connection, which now goes without a word
    if (std::string_view(method) == "GET")
      server.close();
    else
      server.reset();  // nobody read it: even a POST may go again
    Peer fresh = upstream.accept();
    CHECK(fresh.head().starts_with(fmt::format("{} /again ", method)));
    fresh.send(kOk);
    CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
  }
}

TEST_CASE("a POST on a kept connection that closes in order may have been acted upon: it is not sent again") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send(kGet);
  Peer server = upstream.accept();
  server.head();
  server.send(kOk);
  client.head();
  client.exactly(2);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  server.head();
  server.close();
  CHECK(client.head().starts_with("HTTP/1.1 503 "));
}

TEST_CASE("an idle connection that the upstream closed is not used") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send(kGet);
  {
    Peer server = upstream.accept();
    server.head();
    server.send(kOk);
    client.head();
    client.exactly(2);
  }
  auto closed = [&] {
    for (const Sample& sample : lab.stats.cluster_samples("a"))
      if (sample.name == "upstream_cx_destroy_remote") return sample.value == 1;
    return false;
  };
  REQUIRE(eventually(closed));
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  Peer fresh = upstream.accept();
  fresh.head();
  fresh.send(kOk);
  CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("a response cut short is not passed on as whole") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send(kGet);
  Peer server = upstream.accept();
  server.head();
  server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  client.head();
  CHECK(client.until("abc\r\n") == "3\r\nabc\r\n");
  server.close();
  CHECK(client.rest() == "<eof>");
  CHECK(lab.next_record().starts_with("GET 200 UC upstream_reset_after_response_started{connection_termination} "));
}

TEST_CASE("rubbish from an upstream is 502 UPE") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send(kGet);
  Peer server = upstream.accept();
  server.head();
  server.send("SSH-2.0-OpenSSH\r\n\r\n");
  CHECK(client.head().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
  CHECK(lab.next_record().starts_with("GET 502 UPE upstream_reset_before_response_started{protocol_error} "));
}

TEST_CASE("a client that goes before the answer ends the upstream's work") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send(kGet);
  Peer server = upstream.accept();
  server.head();
  client.close();
  CHECK(server.ended());
  CHECK(lab.next_record().starts_with("GET 0 DC downstream_remote_disconnect "));
}

TEST_CASE("the route's time limit: 504 before the answer, an early end within it") {
  Upstream upstream;
  Lab lab(timed(upstream, timeout("40000000")));
  {
    Peer client = lab.dial();
    client.send(kGet);
    Peer server = upstream.accept();
    CHECK(server.head().find("x-envoy-expected-rq-timeout-ms: 40\r\n") != std::string::npos);
    CHECK(client.head().starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
    CHECK(client.exactly(24) == "upstream request timeout");
    CHECK(server.ended());
    CHECK(lab.next_record().starts_with("GET 504 UT response_timeout "));
  }
  Peer client = lab.dial();
  client.send(kGet);
  Peer server = upstream.accept();
  server.head();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  client.head();
  CHECK(client.rest() == "half<eof>");
  CHECK(lab.next_record().starts_with("GET 200 UT response_timeout "));
}

TEST_CASE("a time limit for each try is retried only where the policy covers it") {
  Upstream upstream;
  std::string policy = "retry_policy { retry_on: '%' num_retries { value: 1 } per_try_timeout { nanos: 40000000 } }";
  {
    Lab lab(to(upstream, std::string(policy).replace(policy.find('%'), 1, "connect-failure")));
    Peer client = lab.dial();
    client.send(kGet);
    Peer server = upstream.accept();
    server.head();
    CHECK(client.head().starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
    CHECK(lab.next_record().starts_with("GET 504 UT upstream_per_try_timeout "));
  }
  Lab lab(to(upstream, std::string(policy).replace(policy.find('%'), 1, "gateway-error")));
  Peer client = lab.dial();
  client.send(kGet);
  Peer slow = upstream.accept();
  slow.head();
  Peer server = upstream.accept();
  server.head();
  server.send(kOk);
  CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("a stream that stands still is ended") {
  Upstream upstream;
  Lab lab(to(upstream, "idle_timeout { nanos: 40000000 }"));
  Peer client = lab.dial();
  client.send(kGet);
  Peer server = upstream.accept();
  server.head();
  CHECK(client.head().starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
  CHECK(client.exactly(14) == "stream timeout");
  CHECK(lab.next_record().starts_with("GET 504 SI stream_idle_timeout "));
}

TEST_CASE("faults: an abort answers without an upstream, a delay comes before it and outside the time limit") {
  Upstream upstream;
  auto fault = [](const std::string& fields) {
    return "typed_per_filter_config { key: 'envoy.filters.http.fault' value { "
           "[type.googleapis.com/envoy.extensions.filters.http.fault.v3."
           "HTTPFault] { " +
           fields + " } } }";
  };
  std::string all = "percentage { numerator: 100 }";
  {
    Lab lab(to(upstream, "", fault("abort { http_status: 418 " + all + " }")));
    Peer client = lab.dial();
    client.send(kGet);
    CHECK(client.head().starts_with("HTTP/1.1 418 "));
    CHECK(client.exactly(18) == "fault filter abort");
    CHECK(lab.next_record() == "GET 418 FI fault_filter_abort in=0 out=18 cluster=- rule=\"-\"");
  }
  {
    Lab lab(
        to(upstream, "", fault("delay { fixed_delay { nanos: 5000000 } " + all + " } abort { http_status: 503 " + all + " }")));
    Peer client = lab.dial();
    client.send(kGet);
    CHECK(client.head().starts_with("HTTP/1.1 503 "));
    CHECK(lab.next_record().starts_with("GET 503 DI,FI fault_filter_abort "));
  }
  {
    Lab lab(to(upstream, "", fault("abort { http_status: 503 percentage { numerator: 0 } }")));
    Peer client = lab.dial();
    client.send(kGet);
    Peer server = upstream.accept();
    CHECK(server.head().starts_with("GET / "));
  }
}

TEST_CASE("limits of a cluster: one connection, one that waits, the rest is told so") {
  Upstream upstream;
  Setup setup = to(upstream);
  setup.edit_cluster = [](Cluster& cluster) { cluster.limits = {.max_connections = 1, .max_pending_requests = 1}; };
  Lab lab(setup);
  Peer first = lab.dial();
  first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer server = upstream.accept();
  CHECK(server.head().starts_with("GET /1 "));
  Peer second = lab.dial();
  second.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(eventually([&] { return lab.open_requests() == 2; }));
  Peer third = lab.dial();
  third.send("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
  std::string head = third.head();
  CHECK(head.starts_with("HTTP/1.1 503 "));
  CHECK(head.find("x-envoy-overloaded: true\r\n") != std::string::npos);
  CHECK(lab.next_record().starts_with("GET 503 UO upstream_reset_before_response_started{overflow} "));
  server.send(kOk);
  CHECK(first.head().starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(server.head().starts_with("GET /2 "));  // on the same connection
  server.send(kOk);
  CHECK(second.head().starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("a connection serves no more requests than its cluster says") {
  Upstream upstream;
  Setup setup = to(upstream);
  setup.edit_cluster = [](Cluster& cluster) { cluster.max_requests_per_connection = 1; };
  Lab lab(setup);
  Peer client = lab.dial();
  for (int i = 0; i < 2; ++i) {
    client.send(kGet);
    Peer server = upstream.accept();
    server.head();
    server.send(kOk);
    CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    client.exactly(2);
    CHECK(server.rest() == "<eof>");
  }
}

TEST_CASE("an endpoint that is taken away: its idle connections close, what is in flight is finished") {
  Upstream one, two;
  Setup before = to(one), after = to(two);
  Lab lab(before);
  Peer busy = lab.dial(), idle = lab.dial();
  idle.send(kGet);
  Peer idle_server = one.accept();
  idle_server.head();
  busy.send(kGet);
  Peer busy_server = one.accept();
  busy_server.head();
  idle_server.send(kOk);
  idle.head();
  lab.configure(after);
  CHECK(idle_server.rest() == "<eof>");
  busy_server.send(kOk);
  CHECK(busy.head().starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(busy_server.rest() == "<eof>");
}

TEST_CASE("cross-origin: a preflight is answered here, other answers are marked") {
  Upstream upstream;
  Lab lab(to(
      upstream, "",
      "typed_per_filter_config { key: 'envoy.filters.http.cors' value { "
      "[type.googleapis.com/envoy.extensions.filters.http.cors.v3."
      "CorsPolicy] { allow_origin_string_match { exact: 'http://b.test' } allow_methods: 'GET,PUT' max_age: '60' expose_headers: "
      "'x-shown' } } }"));
  Peer client = lab.dial();
  client.send("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: http://b.test\r\nAccess-Control-Request-Method: PUT\r\n\r\n");
  std::string head = client.head();
  CHECK(
      head.starts_with("HTTP/1.1 200 OK\r\naccess-control-allow-origin: http://b.test\r\naccess-control-allow-methods: "
                       "GET,PUT\r\naccess-control-max-age: 60\r\n"));
  client.send("GET / HTTP/1.1\r\nHost: a\r\nOrigin: http://b.test\r\n\r\n");
  Peer server = upstream.accept();
  server.head();
  server.send(kOk);
  head = client.head();
  CHECK(head.find("access-control-allow-origin: http://b.test\r\n") != std::string::npos);
  CHECK(head.find("access-control-expose-headers: x-shown\r\n") != std::string::npos);
}
