// SPDX-License-Identifier: Apache-2.0
// What the client asks, applies and keeps, told as text: one line for each request and each publish.
#include <doctest/doctest.h>

#include "base/text.h"
#include "xds/ads_client.h"
#include "xds/proto/core.pb.h"
#include "xds/proto/cluster.pb.h"
#include "xds/proto/discovery.pb.h"
#include "xds/proto/endpoint.pb.h"
#include "xds/proto/listener.pb.h"
#include "xds/proto/route.pb.h"

using namespace weir;
using namespace weir::xds;
using namespace std::chrono_literals;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

namespace {

/// Stands for the proxy. A cluster's EDS name is its service_name; a listener's RDS names are its stat_prefix, by comma; a
/// resource with "bad" in alt_stat_name, stat_prefix or a virtual host's name is refused.
class Sink : public ResourceSink {
 public:
  Compiled compile(ResourceType type, const google::protobuf::Message& message, std::vector<Problem>& problems) override {
    Compiled compiled;
    bool bad = false;
    if (const auto* cluster = dynamic_cast<const envoy::config::cluster::v3::Cluster*>(&message)) {
      if (cluster->has_eds_cluster_config()) compiled.needs.push_back(cluster->eds_cluster_config().service_name());
      bad = cluster->alt_stat_name() == "bad";
      if (cluster->alt_stat_name() == "patient") compiled.fetch_timeout = 0ms;
    } else if (const auto* listener = dynamic_cast<const envoy::config::listener::v3::Listener*>(&message)) {
      for (std::string_view name : split(listener->stat_prefix(), ',')) {
        if (!name.empty()) compiled.needs.emplace_back(name);
      }
      bad = listener->stat_prefix() == "bad";
    } else if (const auto* table = dynamic_cast<const envoy::config::route::v3::RouteConfiguration*>(&message)) {
      bad = table->virtual_hosts_size() > 0 && table->virtual_hosts(0).name() == "bad";
    }
    if (bad) problems.push_back({Severity::error, {}, resource_name(type, message), "name", "it is bad", "make it good"});
    ++compiled_count;
    return compiled;
  }
  void publish(const ActiveSet& active, const std::array<bool, kTypeCount>& changed) override {
    std::string line = "publish";
    for (ResourceType type : kResourceTypes) {
      if (!changed[index(type)]) continue;
      line += fmt::format(" {}[", short_name(type));
      for (const auto& [name, accepted] : active.of(type))
        line += fmt::format("{}{}@{}", line.back() == '[' ? "" : " ", name, accepted->version);
      line += "]";
    }
    lines.push_back(line);
  }
  std::vector<std::string> lines;
  int compiled_count = 0;
};

/// A client with its sink and a clock that only we move.
struct World {
  Sink sink;
  TimePoint now{1h};
  double dice = 0.5;
  AdsClient client{node(), {}, sink, [this] { return dice; }};

  static envoy::config::core::v3::Node node() {
    envoy::config::core::v3::Node node;
    node.set_id("me");
    return node;
  }
  /// Requests and publishes since the last call, a line each.
  std::string seen() {
    std::vector<std::string> lines = std::exchange(sink.lines, {});
    for (const std::string& bytes : client.take_requests()) {
      DiscoveryRequest request;
      REQUIRE(request.ParseFromString(bytes));
      std::string line = fmt::format("{} v={} n={}", short_name(*parse_type_url(request.type_url())), request.version_info(),
                                     request.response_nonce());
      if (request.resource_names_size() > 0)
        line += " names=" + join({request.resource_names().begin(), request.resource_names().end()}, ",");
      if (request.has_node()) line += " node=" + request.node().id();
      if (request.has_error_detail())
        line += fmt::format(" error={}:{}", request.error_detail().code(), request.error_detail().message());
      lines.push_back(line);
    }
    return join(lines, "\n");
  }
  std::string open() {
    client.on_open(now);
    return seen();
  }
  std::string receive(ResourceType type, const std::string& version, const std::string& nonce,
                      const std::vector<const google::protobuf::Message*>& resources) {
    DiscoveryResponse response;
    response.set_type_url(std::string(type_url(type)));
    response.set_version_info(version);
    response.set_nonce(nonce);
    for (const auto* resource : resources) {
      auto& any = *response.add_resources();
      any.set_type_url(std::string(type_url(type)));
      any.set_value(resource->SerializeAsString());
    }
    REQUIRE(client.on_message(response.SerializeAsString(), now));
    return seen();
  }
  std::string wait(std::chrono::milliseconds time) {
    now += time;
    client.on_time(now);
    return seen();
  }
};

envoy::config::cluster::v3::Cluster cluster(const std::string& name, const std::string& eds = "",
                                            const std::string& remark = "") {
  envoy::config::cluster::v3::Cluster cluster;
  cluster.set_name(name);
  cluster.set_alt_stat_name(remark);
  if (!eds.empty()) cluster.mutable_eds_cluster_config()->set_service_name(eds);
  return cluster;
}
envoy::config::endpoint::v3::ClusterLoadAssignment endpoints(const std::string& name, unsigned priority = 0) {
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  assignment.set_cluster_name(name);
  if (priority > 0) assignment.add_endpoints()->set_priority(priority);
  return assignment;
}
envoy::config::listener::v3::Listener listener(const std::string& name, const std::string& routes = "") {
  envoy::config::listener::v3::Listener listener;
  listener.set_name(name);
  listener.set_stat_prefix(routes);
  return listener;
}
envoy::config::route::v3::RouteConfiguration routes(const std::string& name, const std::string& host = "") {
  envoy::config::route::v3::RouteConfiguration table;
  table.set_name(name);
  if (!host.empty()) table.add_virtual_hosts()->set_name(host);
  return table;
}

constexpr auto CDS = ResourceType::cluster, EDS = ResourceType::endpoints, LDS = ResourceType::listener,
               RDS = ResourceType::route;

/// Up to the point where one cluster a (EDS a), one listener l (RDS r) serve.
void bring_up(World& world) {
  auto c = cluster("a", "a");
  auto e = endpoints("a");
  auto l = listener("l", "r");
  auto r = routes("r");
  world.open();
  world.receive(CDS, "1", "n1", {&c});
  world.receive(EDS, "1", "n2", {&e});
  world.receive(LDS, "1", "n3", {&l});
  world.receive(RDS, "1", "n4", {&r});
  REQUIRE(world.client.is_ready());
}

}  // namespace

