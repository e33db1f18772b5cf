// SPDX-License-Identifier: Apache-2.0
// The channel against a server in the same executor, over a unix socket: what it does with good answers and with rubbish.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "base/log.h"
#include "kernel/socket.h"
#include "proxy/ads_channel.h"
#include "proxy/config_store.h"
#include "xds/ads_server.h"
#include "xds/proto/core.pb.h"
#include "xds/resource_set.h"

using namespace weir;
using namespace weir::proxy;

namespace {

constexpr const char* kMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// What the server's end does with bytes.
struct Speaker {
  virtual ~Speaker() = default;
  /// Returns what to write; nullopt: close.
  virtual std::optional<std::string> on_bytes(std::string_view bytes) = 0;
};

/// Sends the same bytes to whoever speaks.
struct Rubbish : Speaker {
  explicit Rubbish(std::string bytes) : text(std::move(bytes)) {}
  std::optional<std::string> on_bytes(std::string_view) override {
    if (text.empty()) return std::nullopt;
    return std::exchange(text, " ");
  }
  std::string text;
};

/// A gRPC server whose one method hands each message to `answer`.
struct Grpc : Speaker {
  using Answer = std::function<std::vector<std::string>(std::string_view)>;
  explicit Grpc(Answer answer) : connection({}, methods) {
    methods.emplace(kMethod, [answer](http::GrpcServerStream& stream) {
      struct Handler : http::GrpcHandler {
        Handler(http::GrpcServerStream& end, Answer make) : stream(end), answer(std::move(make)) {}
        void on_message(std::string_view message) override {
          for (const std::string& reply : answer(message)) stream.send(reply);
        }
        void on_half_close() override {}
        http::GrpcServerStream& stream;
        Answer answer;
      };
      return std::make_unique<Handler>(stream, answer);
    });
  }
  std::optional<std::string> on_bytes(std::string_view bytes) override {
    const bool ok = connection.feed(bytes).has_value();
    std::string out, piece;
    for (connection.take(piece); !piece.empty(); connection.take(piece)) {
      out += piece;
      piece.clear();
    }
    return ok || !out.empty() ? std::optional(out) : std::nullopt;
  }
  http::GrpcMethods methods;
  http::GrpcServerConnection connection;
};

/// Accepts one connection after the other; `make` gives what speaks on the n-th.
class Server final : io::ReadyHandler {
 public:
  using Make = std::function<std::unique_ptr<Speaker>(int)>;
  Server(io::Executor& executor, const std::string& path, Make make)
      : executor_(executor), make_(std::move(make)), fd_(*kernel::listen_unix(path)), watch_(executor, fd_.ref(), *this) {
    watch_.want_read();
  }
  int accepted = 0;

 private:
  struct Connection final : io::ReadyHandler {
    Connection(io::Executor& executor, UniqueFd socket, std::unique_ptr<Speaker> speaks)
        : fd(std::move(socket)), speaker(std::move(speaks)), watch(executor, fd.ref(), *this) {
      watch.want_read();
    }
    void on_readable() override {
      char buffer[65536];
      const auto got = kernel::receive(fd.ref(), buffer);
      if (got.eof || got.error != 0) return close();
      auto answer = speaker->on_bytes({buffer, got.bytes});
      if (!answer) return close();
      out += *answer;
      on_writable();
      if (fd) watch.want_read();
    }
    void on_writable() override {
      if (out.empty()) return;
      const auto sent = kernel::send(fd.ref(), std::span<const char>(out));
      out.erase(0, sent.bytes);
      if (!out.empty() && (sent.ok() || sent.would_block)) watch.want_write();
    }
    void close() {
      watch.reset();
      fd.reset();
    }
    UniqueFd fd;
    std::unique_ptr<Speaker> speaker;
    io::Watch watch;
    std::string out;
  };
  void on_readable() override {
    if (auto got = kernel::accept(fd_.ref()); got && *got)
      connections_.push_back(std::make_unique<Connection>(executor_, std::move((*got)->fd), make_(accepted++)));
    watch_.want_read();
  }
  void on_writable() override {}

  io::Executor& executor_;
  Make make_;
  UniqueFd fd_;
  io::Watch watch_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

struct Fixture {
  Fixture() {
    log::set_level(std::getenv("WEIR_TEST_LOG") ? log::Level::debug : log::Level::error);
    std::string name = (std::filesystem::temp_directory_path() / "weir-ads-XXXXXX").string();
    directory = ::mkdtemp(name.data());
    node.set_id("sidecar~10.0.0.1~a.b~b.svc.cluster.local");
    client = std::make_unique<xds::AdsClient>(
        node,
        xds::AdsClient::Options{.first_backoff = std::chrono::milliseconds(5), .max_backoff = std::chrono::milliseconds(10)},
        store, [] { return 0.5; });
  }
  ~Fixture() { std::filesystem::remove_all(directory); }

