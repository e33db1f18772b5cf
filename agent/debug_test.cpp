// SPDX-License-Identifier: Apache-2.0
// What the debug endpoint says, and to whom.
#include <doctest/doctest.h>

#include <filesystem>
#include <future>
#include <thread>

#include "agent/debug_pages.h"
#include "agent/debug_service.h"
#include "base/scope_exit.h"
#include "base/test_golden.h"
#include "kernel/socket.h"
#include "xds/resource_set.h"

using namespace weir;
using namespace weir::agent;
using xds::ResourceType;

namespace {

constexpr const char* kRules = R"(apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
    - match:
        - headers: {end-user: {exact: jason}}
      route: [{destination: {host: reviews, subset: v1}}]
    - route: [{destination: {host: reviews}}]
)";

xds::ResourceSet resources(const std::string& text) {
  std::vector<Problem> problems;
  auto store = mesh::Store::build(nullptr, {std::make_shared<mesh::ParsedFile>(mesh::parse("r.yaml", text))}, problems);
  REQUIRE_MESSAGE(!has_errors(problems), to_text(problems));
  ProxyIdentity proxy{.name = "client", .ns = "shop"};
  return translate(*store, {}, proxy);
}

using Digests = std::shared_ptr<const std::vector<RuleDigest>>;
Digests digests(const xds::ResourceSet& set, ResourceType type) {
  return std::make_shared<const std::vector<RuleDigest>>(digest_rules(set, type));
}

ProxyStatus proxy(const std::string& name) {
  ProxyStatus status;
  status.node = {.id = "sidecar~10.0.0.9~" + name + ".shop~shop.svc.cluster.local",
                 .type = "sidecar",
                 .name = name,
                 .ns = "shop",
                 .cluster = name + ".shop",
                 .user_agent = "weir 0.1.0"};
  status.peer = "unix";
  return status;
}

xds::TypeStatus answered(std::string sent, std::string acked) {
  return {.subscribed = true, .sent_version = std::move(sent), .acked_version = std::move(acked), .sent = 2, .acked = 1};
}

/// Asks a service that lives on a loop of its own; returns all it answers.
std::string ask(const std::string& request, bool by_unix) {
  char folder[] = "/tmp/weir-debug-XXXXXX";
  REQUIRE(::mkdtemp(folder) != nullptr);
  const ScopeExit remove([&] { std::filesystem::remove_all(folder); });
  io::Executor executor;
  DebugService service(executor, [](std::string_view path, const std::string& id) {
    return DebugAnswer{.body = fmt::format("page {} of {}\n", path, id)};
  });
  const std::string path = std::string(folder) + "/debug.sock";
  // The kernel chooses the port; tried again if somebody was quicker.
  SocketAddr address = *SocketAddr::parse("127.0.0.1:0");
  for (bool listening = false; !listening;) {
    auto probe = kernel::listen_tcp(*SocketAddr::parse("127.0.0.1:0"));
    REQUIRE(probe);
    address = *kernel::local_address(probe->ref());
    probe->reset();
    listening = service.listen_tcp(address).has_value();
  }
  REQUIRE(service.listen_unix(path, 0600));
  auto fd = by_unix ? kernel::connect_unix(path) : kernel::connect_tcp(address);
  REQUIRE(fd);
  std::thread loop([&] { executor.run(); });
  std::string answer;
  std::size_t sent = 0;
  for (auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(5); std::chrono::steady_clock::now() < limit;) {
    if (sent < request.size()) sent += kernel::send(fd->ref(), std::span<const char>(request).subspan(sent)).bytes;
    char buffer[4096];
    kernel::IoResult got = kernel::receive(fd->ref(), buffer);
    answer.append(buffer, got.bytes);
    if (got.eof) break;
    std::this_thread::yield();
  }
  executor.stop();
  loop.join();
  return answer;
}

}  // namespace

