// SPDX-License-Identifier: Apache-2.0
// HTTP/1 through the proxy: what goes upstream, what comes back, byte for byte.
#include "proxy/buffer.h"
#include "proxy/data_testing.h"

using namespace weir;
using namespace weir::proxy;
using namespace weir::proxy::test;

namespace {

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const std::string kOkSent =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-envoy-upstream-service-time: *\r\nserver: envoy\r\ndate: *\r\n\r\n";

}  // namespace

TEST_CASE("a request keeps its fields' case and order, hop-by-hop ones go, ours come last") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send(
      "GET /x?y=1 HTTP/1.1\r\nhOsT: a.test\r\nX-Zed: 1\r\nConnection: keep-alive, X-Hop\r\nX-Hop: gone\r\nKeep-Alive: 5\r\n"
      "x-Envoy-Max-Retries: 9\r\nX-ALPHA: 2\r\nX-Zed: 3\r\n\r\n");
  Peer server = upstream.accept();
  CHECK(masked(server.head()) ==
        "GET /x?y=1 HTTP/1.1\r\nhOsT: a.test\r\nX-Zed: 1\r\nX-ALPHA: 2\r\nX-Zed: 3\r\nx-forwarded-proto: http\r\nx-request-id: "
        "*\r\n\r\n");
  server.send("HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-Thing: A\r\nConnection: keep-alive\r\nServer: real\r\n\r\nok");
  CHECK(masked(client.head()) ==
        "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-Thing: A\r\nServer: envoy\r\nx-envoy-upstream-service-time: *\r\ndate: "
        "*\r\n\r\n");
  CHECK(client.exactly(2) == "ok");
  CHECK(lab.next_record() == "GET 200 - via_upstream in=0 out=2 cluster=a rule=\"-\"");
}

TEST_CASE("connections are kept and reused on both sides") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer server = upstream.accept();
  for (int i = 1; i <= 3; ++i) {
    CHECK(server.until(" HTTP/1.1\r\n") == fmt::format("GET /{} HTTP/1.1\r\n", i));
    server.head();
    server.send(kOk);
    CHECK(masked(client.head()) == kOkSent);
    CHECK(client.exactly(2) == "ok");
    if (i < 3) client.send(fmt::format("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", i + 1));
  }
  CHECK(!upstream.has_caller());
}

TEST_CASE("where upstream connections bear the client's address, no other client gets them") {
  Upstream upstream;
  Setup setup = to(upstream);
  setup.edit_listener = [](routing::Listener& listener) { listener.original_src_mark = 0; };  // not borne on the loopback
  Lab lab(setup);
  auto ask = [](Peer& client) { client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"); };
  auto answer = [](Peer& server, Peer& client) {
    CHECK(server.head().substr(0, 6) == "GET / ");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    CHECK(client.head().substr(0, 12) == "HTTP/1.1 200");
  };
  Peer client = lab.dial();
  ask(client);
  Peer to_client = upstream.accept();
  answer(to_client, client);
  Peer other = Peer::dial(lab.address(), *IpAddr::parse("127.0.0.9"));
  ask(other);
  Peer to_other = upstream.accept();
  answer(to_other, other);
  Peer again = lab.dial();
  ask(again);
  answer(to_client, again);
  ask(other);
  answer(to_other, other);
}

TEST_CASE("pipelined requests are answered in order, and nothing after an error") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nBAD\x01\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer server = upstream.accept();
  for (int i = 1; i <= 2; ++i) {
    CHECK(server.head().starts_with(fmt::format("GET /{} ", i)));
    server.send(kOk);
    CHECK(masked(client.head()) == kOkSent);
    CHECK(client.exactly(2) == "ok");
  }
  CHECK(client.head().starts_with("HTTP/1.1 400 Bad Request\r\n"));
  CHECK(client.rest() == "Bad Request<eof>");
  CHECK(lab.open_requests() == 0);
}

TEST_CASE("bodies of both framings and trailers pass both ways") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nx-request-id: i\r\n\r\nhello");
  Peer server = upstream.accept();
  CHECK(server.head() == "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nx-request-id: i\r\nx-forwarded-proto: http\r\n\r\n");
  CHECK(server.exactly(5) == "hello");
  server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;ext=1\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n");
  CHECK(masked(client.head()) ==
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nx-envoy-upstream-service-time: *\r\nserver: envoy\r\ndate: *\r\ntransfer-encoding: "
        "chunked\r\n\r\n");
  CHECK(client.head() == "3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n");

  client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nx-request-id: i\r\n\r\n4\r\nwxyz\r\n");
  CHECK(server.head() ==
        "PUT / HTTP/1.1\r\nHost: a\r\nx-request-id: i\r\nx-forwarded-proto: http\r\nTransfer-Encoding: chunked\r\n\r\n");
  CHECK(server.until("wxyz\r\n") == "4\r\nwxyz\r\n");
  client.send("0\r\nX-End: 1\r\n\r\n");
  CHECK(server.head() == "0\r\nX-End: 1\r\n\r\n");
  server.send("HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(client.head().starts_with("HTTP/1.1 204 No Content\r\n"));
}

