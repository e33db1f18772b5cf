// SPDX-License-Identifier: Apache-2.0
// Client and server talk to each other while the rules change at random: the client must end with what the server has, and at
// no moment may a route name a cluster that is not there, or a listener a route table that is not there.
#include <doctest/doctest.h>

#include <deque>
#include <random>

#include "xds/ads_client.h"
#include "xds/ads_server.h"
#include "xds/node.h"
#include "xds/proto/core.pb.h"
#include "xds/resource_set.h"

using namespace weir;
using namespace weir::xds;
using namespace std::chrono_literals;

namespace {

/// A route table's virtual hosts are the clusters that it names; a listener's stat_prefix is its route table.
class Sink : public ResourceSink {
 public:
  Compiled compile(ResourceType type, const google::protobuf::Message& message, std::vector<Problem>&) override {
    Compiled compiled;
    if (type == ResourceType::cluster) compiled.needs = {resource_name(type, message)};
    if (const auto* listener = dynamic_cast<const envoy::config::listener::v3::Listener*>(&message))
      compiled.needs = {listener->stat_prefix()};
    return compiled;
  }
  void publish(const ActiveSet& active, const std::array<bool, kTypeCount>&) override {
    ++publishes;
    for (const auto& [name, accepted] : active.of(ResourceType::route)) {
      envoy::config::route::v3::RouteConfiguration table;
      REQUIRE(table.ParseFromString(accepted->resource->body));
      for (const auto& host : table.virtual_hosts()) {
        if (!active.of(ResourceType::cluster).contains(host.name()))
          missing.push_back(fmt::format("route {} names {}", name, host.name()));
      }
    }
    for (const auto& [name, accepted] : active.of(ResourceType::listener)) {
      if (!active.of(ResourceType::route).contains(accepted->needs.at(0))) missing.push_back(fmt::format("listener {}", name));
    }
  }
  int publishes = 0;
  std::vector<std::string> missing;
};

using Random = std::mt19937;

std::size_t below(Random& random, std::size_t limit) { return random() % limit; }

SnapshotPtr random_rules(Random& random, const SnapshotPtr& previous) {
  ResourceSet set;
  std::vector<std::string> clusters;
  for (char c = 'a'; c < 'i'; ++c) {
    if (below(random, 2) == 0) clusters.emplace_back(1, c);
  }
  for (const std::string& name : clusters) {
    auto& cluster = set.clusters.emplace_back();
    cluster.set_name(name);
    cluster.set_alt_stat_name(std::to_string(below(random, 2)));
    auto& assignment = set.endpoints.emplace_back();
    assignment.set_cluster_name(name);
    assignment.add_endpoints()->set_priority(static_cast<unsigned>(below(random, 3)));
  }
  for (const char* name : {"r", "s", "t"}) {
    auto& table = set.routes.emplace_back();
    table.set_name(name);
    for (const std::string& cluster : clusters) {
      if (below(random, 3) == 0) table.add_virtual_hosts()->set_name(cluster);
    }
    auto& listener = set.listeners.emplace_back();
    listener.set_name(std::string("l-") + name);
    listener.set_stat_prefix(set.routes[below(random, set.routes.size())].name());
    if (below(random, 4) == 0) set.listeners.pop_back();
  }
  return Snapshot::build(set, previous);
}

NodeIdentity identity() {
  NodeIdentity node;
  node.id = "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local";
  node.name = "web-1";
  node.ns = "shop";
  return node;
}

/// The two machines and the wire between them, on which messages take their time.
struct Talk {
  explicit Talk(unsigned seed) : random(seed) { connect(); }

  void connect() {
    server.emplace(AdsServerStream::Options{});
    to_server.clear();
    to_client.clear();
    client.on_open(now);
    server->set_snapshot(rules, now);
  }
  void collect() {
    for (std::string& message : client.take_requests()) to_server.push_back(std::move(message));
    for (std::string& message : server->take_responses()) to_client.push_back(std::move(message));
  }
  bool deliver_one() {
    collect();
    bool up = !to_server.empty() && (to_client.empty() || below(random, 2) == 0);
    auto& queue = up ? to_server : to_client;
    if (queue.empty()) return false;
    std::string message = std::move(queue.front());
    queue.pop_front();
    if (up) {
      REQUIRE(server->on_request(message, now));
    } else {
      REQUIRE(client.on_message(message, now));
    }
    return true;
  }
  void settle() {
    for (int rounds = 0; rounds < 100; ++rounds) {
      while (deliver_one()) {
      }
      now += 1s;
      client.on_time(now);
      server->on_time(now);
    }
  }

  Random random;
  TimePoint now{1h};
  Sink sink;
  AdsClient client{make_node(identity()), {}, sink, [] { return 0.5; }};
  std::optional<AdsServerStream> server;
  std::deque<std::string> to_server, to_client;
  SnapshotPtr rules = random_rules(random, nullptr);
};

}  // namespace

TEST_CASE("whatever changes and whenever the stream breaks, client and server agree in the end and nothing dangles meanwhile") {
  for (unsigned seed = 0; seed < 150; ++seed) {
    Talk talk(seed);
    for (int step = 0; step < 300; ++step) {
      std::size_t what = below(talk.random, 100);
      if (what < 8) {
        talk.rules = random_rules(talk.random, talk.rules);
        talk.server->set_snapshot(talk.rules, talk.now);
      } else if (what < 9) {
        talk.client.on_closed(talk.now);
        talk.connect();
      } else {
        talk.deliver_one();
      }
      talk.now += 1ms;
    }
    talk.settle();
    INFO("seed ", seed);
    CHECK(talk.client.is_ready());
    CHECK(talk.sink.missing == std::vector<std::string>());
    for (ResourceType type : kResourceTypes) {
      const AcceptedMap& active = talk.client.active().of(type);
      for (const auto& entry : active) {  // no structured binding: doctest's macros are lambdas
        const std::string& name = entry.first;
        auto it = talk.rules->of(type).find(name);
        REQUIRE_MESSAGE(it != talk.rules->of(type).end(), short_name(type), " ", name, " should be gone");
        CHECK_MESSAGE(it->second->body == entry.second->resource->body, short_name(type), " ", name, " is old");
      }
      if (is_wildcard(type)) CHECK(active.size() == talk.rules->of(type).size());
      CHECK(talk.server->status(type).nacked == 0);
    }
  }
}