  /// Runs until `done` or ten seconds; true if done.
  bool run_until(Server::Make make, std::function<bool(const AdsChannel&, const Server&)> done) {
    io::Executor executor;
    Server server(executor, directory + "/s", std::move(make));
    bool reached = false;
    std::unique_ptr<AdsChannel> channel;
    io::Timer limit(executor, [&] { executor.stop(); });
    limit.expires_after(std::chrono::seconds(10));
    channel = std::make_unique<AdsChannel>(executor, *parse_agent_target("unix:" + directory + "/s"), *client,
                                           AdsChannel::Options{}, [&] {
                                             reached = reached || (channel && done(*channel, server));
                                             if (reached) executor.post([&] { executor.stop(); });
                                           });
    channel->start();
    executor.run();
    return reached;
  }

  std::string directory;
  envoy::config::core::v3::Node node;
  ConfigStore store{{}};
  std::unique_ptr<xds::AdsClient> client;
};

std::unique_ptr<Speaker> ads_server(xds::SnapshotPtr snapshot) {
  auto stream = std::make_shared<xds::AdsServerStream>(xds::AdsServerStream::Options{.control_plane = "test"});
  stream->set_snapshot(std::move(snapshot), io::Clock::now());
  return std::make_unique<Grpc>([stream](std::string_view message) {
    CHECK(stream->on_request(message, io::Clock::now()));
    return stream->take_responses();
  });
}

xds::SnapshotPtr snapshot_with(const std::string& cluster_name, bool broken = false) {
  xds::ResourceSet set;
  auto& cluster = set.clusters.emplace_back();
  cluster.set_name(cluster_name);
  cluster.set_type(envoy::config::cluster::v3::Cluster::STATIC);
  if (broken) cluster.set_lb_policy(envoy::config::cluster::v3::Cluster::CLUSTER_PROVIDED);
  return xds::Snapshot::build(set, nullptr);
}

}  // namespace

TEST_CASE("a good server: its clusters are there, and the client is ready") {
  Fixture fixture;
  CHECK(fixture.run_until([](int) { return ads_server(snapshot_with("one")); },
                          [&](const AdsChannel&, const Server&) { return fixture.client->is_ready(); }));
  CHECK(fixture.store.config()->cluster("one") != nullptr);
}

TEST_CASE("whatever rubbish comes, the channel tries again and takes what a good server says") {
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  const struct {
    const char* name;
    std::string bytes;
  } rows[] = {
      {"closes at once", ""},
      {"HTTP/1", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"},
      {"random", std::string(500, '\xa5')},
      {"a frame that is too long", settings + std::string("\xff\xff\xff\0\0\0\0\0\1", 9)},
      {"an end in the middle of a frame", settings + std::string("\0\0\x10\0\0\0\0\0\1ab", 11)},
  };
  for (const auto& row : rows) {
    CAPTURE(row.name);
    Fixture fixture;
    CHECK(fixture.run_until(
        [&](int n) -> std::unique_ptr<Speaker> {
          if (n < 2) return std::make_unique<Rubbish>(row.bytes);
          return ads_server(snapshot_with("one"));
        },
        [&](const AdsChannel&, const Server& server) { return server.accepted > 2 && fixture.client->is_ready(); }));
    CHECK(fixture.store.config()->cluster("one") != nullptr);
  }
}

TEST_CASE("a message that is no answer ends the stream, and what served stays") {
  Fixture fixture;
  CHECK(fixture.run_until(
      [&](int n) -> std::unique_ptr<Speaker> {
        if (n == 0) return ads_server(snapshot_with("one"));
        return std::make_unique<Grpc>([](std::string_view) { return std::vector<std::string>{"\xff\xff\xff rubbish"}; });
      },
      [&](const AdsChannel& channel, const Server&) { return fixture.client->is_ready() && channel.figures().messages > 0; }));
  REQUIRE(fixture.store.config()->cluster("one") != nullptr);
  CHECK(fixture.run_until(
      [&](int) -> std::unique_ptr<Speaker> {
        return std::make_unique<Grpc>([](std::string_view) { return std::vector<std::string>{"\xff\xff\xff rubbish"}; });
      },
      [&](const AdsChannel& channel, const Server&) { return channel.figures().rubbish > 1; }));
  CHECK(fixture.store.config()->cluster("one") != nullptr);
}

TEST_CASE("a refused cluster keeps its last good form") {
  Fixture fixture;
  CHECK(fixture.run_until([](int) { return ads_server(snapshot_with("one")); },
                          [&](const AdsChannel&, const Server&) { return fixture.client->is_ready(); }));
  CHECK(fixture.run_until([](int) { return ads_server(snapshot_with("one", true)); },
                          [&](const AdsChannel&, const Server&) {
                            const auto states = fixture.client->states(xds::ResourceType::cluster);
                            return !states.empty() && !states[0].rejected_why.empty();
                          }));
  REQUIRE(fixture.store.config()->cluster("one") != nullptr);
  CHECK(fixture.client->states(xds::ResourceType::cluster)[0].rejected_why.find("lb_policy") != std::string::npos);
}