TEST_CASE("a large body passes whole, both ways") {
  Upstream upstream;
  Lab lab(to(upstream));
  std::string body(3'000'000, 'x');
  for (std::size_t i = 0; i < body.size(); i += 997) body[i] = static_cast<char>('a' + i % 26);
  Peer client = lab.dial();
  Peer server = [&] {
    std::thread sender(
        [&] { client.send(fmt::format("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.size()) + body); });
    Peer accepted = upstream.accept();
    accepted.head();
    CHECK(accepted.exactly(body.size()) == body);
    sender.join();
    return accepted;
  }();
  std::thread sender([&] { server.send(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.size()) + body); });
  client.head();
  CHECK(client.exactly(body.size()) == body);
  sender.join();
}

TEST_CASE("responses without a body end at their head") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer server = upstream.accept();
  server.head();
  server.send("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
  CHECK(client.head().find("Content-Length: 500\r\n") != std::string::npos);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  server.head();
  server.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n");
  CHECK(client.head().starts_with("HTTP/1.1 304 Not Modified\r\n"));
  client.send("GET /again HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(server.head().starts_with("GET /again "));
}

TEST_CASE("a response that ends with its connection becomes chunked") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer server = upstream.accept();
  server.head();
  server.send("HTTP/1.1 200 OK\r\n\r\nabc");
  CHECK(client.head().ends_with("transfer-encoding: chunked\r\n\r\n"));
  CHECK(client.until("abc\r\n") == "3\r\nabc\r\n");
  server.close();
  CHECK(client.until("0\r\n\r\n") == "0\r\n\r\n");
}

TEST_CASE("HTTP/1.0 is served: no chunks, closed unless keep-alive was asked for") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  Peer server = upstream.accept();
  CHECK(masked(server.head()) ==
        fmt::format("GET / HTTP/1.1\r\nHost: {}\r\nx-forwarded-proto: http\r\nx-request-id: *\r\n\r\n", lab.address().to_text()));
  server.send(kOk);
  std::string head = client.head();
  CHECK(head.starts_with("HTTP/1.0 200 OK\r\n"));
  CHECK(head.ends_with("connection: keep-alive\r\n\r\n"));
  CHECK(client.exactly(2) == "ok");
  client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  server.head();
  server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
  CHECK(client.head().ends_with("connection: close\r\n\r\n"));
  CHECK(client.rest() == "ok<eof>");
}

TEST_CASE("Expect: 100-continue goes through and the body follows the word of the upstream") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  Peer server = upstream.accept();
  CHECK(server.head().find("Expect: 100-continue\r\n") != std::string::npos);
  server.send("HTTP/1.1 100 Continue\r\n\r\n");
  CHECK(client.head() == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("body");
  CHECK(server.exactly(4) == "body");
  server.send(kOk);
  CHECK(masked(client.head()) == kOkSent);
}

TEST_CASE("a response that comes before the request's end does not wait for it, and ends the connection in order") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nsome");
  Peer server = upstream.accept();
  server.head();
  server.send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig");
  CHECK(client.head().starts_with("HTTP/1.1 413 Payload Too Large\r\n"));
  CHECK(client.exactly(3) == "big");
  client.send(std::string(100'000, 'x'));  // thrown away, not answered by a reset
  CHECK(client.rest() == "<eof>");
}

TEST_CASE("an upgrade becomes a tunnel with half-close both ways") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send(
      "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nx-request-id: i\r\n\r\nearly");
  Peer server = upstream.accept();
  CHECK(server.head() ==
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nx-request-id: i\r\nx-forwarded-proto: "
        "http\r\n\r\n");
  server.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi");
  CHECK(client.head().starts_with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"));
  CHECK(client.exactly(2) == "hi");
  CHECK(server.exactly(5) == "early");
  client.send("ping");
  client.finish_sending();
  CHECK(server.rest() == "ping<eof>");
  server.send("late");
  server.close();
  CHECK(client.rest() == "late<eof>");
  CHECK(lab.next_record() == "GET 101 - via_upstream in=9 out=6 cluster=a rule=\"-\"");
}

TEST_CASE("an upgrade that no rule allows is refused") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: spdy\r\nConnection: Upgrade\r\n\r\n");
  CHECK(client.head().starts_with("HTTP/1.1 403 Forbidden\r\n"));
}

TEST_CASE("CONNECT is refused, and what follows it is no request") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(client.head().starts_with("HTTP/1.1 403 Forbidden\r\n"));
  CHECK(client.rest() == "<eof>");
  CHECK(lab.next_record() == "CONNECT 403 - upgrade_failed in=0 out=0 cluster=- rule=\"-\"");
  CHECK(!upstream.has_caller());
}

TEST_CASE("1xx answers without an end are a protocol error") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer server = upstream.accept();
  server.head();
  for (int i = 0; i < 4000; ++i) server.send("HTTP/1.1 102 Processing\r\n\r\n");
  CHECK(client.head().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
  CHECK(lab.next_record().starts_with("GET 502 UPE upstream_reset_before_response_started{protocol_error} "));
}

TEST_CASE("bytes behind an answer that fills the buffer are not the next request's answer") {
  Upstream upstream;
  Lab lab(to(upstream));
  std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 00000\r\n\r\n";
  std::size_t body = BlockPool::kBlockBytes - answer.size();
  answer.replace(answer.find("00000"), 5, std::to_string(body));
  answer += std::string(body, 'x');
  for (int i = 0; i < 20; ++i) {  // how the kernel cuts it is not ours to say
    Peer client = lab.dial();
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    Peer server = upstream.accept();
    server.head();
    server.send(answer + "HTTP/1.1 418 Poison\r\nContent-Length: 0\r\n\r\n");
    CHECK(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(client.exactly(body) == std::string(body, 'x'));
    Peer fresh = upstream.accept();
    fresh.head();
    fresh.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    CHECK(client.head().starts_with("HTTP/1.1 204 No Content\r\n"));
  }
}

TEST_CASE("own answers have Envoy's codes, bodies, flags and details") {
  struct Row {
    const char* request;
    const char* status;
    const char* body;
    const char* record;
  };
  Upstream upstream;
  Setup setup;
  setup.routes =
      "routes { match { prefix: '/old' } redirect { path_redirect: '/new' response_code: FOUND } }"
      "routes { match { path: '/direct' } direct_response { status: 418 body { inline_string: 'short' } } }"
      "routes { match { prefix: '/none' } route { cluster: 'none' } }"
      "routes { match { prefix: '/empty' } route { cluster: 'empty' } }"
      "routes { match { prefix: '/refused' } route { cluster: 'refused' } }";
  Upstream gone;
  setup.clusters = {{"empty", {}}, {"refused", {endpoint(gone)}}};
  gone.close();
  Lab lab(setup);
  const Row rows[] = {
      {"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found", "",
       "GET 404 NR route_not_found in=0 out=0 cluster=- rule=\"-\""},
      {"GET /direct HTTP/1.1\r\nHost: a\r\n\r\n", "418 I'm a teapot", "short",
       "GET 418 - direct_response in=0 out=5 cluster=- rule=\"-\""},
      {"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", "503 Service Unavailable", "",
       "GET 503 NC cluster_not_found in=0 out=0 cluster=- rule=\"-\""},
      {"GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", "503 Service Unavailable", "no healthy upstream",
       "GET 503 UH no_healthy_upstream in=0 out=19 cluster=empty rule=\"-\""},
      {"GET /refused HTTP/1.1\r\nHost: a\r\n\r\n", "503 Service Unavailable",
       "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
       "GET 503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused} "
       "in=0 "
       "out=98 cluster=refused rule=\"-\""},
      {"GET /../../x HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request", "",
       "GET 400 - path_normalization_failed in=0 out=0 cluster=- rule=\"-\""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.request);
    Peer client = lab.dial();
    client.send(row.request);
    std::string head = client.head();
    CHECK(head.starts_with(fmt::format("HTTP/1.1 {}\r\n", row.status)));
    CHECK(head.find(fmt::format("content-length: {}\r\n", std::string_view(row.body).size())) != std::string::npos);
    CHECK(client.exactly(std::string_view(row.body).size()) == row.body);
    CHECK(lab.next_record() == row.record);
  }
  Peer client = lab.dial();
  client.send("GET /old?q=1 HTTP/1.1\r\nHost: a.test\r\n\r\n");
  std::string head = client.head();
  CHECK(head.starts_with("HTTP/1.1 302 Found\r\nlocation: http://a.test/new?q=1\r\n"));
}

TEST_CASE("path and host are rewritten, headers edited, attempts counted") {
  Upstream upstream;
  Setup setup = to(upstream, "prefix_rewrite: '/v2/' host_rewrite_literal: 'inner.test'",
                   "request_headers_to_add { header { key: 'x-new' value: '1' } append_action: OVERWRITE_IF_EXISTS_OR_ADD } "
                   "request_headers_to_remove: 'x-old' response_headers_to_add { header { key: 'x-back' value: '2' } }");
  setup.host_fields = "include_request_attempt_count: true";
  Lab lab(setup);
  Peer client = lab.dial();
  client.send("GET /a/b?c HTTP/1.1\r\nHost: a\r\nX-Old: 0\r\nX-New: 0\r\nx-request-id: i\r\n\r\n");
  Peer server = upstream.accept();
  CHECK(server.head() ==
        "GET /v2/a/b?c HTTP/1.1\r\nHost: inner.test\r\nX-New: 1\r\nx-request-id: i\r\nx-forwarded-proto: http\r\n"
        "x-envoy-original-path: /a/b?c\r\nx-envoy-attempt-count: 1\r\n\r\n");
  server.send(kOk);
  CHECK(client.head().find("x-back: 2\r\n") != std::string::npos);
}

TEST_CASE("weights share the requests out") {
  Upstream one, two;
  Setup setup;
  setup.routes =
      "routes { match { prefix: '/' } route { weighted_clusters { clusters { name: 'one' weight { value: 100 } } clusters { "
      "name: 'two' "
      "weight { value: 0 } } } } }";
  setup.clusters = {{"one", {endpoint(one)}}, {"two", {endpoint(two)}}};
  Lab lab(setup);
  for (int i = 0; i < 3; ++i) {
    Peer client = lab.dial();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    Peer server = one.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    CHECK(client.rest().ends_with("ok<eof>"));
  }
  CHECK(!two.has_caller());
}

TEST_CASE("a new configuration serves the next request of a connection that is open") {
  Upstream one, two;
  Lab lab(to(one));
  Peer client = lab.dial();
  client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer server = one.accept();
  server.head();
  lab.configure(to(two));  // the request in flight keeps its endpoint
  server.send(kOk);
  CHECK(masked(client.head()) == kOkSent);
  CHECK(client.exactly(2) == "ok");
  client.send("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer other = two.accept();
  CHECK(other.head().starts_with("GET /2 "));
}

TEST_CASE("draining says Connection: close and ends idle connections") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer idle = lab.dial();
  Peer client = lab.dial();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer server = upstream.accept();
  server.head();
  REQUIRE(eventually([&] { return lab.open_connections() == 2; }));
  lab.worker().drain(Worker::Side::all);
  CHECK(idle.ended());
  server.send(kOk);
  CHECK(client.rest().find("connection: close\r\n\r\nok<eof>") != std::string::npos);
  CHECK(eventually([&] { return lab.open_connections() == 0 && lab.open_requests() == 0; }));
}

TEST_CASE("a head that is too large is refused, however slowly it comes") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < 70; ++i) client.send(fmt::format("X-{}: {}\r\n", i, std::string(1000, 'x')));
  CHECK(client.head().starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
  CHECK(lab.next_record().find(" 431 DPE http1.headers_too_large ") != std::string::npos);
}

TEST_CASE("half a head is answered with 408 in the end") {
  Upstream upstream;
  WorkerOptions options;
  options.head_limit = 30ms;
  Lab lab(to(upstream), options);
  Peer client = lab.dial();
  client.send("GET / HTTP/1.1\r\nHost");
  CHECK(client.head().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
}

TEST_CASE("two workers serve the same address") {
  Upstream upstream;
  Lab lab(to(upstream), {}, 2);
  std::thread server([&] {
    for (int i = 0; i < 20; ++i) {
      Peer peer = upstream.accept();
      peer.head();
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
  });
  for (int i = 0; i < 20; ++i) {
    Peer client = lab.dial();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    CHECK(client.exactly(2) == "ok");
  }
  server.join();
}

TEST_CASE("a mirror gets a copy of the request; its answer goes nowhere") {
  Upstream upstream, shadow;
  Setup setup = to(upstream, "request_mirror_policies { cluster: 'shadow' }");
  setup.clusters.push_back({"shadow", {endpoint(shadow)}});
  Lab lab(setup);
  Peer client = lab.dial();
  client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nx-request-id: i\r\n\r\nabc");
  Peer server = upstream.accept();
  CHECK(server.until("abc").ends_with("\r\n\r\nabc"));
  Peer copy = shadow.accept();
  CHECK(copy.until("abc") ==
        "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nx-request-id: i\r\nx-forwarded-proto: http\r\nx-envoy-internal: "
        "true\r\n"
        "x-forwarded-for: 127.0.0.1\r\n\r\nabc");
  copy.send("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
  server.send(kOk);
  CHECK(masked(client.head()) == kOkSent);
  client.exactly(2);
  client.send("GET /y HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(copy.head().starts_with("GET /y "));  // the mirror's connection was kept too
}

TEST_CASE("HTTP/2 on a chain for HTTP/1 passes unread to the cluster that takes everything") {
  Upstream upstream;
  Lab lab(to(upstream));
  Peer client = lab.dial();
  client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes");
  Peer server = upstream.accept();
  CHECK(server.until("frames") == "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nframes");
  server.send("more");
  CHECK(client.exactly(4) == "more");
}
