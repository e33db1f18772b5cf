// SPDX-License-Identifier: Apache-2.0
// The service with real sockets and the real client. The translation is a stub: one cluster, named after the mesh's domain and
// the proxy.
#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <future>
#include <thread>

#include "agent/ads_service.h"
#include "http/grpc.h"
#include "kernel/socket.h"
#include "xds/ads_client.h"
#include "xds/proto/core.pb.h"
#include "xds/proto/discovery.pb.h"
#include "xds/resource_set.h"

using namespace weir;
using namespace weir::agent;
using namespace std::chrono_literals;

namespace weir::agent {
xds::ResourceSet translate(const mesh::Store&, const MeshSettings& settings, const ProxyIdentity& proxy) {
  xds::ResourceSet set;
  set.clusters.emplace_back().set_name(settings.domain + "/" + proxy.name);
  // Bulk, so that a client that does not read fills its socket.
  set.clusters.back().set_alt_stat_name(std::string(200'000, 'x'));
  set.listeners.emplace_back().set_name("l");
  return set;
}
}  // namespace weir::agent

namespace {

constexpr const char* kPath = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// Service and clients live on one loop, in a thread of its own; the test speaks to them through get(), and waits with until().
struct World {
  /// What `ask` answers on the loop.
  template <class Ask>
  auto get(Ask ask) {
    std::packaged_task<decltype(ask())()> task(ask);
    auto answer = task.get_future();
    executor.post([&] { task(); });
    return answer.get();
  }
  World() : loop([this] { executor.run(); }) {
    char name[] = "/tmp/weir-ads-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    folder = name;
    REQUIRE(get([&] { return service.listen_unix(path(), 0600).has_value(); }));
    rules("mesh");
  }
  ~World() {
    executor.stop();
    loop.join();
    std::filesystem::remove_all(folder);
  }
  std::string path() const { return folder + "/agent.sock"; }

  /// Looks after every round of the loop. False: it did not happen within five seconds.
  bool until(const std::function<bool()>& done) {
    auto limit = std::chrono::steady_clock::now() + 5s;
    std::promise<bool> end;
    std::function<void()> look = [&] {
      bool happened = done();
      if (happened || std::chrono::steady_clock::now() > limit) return end.set_value(happened);
      executor.post(look);
    };
    executor.post(look);
    return end.get_future().get();
  }
  void rules(const std::string& domain) {
    get([&] {
      std::vector<Problem> none;
      MeshSettings settings;
      settings.domain = domain;
      service.set_rules(mesh::Store::build(nullptr, {}, none), settings);
      return true;
    });
  }
  /// Made and destroyed on the loop.
  template <class T, class... Args>
  std::shared_ptr<T> make(Args... args) {
    return get([&] {
      return std::shared_ptr<T>(new T(*this, args...), [this](T* client) {
        get([&] {
          delete client;
          return true;
        });
      });
    });
  }
  std::vector<ProxyStatus> proxies() {
    return get([&] { return service.proxies(); });
  }

  io::Executor executor;
  AdsService service{executor, "test"};
  std::string folder;
  std::thread loop;
};

using Connect = std::function<Result<UniqueFd>()>;
Connect by_unix(World& world) {
  return [path = world.path()] { return kernel::connect_unix(path); };
}

/// A connection whose gRPC bytes are moved when the executor says so; `reading` off makes it a slow client.
struct Client : io::ReadyHandler, http::GrpcClientStream::Events {
  Client(World& world, const Connect& connect, const char* method = kPath)
      : fd(std::move(connect().value())),
        grpc({.path = method, .authority = "localhost"}, *this),
        watch(world.executor, fd.ref(), *this) {
    watch.want_write();
    watch.want_read();
  }
  virtual ~Client() = default;
  void on_message(std::string_view message) override { messages.emplace_back(message); }
  void on_status(const http::GrpcStatus& grpc_status) override { status = grpc_status; }
  void on_readable() override {
    if (!reading) return;
    char buffer[65536];
    kernel::IoResult got = kernel::receive(fd.ref(), buffer);
    if (got.eof || got.error != 0) {
      grpc.on_eof();
      return;
    }
    if (got.bytes > 0 && !grpc.feed({buffer, got.bytes})) return;
    watch.want_read();
    on_writable();
  }
  void on_writable() override {
    grpc.take(out);
    if (out.empty()) return;
    kernel::IoResult sent = kernel::send(fd.ref(), std::span<const char>(out));
    if (sent.error != 0) return;
    out.erase(0, sent.bytes);
    if (!out.empty() || grpc.wants_write()) watch.want_write();
  }
  void send(std::string_view message) {
    grpc.send(message);
    on_writable();
  }

  UniqueFd fd;
  http::GrpcClientStream grpc;
  io::Watch watch;
  std::string out;
  std::vector<std::string> messages;
  std::optional<http::GrpcStatus> status;
  bool reading = true;
};

/// A whole proxy, as far as ADS goes.
struct Proxy : Client, xds::ResourceSink {
  Proxy(World& world, const char* name, const Connect& connect)
      : Client(world, connect), ads(node(name), {}, *this, [] { return 0.5; }) {
    ads.on_open(std::chrono::steady_clock::now());
    flush();
  }
  Proxy(World& world, const char* name) : Proxy(world, name, by_unix(world)) {}
  static envoy::config::core::v3::Node node(const std::string& name) {
    envoy::config::core::v3::Node node;
    node.set_id("sidecar~10.0.0.1~" + name + ".default~default.svc.cluster.local");
    return node;
  }
  void flush() {
    for (const std::string& request : ads.take_requests()) send(request);
  }
  void on_message(std::string_view message) override {
    ++answers;
    CHECK(ads.on_message(message, std::chrono::steady_clock::now()));
    flush();
  }
  xds::Compiled compile(xds::ResourceType type, const google::protobuf::Message& message,
                        std::vector<Problem>& problems) override {
    if (refuse) problems.push_back({Severity::error, {}, xds::resource_name(type, message), "", "no", ""});
    return {};
  }
  void publish(const xds::ActiveSet&, const std::array<bool, xds::kTypeCount>&) override {}
  std::string clusters() const {
    std::string names;
    for (const auto& [name, accepted] : ads.active().of(xds::ResourceType::cluster)) names += name + " ";
    return names;
  }
  bool refuse = false;
  int answers = 0;
  xds::AdsClient ads;
};

struct Refuser : Proxy {
  Refuser(World& world, const char* name) : Proxy(world, name) { refuse = true; }
};

}  // namespace

TEST_CASE("each proxy gets its own rules, then every change, and its answers are known") {
  World world;
  auto a = world.make<Proxy>("a");
  auto b = world.make<Proxy>("b");
  CHECK(world.until([&] { return a->ads.is_ready() && b->ads.is_ready(); }));
  CHECK(world.get([&] { return a->clusters() + b->clusters(); }) == "mesh/a mesh/b ");
  world.rules("new");
  CHECK(world.until([&] { return a->clusters() == "new/a " && b->clusters() == "new/b "; }));
  CHECK(world.until([&] {
    auto proxies = world.service.proxies();
    return proxies.size() == 2 && proxies[0].types[0].acked == 2 && proxies[1].types[0].acked == 2;
  }));
  CHECK(world.proxies().at(0).peer == "unix");
}

TEST_CASE("rules that lead to the same resources are not pushed") {
  World world;
  auto a = world.make<Proxy>("a");
  CHECK(world.until([&] { return a->ads.is_ready(); }));
  world.rules("mesh");
  auto b = world.make<Proxy>("b");
  CHECK(world.until([&] { return b->ads.is_ready(); }));
  CHECK(world.get([&] { return a->answers; }) == 2);
}

TEST_CASE("a proxy over TCP is served alike, on both families") {
  for (Family family : kBothFamilies) {
    World world;
    REQUIRE(world.get([&] { return world.service.listen_tcp({IpAddr::loopback(family), 0}).has_value(); }));
    auto address = world.get([&] { return world.service.tcp_address(); });
    auto a = world.make<Proxy>("a", Connect([address] { return kernel::connect_tcp(address); }));
    CHECK(world.until([&] { return a->ads.is_ready(); }));
    CHECK(world.proxies().at(0).peer.find(IpAddr::loopback(family).to_text()) != std::string::npos);
  }
}

TEST_CASE("a refusal is kept with its text") {
  World world;
  auto a = world.make<Refuser>("a");
  CHECK(world.until([&] {
    auto proxies = world.service.proxies();
    return !proxies.empty() && proxies[0].types[0].nacked == 1;
  }));
  CHECK(world.proxies().at(0).types[0].nack_message == "mesh/a: mesh/a: no");
}

TEST_CASE("a proxy that leaves is forgotten") {
  World world;
  auto a = world.make<Proxy>("a");
  CHECK(world.until([&] { return world.service.proxies().size() == 1; }));
  a.reset();
  CHECK(world.until([&] { return world.service.proxies().empty(); }));
}

TEST_CASE("rubbish ends only the connection it came on") {
  World world;
  auto good = world.make<Proxy>("good");
  auto rude = kernel::connect_unix(world.path());
  REQUIRE(rude);
  std::string rubbish(100'000, '\x16');
  kernel::send(rude->ref(), std::span<const char>(rubbish));
  CHECK(world.until([&] {
    char buffer[4096];
    kernel::IoResult got = kernel::receive(rude->ref(), buffer);
    return got.eof || got.error != 0;
  }));
  world.rules("after");
  CHECK(world.until([&] { return good->clusters() == "after/good "; }));
}

TEST_CASE("a message that is no request is answered with INVALID_ARGUMENT, an unknown method with UNIMPLEMENTED") {
  World world;
  auto confused = world.make<Client>(by_unix(world));
  world.get([&] {
    confused->send("\xff\xff\xff");
    return true;
  });
  CHECK(world.until([&] { return confused->status.has_value(); }));
  CHECK(world.get([&] { return confused->status->code; }) == http::GrpcCode::invalid_argument);
  auto lost = world.make<Client>(by_unix(world), "/some.Service/Method");
  CHECK(world.until([&] { return lost->status.has_value(); }));
  CHECK(world.get([&] { return lost->status->code; }) == http::GrpcCode::unimplemented);
}

TEST_CASE("a client that does not read is owed only the newest state, and others are served meanwhile") {
  World world;
  auto slow = world.make<Proxy>("slow");
  auto other = world.make<Proxy>("other");
  CHECK(world.until([&] { return slow->ads.is_ready() && other->ads.is_ready(); }));
  int before = world.get([&] {
    slow->reading = false;
    slow->watch.reset();
    return slow->answers;
  });
  for (int i = 0; i < 50; ++i) {
    std::string name = "v" + std::to_string(i);
    world.rules(name);
    CHECK(world.until([&] { return other->clusters() == name + "/other "; }));
  }
  world.get([&] {
    slow->reading = true;
    slow->watch = io::Watch(world.executor, slow->fd.ref(), *slow);
    slow->watch.want_read();
    return true;
  });
  CHECK(world.until([&] { return slow->clusters() == "v49/slow "; }));
  CHECK(world.get([&] { return slow->answers; }) - before == 2);  // the one that was under way, and the newest
}

TEST_CASE("after drain() nobody new is served, and those that were are told") {
  World world;
  auto a = world.make<Proxy>("a");
  CHECK(world.until([&] { return a->ads.is_ready(); }));
  world.get([&] {
    world.service.drain();
    return true;
  });
  CHECK(world.until([&] { return a->status.has_value(); }));
  CHECK(world.get([&] { return a->status->to_text(); }) == "UNAVAILABLE: the agent is leaving");
  CHECK_FALSE(kernel::connect_unix(world.path()).has_value());
}
