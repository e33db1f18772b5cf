// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <thread>

#include "base/text.h"
#include "kernel/socket.h"
#include "proxy/admin.h"
#include "proxy/health.h"

using namespace weir;
using namespace weir::proxy;

namespace {

/// An admin interface that notes what it was asked to do.
struct Fixture {
  std::vector<std::string> done;
  ServerState state = ServerState::live;
  std::shared_ptr<const Config> config = [] {
    auto made = std::make_shared<Config>();
    auto listener = std::make_shared<routing::Listener>();
    listener->name = "virtualOutbound";
    listener->address = *SocketAddr::parse("0.0.0.0:15001");
    listener->additional = {*SocketAddr::parse("[::]:15001")};
    made->listeners = std::make_shared<const routing::ListenerTable>(
        std::vector<std::shared_ptr<const routing::Listener>>{std::move(listener)});
    auto cluster = std::make_shared<Cluster>();
    cluster->name = "outbound|80||a.b";
    auto endpoints = std::make_shared<EndpointSet>();
    endpoints->endpoints.push_back({.address = *SocketAddr::parse("10.0.0.1:80")});
    cluster->endpoints = endpoints;
    made->clusters[cluster->name] = cluster;
    return made;
  }();
  Admin admin{hooks()};

  AdminHooks hooks() {
    AdminHooks hooks;
    hooks.state = [this] { return state; };
    hooks.dump = [](const DumpQuery& query) -> Result<std::string> {
      if (query.resource == "bad") return fail(ErrorCode::usage, "no such resource");
      return fmt::format("{}|{}|{}", query.resource, query.name_regex, query.include_eds);
    };
    hooks.config = [this] { return config; };
    hooks.figures = [](auto answer) {
      EndpointFigures figures;
      figures.address = *SocketAddr::parse("10.0.0.1:80");
      figures.requests = 5;
      figures.errors = 2;
      answer({{"outbound|80||a.b", {figures}}, {"outbound|80||a.b", {figures}}});
    };
    hooks.samples = [] { return std::vector<Sample>{{Sample::Type::gauge, "server", "", "live", 1}}; };
    hooks.istio = [] { return IstioMetrics(); };
    hooks.server_info = [] { return std::string("{}"); };
    hooks.log_level = [] { return std::string("info"); };
    hooks.set_log_level = [this](std::string_view level) -> Result<> {
      if (auto parsed = log::parse_level(level); !parsed) return pass(parsed.error());
      done.push_back("level " + std::string(level));
      return {};
    };
    hooks.drain = [this](bool inbound, bool graceful) { done.push_back(fmt::format("drain {} {}", inbound, graceful)); };
    hooks.quit = [this] { done.push_back("quit"); };
    return hooks;
  }

  HttpResponse ask(const std::string& method, const std::string& target, const std::string& host = "localhost",
                   const std::string& peer = "127.0.0.1:4000") {
    HttpRequest request;
    request.method = method;
    request.host = host;
    request.peer = *SocketAddr::parse(peer);
    parse_target(target, request);
    std::optional<HttpResponse> answer;
    admin.handle(request, [&](HttpResponse response) { answer = std::move(response); });
    REQUIRE(answer);
    return *answer;
  }
};

}  // namespace

