// SPDX-License-Identifier: Apache-2.0
// For tests of the data path: a worker, clients and upstreams that follow a script, all on loopback. Every wait has a limit.
#pragma once

#include <fstream>
#include <functional>
#include <chrono>
#include <memory>
#include <poll.h>
#include <regex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "kernel/socket.h"
#include "proxy/access_log.h"
#include "proxy/circuit.h"
#include "proxy/stats.h"
#include "proxy/worker.h"
#include "routing/listener_table.h"
#include "xds/proto/route.pb.h"

namespace weir::proxy::test {

using namespace std::chrono_literals;
inline constexpr auto kPatience = 10s;

/// Waits for `what` to hold; false after the limit.
template <class What>
bool eventually(What what) {
  auto limit = std::chrono::steady_clock::now() + kPatience;
  while (!what()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

inline bool wait_for(FdRef fd, short events) {
  pollfd entry{fd.get(), events, 0};
  return ::poll(&entry, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1;
}

/// One end of a connection that speaks by script.
class Peer {
 public:
  explicit Peer(UniqueFd fd) : fd_(std::move(fd)) {}
  static Peer dial(const SocketAddr& address, std::optional<IpAddr> source = {}) {
    auto fd = kernel::connect_tcp(address, {.source = source});
    REQUIRE(fd);
    REQUIRE(wait_for(fd->ref(), POLLOUT));
    return Peer(std::move(*fd));
  }
  void send(std::string_view text) {
    while (!text.empty()) {
      auto result = kernel::send(fd_.ref(), text);
      if (result.would_block) {
        REQUIRE(wait_for(fd_.ref(), POLLOUT));
        continue;
      }
      if (result.error != 0) return;  // the test sees it by what it reads
      text.remove_prefix(result.bytes);
    }
  }
  /// Reads until `suffix` has come; all that came up to there. What the test expects is compared by the test.
  std::string until(std::string_view suffix) {
    while (true) {
      if (auto at = pending_.find(suffix); at != std::string::npos) {
        std::string result = pending_.substr(0, at + suffix.size());
        pending_.erase(0, at + suffix.size());
        return result;
      }
      if (!more()) return std::exchange(pending_, {}) + end_;
    }
  }
  std::string head() { return until("\r\n\r\n"); }
  std::string exactly(std::size_t n) {
    while (pending_.size() < n)
      if (!more()) return std::exchange(pending_, {}) + end_;
    std::string result = pending_.substr(0, n);
    pending_.erase(0, n);
    return result;
  }
  /// Everything up to the end, which is added as "<eof>" or "<reset>".
  std::string rest() {
    while (more()) {
    }
    return std::exchange(pending_, {}) + end_;
  }
  /// The connection ended, one way or the other, without more bytes.
  bool ended() {
    std::string last = rest();
    return last == "<eof>" || last == "<reset>";
  }
  void finish_sending() { kernel::shutdown_write(fd_.ref()); }
  void close() { fd_.reset(); }
  void reset() {
    REQUIRE(kernel::set_reset_on_close(fd_.ref()));
    fd_.reset();
  }
  SocketAddr local() const { return *kernel::local_address(fd_.ref()); }
  SocketAddr remote() const { return *kernel::peer_address(fd_.ref()); }
  FdRef fd() const { return fd_.ref(); }

 private:
  bool more() {
    if (!end_.empty()) return false;
    char bytes[65536];
    while (true) {
      auto result = kernel::receive(fd_.ref(), bytes);
      if (result.ok()) {
        pending_.append(bytes, result.bytes);
        return true;
      }
      if (result.eof) end_ = "<eof>";
      if (result.error != 0) end_ = "<reset>";
      if (!end_.empty()) return false;
      if (!wait_for(fd_.ref(), POLLIN)) {
        end_ = "<timeout>";
        return false;
      }
    }
  }
  UniqueFd fd_;
  std::string pending_, end_;
};

/// A listening socket of a test.
class Upstream {
 public:
  Upstream() {
    auto fd = kernel::listen_tcp(*SocketAddr::parse("127.0.0.1:0"));
    REQUIRE(fd);
    fd_ = std::move(*fd);
    address_ = *kernel::local_address(fd_.ref());
  }
  const SocketAddr& address() const { return address_; }
  Peer accept() {
    while (true) {
      auto accepted = kernel::accept(fd_.ref());
      REQUIRE(accepted);
      if (*accepted) return Peer(std::move((*accepted)->fd));
      REQUIRE(wait_for(fd_.ref(), POLLIN));
    }
  }
  /// True if somebody waits to be accepted now.
  bool has_caller() const {
    pollfd entry{fd_.get(), POLLIN, 0};
    return ::poll(&entry, 1, 0) == 1;
  }
  void close() { fd_.reset(); }

 private:
  UniqueFd fd_;
  SocketAddr address_;
};

/// What a test's configuration is made of.
struct Setup {
  std::string routes;  ///< text of the virtual host's routes; "" makes a TCP chain
  std::vector<std::pair<std::string, std::vector<Endpoint>>> clusters;
  std::function<void(routing::Listener&)> edit_listener = [](auto&) {};
  std::function<void(routing::HttpManager&)> edit_http = [](auto&) {};
  std::function<void(routing::TcpManager&)> edit_tcp = [](auto&) {};
  std::function<void(Cluster&)> edit_cluster = [](auto&) {};
  std::string host_fields;  ///< text of the virtual host besides its routes
};

inline std::shared_ptr<const routing::RouteTable> routes(const Setup& setup) {
  envoy::config::route::v3::RouteConfiguration parsed;
  std::string text = "name: 'r' virtual_hosts { name: 'h' domains: '*' " + setup.host_fields + " " + setup.routes + " }";
  REQUIRE_MESSAGE(google::protobuf::TextFormat::ParseFromString(text, &parsed), text);
  std::vector<Problem> unsupported;
  auto table = routing::RouteTable::compile(parsed, unsupported);
  REQUIRE_MESSAGE(table.has_value(), (table ? "" : table.error().to_text()));
  return *table;
}

inline std::shared_ptr<const Cluster> cluster(const Setup& setup, const std::string& name,
                                              const std::vector<Endpoint>& endpoints) {
  Cluster cluster;
  cluster.name = name;
  cluster.lb_policy = LbPolicy::round_robin;
  cluster.connect_timeout = 2s;
  cluster.endpoints = std::make_shared<EndpointSet>(EndpointSet{endpoints});
  setup.edit_cluster(cluster);
  return std::make_shared<Cluster>(cluster);
}

/// A worker that serves one listener.
class Lab {
 public:
  explicit Lab(const Setup& setup, WorkerOptions options = {}, unsigned workers = 1) {
    options.workers = workers;
    options.circuits = std::make_shared<CircuitRegistry>();
    options.server_first_wait = std::min<std::chrono::milliseconds>(options.server_first_wait, 20ms);
    SocketAddr address = *SocketAddr::parse("127.0.0.1:0");
    for (unsigned i = 0; i < workers; ++i) {
      auto fd = kernel::listen_tcp(address, 128, workers > 1);
      REQUIRE(fd);
      address = *kernel::local_address(fd->ref());
      std::vector<ListeningSocket> sockets;
      sockets.push_back({std::move(*fd), address});
      options.index = i;
      workers_.push_back(std::make_unique<Worker>(options, std::move(sockets), stats.add_worker()));
    }
    address_ = address;
    configure(setup);
    for (auto& worker : workers_) worker->start();
  }
  void configure(const Setup& setup) {
    auto config = std::make_shared<Config>();
    auto listener = std::make_shared<routing::Listener>();
    listener->name = "test";
    listener->address = address_;
    routing::AccessLogSpec log;
    log.path = log_path_;
    log.text = kLogFormat;
    routing::FilterChain chain;
    chain.name = "chain";
    chain.rule = {"ServiceEntry default/tcp", "tcp.yaml", 3};
    if (setup.routes.empty()) {
      routing::TcpManager tcp;
      tcp.stat_prefix = "tcp";
      for (const auto& [name, endpoints] : setup.clusters) tcp.clusters.push_back({.cluster = name, .weight = 1});
      if (tcp.clusters.empty()) tcp.clusters.push_back({.cluster = "none", .weight = 1});
      tcp.total_weight = static_cast<std::uint32_t>(tcp.clusters.size());
      tcp.access_logs = {log};
      setup.edit_tcp(tcp);
      chain.manager = tcp;
    } else {
      routing::HttpManager http;
      http.stat_prefix = "http";
      http.inline_routes = routes(setup);
      http.access_logs = {log};
      http.upgrades = {"websocket"};
      http.fault_filter = http.cors_filter = http.proxy_100_continue = true;
      setup.edit_http(http);
      chain.manager = http;
    }
    listener->default_chain = chain;
    setup.edit_listener(*listener);
    config->listeners = std::make_shared<routing::ListenerTable>(std::vector<std::shared_ptr<const routing::Listener>>{listener});
    for (const auto& [name, endpoints] : setup.clusters) config->clusters[name] = cluster(setup, name, endpoints);
    auto logs = AccessLogTable::compile(*config->listeners, files_);
    REQUIRE(logs);
    for (auto& worker : workers_) worker->set_config(config, *logs);
  }
  Peer dial() { return Peer::dial(address_); }
  const SocketAddr& address() const { return address_; }
  Worker& worker() { return *workers_.front(); }
  std::int64_t open_requests() const {
    std::int64_t sum = 0;
    for (const auto& worker : workers_) sum += worker->open_requests();
    return sum;
  }
  std::int64_t open_connections() const {
    std::int64_t sum = 0;
    for (const auto& worker : workers_) sum += worker->open_connections();
    return sum;
  }
  /// Waits until a record has come that is none of those read before.
  std::string next_record() {
    std::string record;
    bool came = eventually([&] {
      std::ifstream file(log_path_);
      file.seekg(static_cast<std::streamoff>(log_read_));
      return static_cast<bool>(std::getline(file, record)) && !file.eof();
    });
    REQUIRE(came);
    log_read_ += record.size() + 1;
    return record;
  }

  Stats stats{LocalWorkload{}};

 private:
  static constexpr const char* kLogFormat =
      "%REQ(:METHOD)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% in=%BYTES_RECEIVED% out=%BYTES_SENT% "
      "cluster=%UPSTREAM_CLUSTER% rule=\"%METADATA(ROUTE:weir:rule)%\"\n";
  std::string log_path_ = temporary_file();
  LogFiles files_{[](const Error& error) { FAIL_CHECK(error.to_text()); }};
  std::vector<std::unique_ptr<Worker>> workers_;
  SocketAddr address_;
  std::size_t log_read_ = 0;

  static std::string temporary_file() {
    char path[] = "/tmp/weir-test-XXXXXX";
    UniqueFd fd(::mkstemp(path));
    REQUIRE(fd);
    return path;
  }

 public:
  ~Lab() {
    workers_.clear();
    ::unlink(log_path_.c_str());
  }
};

/// Values that differ from run to run become "*".
inline std::string masked(std::string text) {
  static const std::regex kDate("(\r\ndate: )[^\r]*"), kTime("(\r\nx-envoy-upstream-service-time: )[^\r]*"),
      kId("(\r\nx-request-id: )[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  text = std::regex_replace(text, kDate, "$1*");
  text = std::regex_replace(text, kTime, "$1*");
  return std::regex_replace(text, kId, "$1*");
}

inline Endpoint endpoint(const Upstream& upstream) {
  Endpoint result;
  result.address = upstream.address();
  return result;
}

/// One cluster "a" with one endpoint, all paths to it.
inline Setup to(const Upstream& upstream, const std::string& action_fields = "", const std::string& route_fields = "") {
  Setup setup;
  setup.routes = "routes { match { prefix: '/' } route { cluster: 'a' timeout {} " + action_fields + " } " + route_fields + " }";
  setup.clusters = {{"a", {endpoint(upstream)}}};
  return setup;
}

}  // namespace weir::proxy::test
