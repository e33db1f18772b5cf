// SPDX-License-Identifier: Apache-2.0
// The data path's parts that need no socket of the network.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sys/socket.h>

#include "proxy/balancer.h"
#include "proxy/buffer.h"
#include "proxy/circuit.h"
#include "proxy/detector.h"
#include "proxy/http_headers.h"
#include "proxy/outgoing.h"
#include "proxy/server_first.h"

using namespace weir;
using namespace weir::proxy;
using Protocol = Detection::Protocol;

namespace {

std::vector<Endpoint> endpoints(const std::vector<std::tuple<std::uint32_t, std::uint32_t, Health>>& rows) {
  std::vector<Endpoint> result;
  for (const auto& [weight, priority, health] : rows) {
    Endpoint endpoint;
    endpoint.weight = weight;
    endpoint.priority = priority;
    endpoint.health = health;
    result.push_back(endpoint);
  }
  return result;
}

std::map<std::size_t, int> shares(Balancer& balancer, int calls) {
  Random random(5);
  std::map<std::size_t, int> counts;
  for (int i = 0; i < calls; ++i) ++counts[*balancer.choose([&] { return random.next(); }, [](std::size_t) { return 0U; })];
  return counts;
}

std::string bytes(std::initializer_list<int> values) {
  std::string result;
  for (int value : values) result += static_cast<char>(value);
  return result;
}

std::string field16(const std::string& body) {
  return bytes({static_cast<int>(body.size() >> 8), static_cast<int>(body.size() & 255)}) + body;
}

/// A ClientHello with this name and ALPN "h2", "http/1.1".
std::string client_hello(const std::string& name) {
  std::string names = bytes({0}) + field16(name);
  std::string alpn = bytes({2}) + "h2" + bytes({8}) + "http/1.1";
  std::string extensions =
      bytes({0, 10, 0, 0}) + bytes({0, 0}) + field16(field16(names)) + bytes({0, 16}) + field16(field16(alpn));
  std::string body =
      bytes({3, 3}) + std::string(32, 'r') + bytes({0}) + field16(bytes({0x13, 1})) + bytes({1, 0}) + field16(extensions);
  return bytes({1, 0}) + field16(body);
}

std::string record(const std::string& fragment) { return bytes({0x16, 3, 1}) + field16(fragment); }

}  // namespace

TEST_CASE("protocols are told by their first bytes") {
  struct Row {
    std::string bytes;
    Protocol expected;
  };
  const Row rows[] = {
      {"", Protocol::undecided},
      {"G", Protocol::undecided},
      {"GET / HTTP/1.1", Protocol::undecided},
      {"GET / HTTP/1.1\r\n", Protocol::http1},
      {"\r\nGET / HTTP/1.1\r\n", Protocol::http1},
      {"GET / HTTP/1.0\n", Protocol::http1},
      {"GET /a b HTTP/1.1\r\n", Protocol::http1},  // the codec refuses it; it does not leave the mesh as raw
      {"post / HTTP/1.1\r\n", Protocol::http1},
      {"PING\r\n", Protocol::raw},
      {"get key\r\n", Protocol::raw},
      {"EHLO me\r\n", Protocol::raw},
      {"GET /\r\n", Protocol::raw},
      {"*1\r\n$4\r\nPING\r\n", Protocol::raw},
      {std::string("\x00\x00", 2), Protocol::raw},
      {"GET /\x01", Protocol::raw},
      {std::string(64, 'A') + " / HTTP/1.1\r\n", Protocol::http1},
      {std::string(65, 'A'), Protocol::raw},
      {"PRI * HTTP/2.0\r\n", Protocol::undecided},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Protocol::http2},
      {"GET /" + std::string(kDetectBytes, 'x'), Protocol::http1},
      {"word " + std::string(kDetectBytes, 'x'), Protocol::raw},
      {"\r\n\r\nword " + std::string(kDetectBytes - 9, 'x'), Protocol::raw},
      {"\x16", Protocol::undecided},
      {"\x16\x03\x01", Protocol::undecided},
      {"\x16\x02", Protocol::raw},
      {record(client_hello("a.test")), Protocol::tls},
      {record(bytes({2, 0, 0, 0})), Protocol::raw},
      {bytes({0x16, 3, 1, 255, 255}) + std::string(1, '\x01') + std::string(kDetectBytes, '\xff'), Protocol::tls},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes.substr(0, 40));
    CHECK(detect(row.bytes).protocol == row.expected);
  }
}