TEST_CASE("each page answers as its method and place of asking allow") {
  struct Row {
    const char* method;
    const char* target;
    const char* host;
    const char* peer;
    int status;
    const char* body;  ///< begins with this
    const char* done;
  };
  const Row rows[] = {
      {"GET", "/ready", "localhost", "127.0.0.1:1", 200, "LIVE\n", ""},
      {"HEAD", "/ready", "127.0.0.1", "127.0.0.1:1", 200, "LIVE\n", ""},
      {"GET", "/ready", "::1", "[::1]:1", 200, "LIVE\n", ""},
      {"GET", "/ready", "", "127.0.0.1:1", 200, "LIVE\n", ""},
      {"POST", "/ready", "localhost", "127.0.0.1:1", 405, "/ready is read by GET only\n", ""},
      {"GET", "/ready", "localhost", "10.0.0.9:1", 403, "only loopback", ""},
      {"GET", "/ready", "evil.example", "127.0.0.1:1", 403, "Host \"evil.example\"", ""},
      {"GET", "/ready", "127.0.0.1.evil.example", "127.0.0.1:1", 403, "Host", ""},
      {"GET", "/nothing", "localhost", "127.0.0.1:1", 404, "/nothing: no such page", ""},
      {"GET", "/quitquitquit", "localhost", "127.0.0.1:1", 405, "/quitquitquit is changed by POST only\n", ""},
      {"POST", "/quitquitquit", "localhost", "127.0.0.1:1", 200, "OK\n", "quit"},
      {"POST", "/quitquitquit", "evil.example", "127.0.0.1:1", 403, "Host", ""},
      {"POST", "/drain_listeners?inboundonly&graceful", "localhost", "127.0.0.1:1", 200, "OK\n", "drain true true"},
      {"POST", "/drain_listeners", "localhost", "127.0.0.1:1", 200, "OK\n", "drain false false"},
      {"GET", "/drain_listeners", "localhost", "127.0.0.1:1", 405, "", ""},
      {"POST", "/logging?level=debug", "localhost", "127.0.0.1:1", 200, "level: info\n", "level debug"},
      {"POST", "/logging?level=loud", "localhost", "127.0.0.1:1", 400, "", ""},
      {"POST", "/logging?paths=x", "localhost", "127.0.0.1:1", 400, "parameter paths is unknown", ""},
      {"GET", "/config_dump?resource=a&name_regex=b%2Ec&include_eds", "localhost", "127.0.0.1:1", 200, "a|b.c|true", ""},
      {"GET", "/config_dump?resource=bad", "localhost", "127.0.0.1:1", 400, "no such resource\n", ""},
      {"GET", "/config_dump?mask=x", "localhost", "127.0.0.1:1", 400, "mask is not implemented", ""},
      {"GET", "/stats?filter=live", "localhost", "127.0.0.1:1", 200, "server.live: 1\n", ""},
      {"GET", "/stats?filter=dead", "localhost", "127.0.0.1:1", 200, "", ""},
      {"GET", "/stats?filter=(", "localhost", "127.0.0.1:1", 400, "\"(\" is no regular expression", ""},
      {"GET", "/stats?format=xml", "localhost", "127.0.0.1:1", 400, "format xml is unknown", ""},
      {"GET", "/stats?format=prometheus", "localhost", "127.0.0.1:1", 200,
       "# TYPE envoy_server_live gauge\nenvoy_server_live 1\n", ""},
      {"GET", "/listeners", "localhost", "127.0.0.1:1", 200, "virtualOutbound::0.0.0.0:15001\nvirtualOutbound::[::]:15001\n", ""},
      {"GET", "/help", "localhost", "127.0.0.1:1", 200, "weir-proxy's admin interface:\n", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.method);
    CAPTURE(row.target);
    CAPTURE(row.host);
    Fixture fixture;
    const HttpResponse answer = fixture.ask(row.method, row.target, row.host, row.peer);
    CHECK(answer.status == row.status);
    CHECK(answer.body.substr(0, std::string_view(row.body).size()) == row.body);
    CHECK(join(fixture.done, ",") == row.done);
  }
}

TEST_CASE("/ready is 503 while configuring and while draining") {
  Fixture fixture;
  fixture.state = ServerState::initializing;
  CHECK(fixture.ask("GET", "/ready").status == 503);
  fixture.state = ServerState::draining;
  CHECK(fixture.ask("GET", "/ready").body == "DRAINING\n");
}