TEST_CASE("a rule is synced once the proxy has accepted exactly what it makes now") {
  const xds::ResourceSet before = resources(kRules);
  std::string text = kRules;
  text.replace(text.find("exact: jason"), 12, "exact: jacky");
  const xds::ResourceSet after = resources(text);

  std::vector<ProxyStatus> proxies = {proxy("web"), proxy("client"), proxy("new")};
  for (ProxyStatus& status : proxies) {
    for (ResourceType type : xds::kResourceTypes) {
      status.types[xds::index(type)] = answered("2", "2");
      status.rules[xds::index(type)] = {digests(after, type), digests(after, type)};
    }
  }
  // The client has the new clusters, but still the old routes; "web" refused them; "new" got nothing yet.
  const std::size_t route = xds::index(ResourceType::route);
  proxies[1].types[route] = answered("2", "1");
  proxies[1].rules[route].acked = digests(before, ResourceType::route);
  proxies[0].types[route] = answered("2", "1");
  proxies[0].types[route].nacked = 1;
  proxies[0].types[route].nacked_version = "2";
  proxies[0].types[route].nack_message = "route 80: no such thing";
  proxies[0].rules[route].acked = digests(before, ResourceType::route);
  proxies[2].types[route] = {};
  proxies[2].rules[route].acked = nullptr;
  test::check_golden(WEIR_TESTDATA "/syncz.json", syncz(proxies));
}

TEST_CASE("a shift of lines changes a rule's digest in RDS only") {
  const xds::ResourceSet before = resources(kRules), after = resources(std::string("# one more line\n") + kRules);
  CHECK(digest_rules(before, ResourceType::cluster) == digest_rules(after, ResourceType::cluster));
  CHECK(digest_rules(before, ResourceType::listener) == digest_rules(after, ResourceType::listener));
  CHECK(digest_rules(before, ResourceType::route) != digest_rules(after, ResourceType::route));
}

TEST_CASE("the dump is what the proxy is to have; an unknown proxy is told with those that are there") {
  std::vector<ProxyStatus> proxies = {proxy("web")};
  proxies[0].snapshot = xds::Snapshot::build(resources(kRules), nullptr);
  auto dump = config_dump(proxies, "web.shop");
  REQUIRE(dump);
  for (const char* part : {"ClustersConfigDump", "EndpointsConfigDump", "ListenersConfigDump", "RoutesConfigDump",
                           "outbound|80|v1|reviews.shop.svc.cluster.local", "VirtualService shop/reviews"})
    CHECK_MESSAGE(dump->find(part) != std::string::npos, part);
  CHECK(config_dump(proxies, proxies[0].node.id).has_value());
  CHECK(config_dump(proxies, "wep.shop").error().to_text() == "no proxy \"wep.shop\" is connected; connected: web.shop");
  CHECK(config_dump({}, "web.shop").error().to_text() == "no proxy \"web.shop\" is connected; none is");
}

TEST_CASE("GET is answered by unix socket and by loopback; nothing else is") {
  const std::string get = "GET /debug/config_dump?x=1&proxyID=a%2eb HTTP/1.1\r\nHost: ";
  CHECK(ask(get + "localhost:15014\r\n\r\n", false).ends_with("\r\n\r\npage /debug/config_dump of a.b\n"));
  CHECK(ask(get + "anything\r\n\r\n", true).ends_with("\r\n\r\npage /debug/config_dump of a.b\n"));
  CHECK(ask(get + "evil.example\r\n\r\n", false).starts_with("HTTP/1.1 403 "));
  CHECK(ask("POST /ready HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", false).starts_with("HTTP/1.1 405 "));
  CHECK(ask("HEAD /ready HTTP/1.1\r\nHost: [::1]:1\r\n\r\n", false).ends_with("\r\n\r\n"));
  CHECK(ask("GET /ready HTTP/1.1\r\n\r\n", false).starts_with("HTTP/1.1 400 "));
  CHECK(ask("GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + std::string(9000, 'a') + "\r\n\r\n", true).starts_with("HTTP/1.1 431 "));
}