TEST_CASE("server name and ALPN are read from a ClientHello, also one in two records or cut anywhere") {
  std::string hello = client_hello("Shop.Example");
  std::string whole = record(hello);
  std::string split = record(hello.substr(0, 50)) + record(hello.substr(50));
  for (const std::string& stream : {whole, split}) {
    for (std::size_t n = 1; n < stream.size(); ++n) CHECK(detect(stream.substr(0, n)).protocol == Protocol::undecided);
    Detection detection = detect(stream + "more");
    CHECK(detection.server_name == "shop.example");
    CHECK(detection.application_protocols == std::vector<std::string>{"h2", "http/1.1"});
  }
  // Lengths that lie are no reason to read past the end.
  for (std::size_t i = 9; i < whole.size(); ++i) {
    std::string broken = whole;
    broken[i] = '\xff';
    CHECK(detect(broken).protocol == Protocol::tls);
  }
}

TEST_CASE("round robin follows the weights exactly") {
  Balancer balancer;
  balancer.rebuild(endpoints({{1, 0, Health::healthy}, {2, 0, Health::healthy}, {5, 0, Health::healthy}}), LbPolicy::round_robin,
                   0);
  CHECK(shares(balancer, 800) == std::map<std::size_t, int>{{0, 100}, {1, 200}, {2, 500}});
  balancer.rebuild(endpoints({{1, 0, Health::healthy}, {1, 0, Health::unhealthy}, {1, 0, Health::healthy}}),
                   LbPolicy::round_robin, 1);
  CHECK(shares(balancer, 10) == std::map<std::size_t, int>{{0, 5}, {2, 5}});
}

TEST_CASE("random and least request follow the weights on average") {
  for (LbPolicy policy : {LbPolicy::random, LbPolicy::least_request}) {
    Balancer balancer;
    balancer.rebuild(endpoints({{1, 0, Health::healthy}, {3, 0, Health::healthy}}), policy, 0);
    auto counts = shares(balancer, 4000);
    CHECK(counts[0] > 800);
    CHECK(counts[0] < 1200);
  }
}

TEST_CASE("least request takes the one with less to do") {
  Balancer balancer;
  balancer.rebuild(endpoints({{1, 0, Health::healthy}, {1, 0, Health::healthy}}), LbPolicy::least_request, 0);
  Random random(3);
  int busy = 0;
  for (int i = 0; i < 1000; ++i)
    busy +=
        *balancer.choose([&] { return random.next(); }, [](std::size_t member) { return member == 0 ? 9U : 0U; }) == 0 ? 1 : 0;
  CHECK(busy > 150);  // both draws fell on it
  CHECK(busy < 350);
}

TEST_CASE("lower priorities get what the higher ones cannot take") {
  struct Row {
    std::vector<std::tuple<std::uint32_t, std::uint32_t, Health>> endpoints;
    std::vector<std::uint32_t> shares;
  };
  auto good = Health::healthy, bad = Health::unhealthy;
  const Row rows[] = {
      {{{1, 0, good}, {1, 1, good}}, {100, 0}},
      {{{1, 0, good}, {1, 0, bad}, {1, 1, good}}, {70, 30}},
      {{{1, 0, bad}, {1, 1, good}}, {0, 100}},
      {{{1, 0, good}, {1, 0, good}, {1, 0, good}, {1, 0, bad}, {1, 1, good}}, {100, 0}},
      {{{1, 0, Health::draining}, {1, 5, good}}, {0, 100}},
  };
  for (const Row& row : rows) {
    Balancer balancer;
    balancer.rebuild(endpoints(row.endpoints), LbPolicy::random, 0);
    CHECK(balancer.shares() == row.shares);
  }
  Balancer none;
  none.rebuild(endpoints({{1, 0, bad}}), LbPolicy::random, 0);
  CHECK(!none.choose([] { return std::uint64_t{0}; }, [](std::size_t) { return 0U; }));
}