TEST_CASE("/clusters joins what is configured with what each worker has seen") {
  Fixture fixture;
  const std::string text = fixture.ask("GET", "/clusters").body;
  CHECK(text.find("outbound|80||a.b::10.0.0.1:80::rq_total::10\n") != std::string::npos);
  CHECK(text.find("outbound|80||a.b::10.0.0.1:80::rq_success::6\n") != std::string::npos);
  CHECK(text.find("outbound|80||a.b::10.0.0.1:80::health_flags::healthy\n") != std::string::npos);
  const HttpResponse json = fixture.ask("GET", "/clusters?format=json");
  CHECK(json.content_type == kJsonType);
  CHECK(json.body.find("\"cluster_statuses\"") != std::string::npos);
}

TEST_CASE("the status port: health and metrics for all, actions for loopback and POST only") {
  std::vector<std::string> done;
  bool ready = false;
  HealthHooks hooks{[&] { return ready; }, [] { return std::string("not yet"); }, [] { return std::string("# metrics\n"); },
                    [&] { done.emplace_back("drain"); }, [&] { done.emplace_back("quit"); }};
  auto ask = [&](auto* handle, const char* method, const char* path, const char* peer) {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.peer = *SocketAddr::parse(peer);
    HttpResponse answer;
    handle(hooks, request, [&](HttpResponse response) { answer = std::move(response); });
    return answer;
  };
  CHECK(ask(&handle_readiness, "GET", "/healthz/ready", "10.0.0.9:1").status == 503);
  CHECK(ask(&handle_readiness, "GET", "/healthz/ready", "10.0.0.9:1").body == "not yet\n");
  ready = true;
  CHECK(ask(&handle_readiness, "GET", "/healthz/ready", "10.0.0.9:1").status == 200);
  CHECK(ask(&handle_readiness, "GET", "/quitquitquit", "127.0.0.1:1").status == 404);
  CHECK(ask(&handle_metrics, "GET", "/stats/prometheus", "10.0.0.9:1").body == "# metrics\n");
  CHECK(ask(&handle_status, "GET", "/stats/prometheus", "10.0.0.9:1").status == 200);
  CHECK(ask(&handle_status, "POST", "/quitquitquit", "10.0.0.9:1").status == 403);
  CHECK(ask(&handle_status, "GET", "/quitquitquit", "127.0.0.1:1").status == 405);
  CHECK(done.empty());
  CHECK(ask(&handle_status, "POST", "/quitquitquit", "127.0.0.1:1").status == 200);
  CHECK(ask(&handle_status, "POST", "/drain", "[::1]:1").status == 200);
  CHECK(join(done, ",") == "quit,drain");
}

TEST_CASE("over a socket: pipelined requests, bodies that are skipped, and an end to nonsense") {
  io::Executor executor;
  HttpServer server(executor, [](const HttpRequest& request, const HttpServer::Respond& respond) {
    respond({.body = fmt::format("{} {} from {}\n", request.method, request.path, request.host)});
  });
  auto address = server.listen(*SocketAddr::parse("127.0.0.1:0"));
  REQUIRE(address);
  std::string got;
  std::thread client([&] {
    auto fd = kernel::connect_tcp(*address);
    const std::string out =
        "POST /a HTTP/1.1\r\nHost: LOCALHOST:15000\r\nContent-Length: 5\r\n\r\nhello"
        "GET /b?x=1 HTTP/1.1\r\nHost: [::1]:15000\r\n\r\n"
        "HEAD /c HTTP/1.1\r\nHost: x\r\n\r\n"
        "rubbish\r\n\r\n";
    std::size_t written = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < end) {
      if (written < out.size()) {
        const auto sent = kernel::send(fd->ref(), std::span<const char>(out).subspan(written));
        written += sent.bytes;
      }
      char buffer[4096];
      const auto piece = kernel::receive(fd->ref(), buffer);
      if (piece.eof || piece.error != 0) break;
      got.append(buffer, piece.bytes);
      if (piece.would_block) std::this_thread::yield();
    }
    executor.stop();
  });
  executor.run();
  client.join();
  CHECK(got.find("POST /a from localhost\n") != std::string::npos);
  CHECK(got.find("GET /b from ::1\n") != std::string::npos);
  CHECK(got.find("HEAD /c") == std::string::npos);
  CHECK(got.find("HTTP/1.1 400 ") != std::string::npos);
}