TEST_CASE("the client asks in the order CDS, EDS, LDS, RDS and names itself once") {
  World world;
  CHECK(world.open() == "CDS v= n= node=me");
  auto c = cluster("a", "svc-a");
  CHECK(world.receive(CDS, "1", "n1", {&c}) == "CDS v=1 n=n1\nEDS v= n= names=svc-a\nLDS v= n=");
  auto e = endpoints("svc-a");
  CHECK(world.receive(EDS, "1", "n2", {&e}) == "publish CDS[a@1] EDS[svc-a@1]\nEDS v=1 n=n2 names=svc-a");
  auto l = listener("l", "r");
  CHECK(world.receive(LDS, "7", "n3", {&l}) == "LDS v=7 n=n3\nRDS v= n= names=r");
  CHECK_FALSE(world.client.is_ready());
  auto r = routes("r");
  CHECK(world.receive(RDS, "9", "n4", {&r}) == "publish LDS[l@7] RDS[r@9]\nRDS v=9 n=n4 names=r");
  CHECK(world.client.is_ready());
}

TEST_CASE("a cluster waits for its endpoints, at most for the fetch timeout") {
  World world;
  world.open();
  auto a = cluster("a", "a"), plain = cluster("plain");
  CHECK(world.receive(CDS, "1", "n1", {&a, &plain}) == "publish CDS[plain@1]\nCDS v=1 n=n1\nEDS v= n= names=a\nLDS v= n=");
  CHECK(world.client.states(CDS)[0].warming != nullptr);
  CHECK(world.client.deadline() == world.now + 15s);
  CHECK(world.wait(14'999ms) == "");
  CHECK(world.wait(1ms) == "publish CDS[a@1 plain@1]");
}

TEST_CASE("a fetch timeout of zero waits for ever") {
  World world;
  world.open();
  auto a = cluster("a", "a", "patient");
  world.receive(CDS, "1", "n1", {&a});
  CHECK_FALSE(world.client.deadline());
  CHECK(world.wait(24h) == "");
}

TEST_CASE("no listener serves before the first clusters are warm") {
  World world;
  world.open();
  auto a = cluster("a", "a");
  world.receive(CDS, "1", "n1", {&a});
  auto l = listener("l");
  CHECK(world.receive(LDS, "1", "n2", {&l}) == "LDS v=1 n=n2");
  auto e = endpoints("a");
  CHECK(world.receive(EDS, "1", "n3", {&e}) == "publish CDS[a@1] EDS[a@1] LDS[l@1]\nEDS v=1 n=n3 names=a");
}

TEST_CASE("a listener that changes its route table keeps serving the old one until the new table is there") {
  World world;
  bring_up(world);
  auto l = listener("l", "r2");
  CHECK(world.receive(LDS, "2", "n5", {&l}) == "LDS v=2 n=n5\nRDS v=1 n=n4 names=r,r2");
  CHECK(world.client.active().of(LDS).at("l")->version == "1");
  auto r = routes("r2");
  CHECK(world.receive(RDS, "2", "n6", {&r}) == "publish LDS[l@2] RDS[r2@2]\nRDS v=2 n=n6 names=r2");
}

TEST_CASE("a bad resource is refused by name, the good ones of the same answer are applied, its old version stays") {
  World world;
  world.open();
  auto a = cluster("a"), b = cluster("b");
  world.receive(CDS, "1", "n1", {&a, &b});
  auto bad_a = cluster("a", "", "bad"), new_b = cluster("b", "", "x"), c = cluster("c");
  CHECK(world.receive(CDS, "2", "n2", {&bad_a, &new_b, &c}) ==
        "publish CDS[a@1 b@2 c@2]\nCDS v=1 n=n2 error=3:a: a: name: it is bad; make it good");
  auto states = world.client.states(CDS);
  CHECK(states[0].rejected_version == "2");
  CHECK(states[0].active->version == "1");
  CHECK(states[1].rejected_version == "");
  CHECK(world.client.version(CDS) == "1");
  CHECK(world.client.take_notes().size() == 1);
  SUBCASE("and a later good version heals it") {
    auto good_a = cluster("a", "", "y");
    CHECK(world.receive(CDS, "3", "n3", {&good_a, &new_b, &c}) == "publish CDS[a@3 b@2 c@2]\nCDS v=3 n=n3");
    CHECK(world.client.states(CDS)[0].rejected_why == "");
  }
}

TEST_CASE("a new resource that is bad from the start never serves and is forgotten when it goes") {
  World world;
  world.open();
  auto bad = cluster("a", "", "bad");
  CHECK(world.receive(CDS, "1", "n1", {&bad}) == "CDS v= n=n1 error=3:a: a: name: it is bad; make it good\nLDS v= n=");
  CHECK(world.client.states(CDS).size() == 1);
  CHECK(world.receive(CDS, "2", "n2", {}) == "CDS v=2 n=n2");
  CHECK(world.client.states(CDS).empty());
}

TEST_CASE("what a CDS or LDS answer does not name is deleted; EDS and RDS answers delete nothing") {
  World world;
  bring_up(world);
  auto c = cluster("b", "b"), a = cluster("a", "a");
  world.receive(CDS, "2", "n5", {&a, &c});
  auto e = endpoints("b");
  CHECK(world.receive(EDS, "2", "n6", {&e}) == "publish CDS[a@1 b@2] EDS[a@1 b@2]\nEDS v=2 n=n6 names=a,b");
  CHECK(world.receive(CDS, "3", "n7", {&c}) == "publish CDS[b@2] EDS[b@2]\nCDS v=3 n=n7\nEDS v=2 n=n6 names=b");
  CHECK(world.receive(LDS, "2", "n8", {}) == "publish LDS[] RDS[]\nLDS v=2 n=n8\nRDS v=1 n=n4");
}

TEST_CASE("an answer with a resource that cannot be read deletes nothing") {
  World world;
  world.open();
  auto a = cluster("a"), nameless = cluster("");
  world.receive(CDS, "1", "n1", {&a});
  CHECK(world.receive(CDS, "2", "n2", {&nameless}) == "CDS v=1 n=n2 error=3:a resource without a name");
  CHECK(world.client.active().of(CDS).size() == 1);
}

TEST_CASE("two resources of one name in an answer: the first counts and the answer is refused") {
  World world;
  world.open();
  auto a = cluster("a", "", "one"), again = cluster("a", "", "two");
  CHECK(world.receive(CDS, "1", "n1", {&a, &again}) ==
        "publish CDS[a@1]\nCDS v= n=n1 error=3:a: twice in one answer; the first counts\nLDS v= n=");
}

TEST_CASE("an unchanged resource is not compiled again and publishes nothing") {
  World world;
  world.open();
  auto a = cluster("a");
  world.receive(CDS, "1", "n1", {&a});
  CHECK(world.receive(CDS, "2", "n2", {&a}) == "CDS v=2 n=n2");
  CHECK(world.sink.compiled_count == 1);
}

TEST_CASE("endpoints that were not asked for are ignored") {
  World world;
  bring_up(world);
  auto e = endpoints("stranger"), known = endpoints("a", 1);
  CHECK(world.receive(EDS, "2", "n5", {&e, &known}) == "publish EDS[a@2]\nEDS v=2 n=n5 names=a");
  CHECK(world.client.take_notes().at(0).message == "stranger was not asked for; ignored");
}

TEST_CASE("a lost stream changes nothing that serves, and the next one asks for everything with the versions but no nonce") {
  World world;
  bring_up(world);
  world.client.on_closed(world.now);
  CHECK(world.seen() == "");
  CHECK(world.client.active().of(RDS).size() == 1);
  CHECK(world.client.is_ready());
  CHECK(world.open() == "CDS v=1 n= node=me\nEDS v=1 n= names=a\nLDS v=1 n=\nRDS v=1 n= names=r");
}

TEST_CASE("a cluster that goes while the client was away serves until the listeners and routes of the new stream are there") {
  World world;
  bring_up(world);
  world.client.on_closed(world.now);
  world.open();
  auto b = cluster("b");
  auto l = listener("l", "r");
  CHECK(world.receive(CDS, "2", "m1", {&b}) == "publish CDS[a@1 b@2]\nCDS v=2 n=m1");
  CHECK(world.receive(LDS, "1", "m2", {&l}) == "LDS v=1 n=m2");
  auto r = routes("r", "b");
  CHECK(world.receive(RDS, "2", "m3", {&r}) == "publish CDS[b@2] EDS[] RDS[r@2]\nRDS v=2 n=m3 names=r\nEDS v=1 n=");
}

TEST_CASE("reconnects back off from 500 ms to 30 s, the upper half of each step at random") {
  World world;
  auto delay = [&] {
    world.client.on_closed(world.now);
    return std::chrono::duration_cast<std::chrono::milliseconds>(world.client.reconnect_at() - world.now).count();
  };
  world.dice = 0;
  CHECK(delay() == 250);
  world.dice = 1;
  CHECK(delay() == 1000);
  world.dice = 0.5;
  CHECK(delay() == 1500);
  for (int i = 0; i < 40; ++i) delay();
  CHECK(delay() == 22'500);
  SUBCASE("a stream that brought something and lived comes back at once and starts anew") {
    world.open();
    auto a = cluster("a");
    world.receive(CDS, "1", "n1", {&a});
    world.now += 5s;
    CHECK(delay() == 0);
    CHECK(delay() == 375);
  }
  SUBCASE("a stream that brought something and ended soon waits for 2 s at most") {
    world.open();
    auto a = cluster("a");
    world.receive(CDS, "1", "n1", {&a});
    CHECK(delay() == 1500);
    world.open();
    CHECK(delay() == 3000);
  }
}

TEST_CASE("a server without clusters does not keep the listeners back for ever") {
  World world;
  world.open();
  CHECK(world.wait(15s) == "LDS v= n=");
  auto l = listener("l");
  CHECK(world.receive(LDS, "1", "n1", {&l}) == "publish LDS[l@1]\nLDS v=1 n=n1");
}

TEST_CASE("a stored set serves at once and is replaced by what the server says") {
  World first;
  bring_up(first);
  StoredSet set = first.client.stored();
  World second;
  CHECK(second.client.load(set, second.now) == 4);
  CHECK(second.seen() == "publish CDS[a@1] EDS[a@1] LDS[l@1] RDS[r@1]");
  CHECK(second.client.is_ready());
  CHECK(second.open() == "CDS v= n= node=me\nEDS v= n= names=a\nLDS v= n=\nRDS v= n= names=r");
  auto b = cluster("b");
  CHECK(second.receive(CDS, "5", "n1", {&b}) == "publish CDS[a@1 b@5]\nCDS v=5 n=n1");
}

TEST_CASE("bytes that are no answer and answers for types not asked for change nothing") {
  World world;
  world.open();
  CHECK_FALSE(world.client.on_message("\xff\xff\xff", world.now));
  DiscoveryResponse response;
  response.set_type_url("type.googleapis.com/some.Thing");
  CHECK(world.client.on_message(response.SerializeAsString(), world.now));
  response.set_type_url(std::string(type_url(RDS)));
  CHECK(world.client.on_message(response.SerializeAsString(), world.now));
  CHECK(world.seen() == "");
  CHECK(world.client.take_notes().size() == 2);
}

TEST_CASE("a resource of another type in an answer is refused") {
  World world;
  world.open();
  DiscoveryResponse response;
  response.set_type_url(std::string(type_url(CDS)));
  response.set_nonce("n1");
  response.add_resources()->set_type_url("type.googleapis.com/some.Thing");
  REQUIRE(world.client.on_message(response.SerializeAsString(), world.now));
  CHECK(world.seen() ==
        "CDS v= n=n1 error=3:a resource of type \"type.googleapis.com/some.Thing\" in an answer for CDS\nLDS v= n=");
}

TEST_CASE("a long refusal is cut between characters, so that the request stays readable") {
  World world;
  world.open();
  std::vector<envoy::config::cluster::v3::Cluster> clusters;
  for (int i = 0; i < 2000; ++i) clusters.push_back(cluster("ä" + std::to_string(i), "", "bad"));
  std::vector<const google::protobuf::Message*> all;
  for (const auto& one : clusters) all.push_back(&one);
  for (int shift = 0; shift < 3; ++shift) {
    clusters[0].set_name(std::string(static_cast<std::size_t>(shift + 1), 'x'));
    std::string said = world.receive(CDS, "1", "n" + std::to_string(shift), all);  // seen() parses the request
    CHECK(said.size() < 17 * 1024);
  }
}