TEST_CASE("destinations that spoke first are remembered, the oldest are forgotten") {
  ServerFirst cache(2);
  SocketAddr a = *SocketAddr::parse("10.0.0.1:99"), b = *SocketAddr::parse("10.0.0.2:99"), c = *SocketAddr::parse("10.0.0.3:99");
  CHECK(cache.expected(*SocketAddr::parse("10.0.0.9:3306")));
  CHECK(!cache.expected(a));
  cache.learn(a);
  cache.learn(b);
  CHECK(cache.expected(a));
  cache.learn(c);  // b was used longest ago
  CHECK(!cache.expected(b));
  CHECK(cache.expected(a));
  cache.forget(a);
  CHECK(!cache.expected(a));
  CHECK(cache.size() == 1);
}

TEST_CASE("a buffer keeps its pinned head in place while more is received") {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
  UniqueFd near(fds[0]), far(fds[1]);
  BlockPool pool;
  Buffer buffer(pool);
  auto put = [&](std::string_view text) { REQUIRE(kernel::send(far.ref(), text).bytes == text.size()); };
  put("head|body");
  CHECK(buffer.receive_from(near.ref()).bytes == 9);
  std::string_view head = buffer.view().substr(0, 4);
  buffer.pin(5);
  CHECK(buffer.view() == "body");
  buffer.consume(4);
  put("more");
  CHECK(buffer.receive_from(near.ref()).bytes == 4);
  CHECK(buffer.view() == "more");
  CHECK(head == "head");
  buffer.consume(2);
  buffer.unpin();
  CHECK(buffer.view() == "re");
  buffer.consume(2);
  CHECK(buffer.empty());
  CHECK(buffer.receive_from(near.ref()).would_block);
}

TEST_CASE("outgoing bytes arrive in order over short writes") {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
  UniqueFd near(fds[0]), far(fds[1]);
  std::string big(300'000, 'b'), expected = "one" + big + "two" + big + "three", got;
  Outgoing out;
  out.text() += "one";
  out.add(big);
  out.text() += "two";
  out.add(big);
  out.add("three");
  int error = 0, blocked = 0;
  char bytes[70'000];
  while (got.size() < expected.size()) {
    blocked += out.flush(near.ref(), error) == Outgoing::Flush::blocked ? 1 : 0;
    auto result = kernel::receive(far.ref(), bytes);
    REQUIRE(result.ok());
    got.append(bytes, result.bytes);
  }
  CHECK(got == expected);
  CHECK(blocked > 1);
  CHECK(out.empty());
  far.reset();
  out.text() += "x";
  CHECK(out.flush(near.ref(), error) == Outgoing::Flush::failed);
  CHECK(error == EPIPE);
}

TEST_CASE("only what a proxy may say to a proxy is taken out of a request") {
  http::HeaderMap headers;
  for (const char* name : {"X-Envoy-Retry-On", "x-envoy-original-path", "x-envoy-upstream-rq-timeout-ms", "X-Envoy", "x-other",
                           "x-envoy-decorator-operation", "X-Forwarded-Client-Cert", "Connection", "te"})
    headers.append(name, "v");
  clean_request(headers, false, true);
  std::string names;
  for (const auto& field : headers) names += std::string(field.name) + " ";
  CHECK(names == "x-envoy-original-path X-Envoy x-other ");
}

TEST_CASE("a circuit limit holds for all who share its counts, and costs nothing where there is none") {
  CircuitRegistry registry;
  auto one = registry.counts("a"), two = registry.counts("a");
  CHECK(one == two);
  CHECK(registry.counts("b") != one);
  Held first, second, third;
  CHECK(first.take(one->requests, 2));
  CHECK(first.take(one->requests, 2));  // counts once
  CHECK(second.take(two->requests, 2));
  CHECK(!third.take(one->requests, 2));
  first.reset();
  CHECK(third.take(one->requests, 2));
  Held free;
  CHECK(free.take(one->pending, kNoLimit));
  CHECK(one->pending == 0);
  second.reset();
  third.reset();
  CHECK(one->requests == 0);
}
