// SPDX-License-Identifier: Apache-2.0
// What the server answers, told as text: one line for each response.
#include <doctest/doctest.h>

#include "base/text.h"
#include "xds/ads_server.h"
#include "xds/proto/discovery.pb.h"
#include "xds/resource_set.h"

using namespace weir;
using namespace weir::xds;
using namespace std::chrono_literals;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;

namespace {

constexpr auto CDS = ResourceType::cluster, EDS = ResourceType::endpoints, LDS = ResourceType::listener,
               RDS = ResourceType::route;

/// "CDS: a b; EDS: a; LDS: l; RDS: r=1": names, with a mark that makes the content differ.
SnapshotPtr snapshot(std::string_view text, const SnapshotPtr& previous = nullptr) {
  ResourceSet set;
  for (std::string_view part : split(text, ';')) {
    part = trim(part);
    std::string_view kind = part.substr(0, part.find(':'));
    for (std::string_view item : split(part.substr(std::min(part.size(), part.find(':') + 1)), ' ')) {
      if (item.empty()) continue;
      std::string name(item.substr(0, item.find('=')));
      std::string mark(item.find('=') == std::string_view::npos ? "" : item.substr(item.find('=') + 1));
      if (kind == "CDS") {
        auto& cluster = set.clusters.emplace_back();
        cluster.set_name(name);
        cluster.set_alt_stat_name(mark);
      } else if (kind == "EDS") {
        auto& assignment = set.endpoints.emplace_back();
        assignment.set_cluster_name(name);
        if (!mark.empty()) assignment.add_endpoints()->set_priority(static_cast<unsigned>(mark.size()));
      } else if (kind == "LDS") {
        auto& listener = set.listeners.emplace_back();
        listener.set_name(name);
        listener.set_stat_prefix(mark);
      } else if (kind == "RDS") {
        auto& table = set.routes.emplace_back();
        table.set_name(name);
        if (!mark.empty()) table.add_virtual_hosts()->set_name(mark);
      }
    }
  }
  return Snapshot::build(set, previous);
}

struct World {
  TimePoint now{1h};
  AdsServerStream stream{{.control_plane = "weir"}};
  std::string last_nonce[kTypeCount];
  bool node_sent = false;

  std::string seen() {
    std::vector<std::string> lines;
    for (const std::string& bytes : stream.take_responses()) {
      DiscoveryResponse response;
      REQUIRE(response.ParseFromString(bytes));
      REQUIRE(response.control_plane().identifier() == "weir");
      ResourceType type = *parse_type_url(response.type_url());
      std::vector<std::string> names;
      for (const auto& any : response.resources()) {
        REQUIRE(any.type_url() == type_url(type));
        auto message = new_message(type);
        REQUIRE(message->ParseFromString(any.value()));
        names.push_back(resource_name(type, *message));
      }
      last_nonce[index(type)] = response.nonce();
      lines.push_back(fmt::format("{} {}", short_name(type), join(names, " ")));
    }
    return join(lines, "\n");
  }
  std::string ask(ResourceType type, const std::vector<std::string>& names = {}, const std::string& error = "",
                  const char* nonce = nullptr) {
    DiscoveryRequest request;
    request.set_type_url(std::string(type_url(type)));
    request.set_response_nonce(nonce != nullptr ? nonce : last_nonce[index(type)]);
    if (!std::exchange(node_sent, true)) request.mutable_node()->set_id("sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local");
    for (const std::string& name : names) request.add_resource_names(name);
    if (!error.empty()) request.mutable_error_detail()->set_message(error);
    REQUIRE(stream.on_request(request.SerializeAsString(), now));
    return seen();
  }
  std::string set(SnapshotPtr snapshot) {
    stream.set_snapshot(std::move(snapshot), now);
    return seen();
  }
  std::string wait(std::chrono::milliseconds time) {
    now += time;
    stream.on_time(now);
    return seen();
  }
};

/// A client that has everything of "CDS: a b; EDS: a b; LDS: l; RDS: r" and has acknowledged it.
SnapshotPtr bring_up(World& world) {
  SnapshotPtr first = snapshot("CDS: a b; EDS: a b; LDS: l; RDS: r");
  world.set(first);
  world.ask(CDS);
  world.ask(CDS);
  world.ask(EDS, {"a", "b"});
  world.ask(EDS, {"a", "b"});
  world.ask(LDS);
  world.ask(LDS);
  world.ask(RDS, {"r"});
  REQUIRE(world.ask(RDS, {"r"}) == "");
  return first;
}

}  // namespace

TEST_CASE("a new client gets what it asks for, each type after the former is answered") {
  World world;
  CHECK(world.set(snapshot("CDS: a b; EDS: a b; LDS: l; RDS: r")) == "");
  CHECK(world.ask(CDS) == "CDS a b");
  CHECK(world.stream.node()->ns == "shop");
  CHECK(world.ask(LDS) == "");  // waits for the answer to CDS
  CHECK(world.ask(CDS) == "");  // … and now for the endpoints of the new clusters
  CHECK(world.ask(EDS, {"a", "b"}) == "EDS a b");
  CHECK(world.ask(EDS, {"a", "b"}) == "LDS l");
  CHECK(world.ask(LDS) == "");
  CHECK(world.ask(RDS, {"r"}) == "RDS r");
  CHECK(world.ask(RDS, {"r"}) == "");
  CHECK(world.stream.status(RDS).acked_version == world.stream.status(RDS).sent_version);
}

TEST_CASE("a client that comes before its snapshot is answered when that is there") {
  World world;
  CHECK(world.ask(CDS) == "");
  CHECK(world.set(snapshot("CDS: a")) == "CDS a");
}

TEST_CASE("only what changed is pushed: whole sets for CDS and LDS, single names for EDS and RDS") {
  World world;
  auto first = bring_up(world);
  auto second = snapshot("CDS: a b; EDS: a=1 b; LDS: l; RDS: r", first);
  CHECK(world.set(second) == "EDS a");
  CHECK(world.ask(EDS, {"a", "b"}) == "");
  auto third = snapshot("CDS: a b; EDS: a=1 b; LDS: l; RDS: r=new", second);
  CHECK(world.set(third) == "RDS r");
  CHECK(world.ask(RDS, {"r"}) == "");
  auto fourth = snapshot("CDS: a=x b; EDS: a=1 b; LDS: l; RDS: r=new", third);
  CHECK(world.set(fourth) == "CDS a b");
}

TEST_CASE("equal content is the same snapshot and pushes nothing") {
  World world;
  auto first = bring_up(world);
  CHECK(snapshot("CDS: a b; EDS: a b; LDS: l; RDS: r", first) == first);
  CHECK(world.set(snapshot("CDS: a b; EDS: a b; LDS: l; RDS: r")) == "");
}

TEST_CASE("new clusters, endpoints and routes come in that order, each after the answer to the former") {
  World world;
  auto first = bring_up(world);
  CHECK(world.set(snapshot("CDS: a b c; EDS: a b c; LDS: l; RDS: r=c", first)) == "CDS a b c");
  CHECK(world.ask(CDS) == "");
  CHECK(world.ask(EDS, {"a", "b", "c"}) == "EDS a b c");  // all: the client may be warming changed clusters, too
  CHECK(world.ask(EDS, {"a", "b", "c"}) == "RDS r");
}

TEST_CASE("a client that asks for endpoints before it acknowledges CDS, as Envoy does, is answered in full") {
  World world;
  auto first = bring_up(world);
  CHECK(world.set(snapshot("CDS: a=x b; EDS: a b; LDS: l; RDS: r", first)) == "CDS a b");
  CHECK(world.ask(EDS, {"a", "b"}) == "");  // same names, same nonce: it warms a
  CHECK(world.ask(CDS) == "EDS a b");
}

TEST_CASE("LDS and RDS wait for the endpoints of new clusters only for the grace time") {
  World world;
  auto first = bring_up(world);
  CHECK(world.set(snapshot("CDS: a b c; EDS: a b c; LDS: l; RDS: r=c", first)) == "CDS a b c");
  CHECK(world.ask(CDS) == "");
  CHECK(world.stream.deadline() == world.now + 300ms);
  CHECK(world.wait(299ms) == "");
  CHECK(world.wait(1ms) == "RDS r");
}

TEST_CASE("a cluster that goes stays in CDS until the routes that may name it are acknowledged") {
  World world;
  auto first = bring_up(world);
  CHECK(world.set(snapshot("CDS: a; EDS: a; LDS: l; RDS: r=only-a", first)) == "RDS r");
  CHECK(world.ask(RDS, {"r"}) == "CDS a");
  SUBCASE("if something else in CDS changes, it is pushed with the old ones") {
    CHECK(world.ask(CDS) == "");
    auto now = snapshot("CDS: a; EDS: a; LDS: l; RDS: r=only-a");
    CHECK(world.set(snapshot("CDS: n; EDS: n; LDS: l; RDS: r=only-n", now)) == "CDS a n");
    CHECK(world.ask(CDS) == "");
    CHECK(world.ask(EDS, {"a", "n"}) == "EDS n");
    CHECK(world.ask(EDS, {"a", "n"}) == "RDS r");
    CHECK(world.ask(RDS, {"r"}) == "CDS n");
  }
}

TEST_CASE("a cluster that goes stays as long as the client refuses the routes that no longer name it") {
  World world;
  auto first = bring_up(world);
  CHECK(world.set(snapshot("CDS: a; EDS: a; LDS: l; RDS: r=only-a", first)) == "RDS r");
  CHECK(world.ask(RDS, {"r"}, "no such thing") == "");
  CHECK(world.stream.status(RDS).nack_message == "no such thing");
}

TEST_CASE("a cluster that goes alone goes at once") {
  World world;
  auto first = bring_up(world);
  CHECK(world.set(snapshot("CDS: a; EDS: a; LDS: l; RDS: r", first)) == "CDS a");
}

TEST_CASE("a refused version is noted and not sent again until something changes") {
  World world;
  auto first = bring_up(world);
  auto second = snapshot("CDS: a b; EDS: a b; LDS: l=bad; RDS: r", first);
  CHECK(world.set(second) == "LDS l");
  CHECK(world.ask(LDS, {}, "it is bad") == "");
  CHECK(world.stream.status(LDS).nacked == 1);
  CHECK(world.stream.status(LDS).nacked_version == second->version(LDS));
  CHECK(world.stream.status(LDS).acked_version == first->version(LDS));
  CHECK(world.stream.take_notes().at(0) == fmt::format("LDS version {} refused: it is bad", second->version(LDS)));
  CHECK(world.wait(1h) == "");
  CHECK(world.set(snapshot("CDS: a b; EDS: a b; LDS: l=good; RDS: r", second)) == "LDS l");
  CHECK(world.ask(LDS) == "");
  CHECK(world.stream.status(LDS).nack_message == "");
}

TEST_CASE("a slow client is owed only the newest state") {
  World world;
  auto last = bring_up(world);
  CHECK(world.set(last = snapshot("CDS: a b; EDS: a b; LDS: l; RDS: r=1", last)) == "RDS r");
  for (int i = 0; i < 100; ++i)
    CHECK(world.set(last = snapshot(fmt::format("CDS: a b; EDS: a b; LDS: l; RDS: r=v{}", i), last)) == "");
  CHECK(world.ask(RDS, {"r"}) == "RDS r");
  CHECK(world.ask(RDS, {"r"}) == "");
  CHECK(world.stream.status(RDS).acked_version == last->version(RDS));
}

TEST_CASE("a type that is never answered holds up the others for five seconds") {
  World world;
  auto first = bring_up(world);
  CHECK(world.set(snapshot("CDS: a=x b; EDS: a b; LDS: l; RDS: r=x", first)) == "CDS a b");
  CHECK(world.wait(4999ms) == "");
  CHECK(world.wait(1ms) == "RDS r");
}

TEST_CASE("a request with an overtaken nonce is ignored, and its ACK then stands for it") {
  World world;
  auto first = bring_up(world);
  std::string old_nonce = world.last_nonce[index(EDS)];
  CHECK(world.set(snapshot("CDS: a b; EDS: a=1 b; LDS: l; RDS: r", first)) == "EDS a");
  CHECK(world.ask(EDS, {"a", "b"}, "", old_nonce.c_str()) == "");
  CHECK(world.stream.status(EDS).acked == 1);
  CHECK(world.ask(EDS, {"a", "b"}) == "EDS a b");
  CHECK(world.ask(EDS, {"a", "b"}) == "");
}

TEST_CASE("new names are answered alone; names that were dropped and come back are answered again") {
  World world;
  world.set(snapshot("RDS: r s t"));
  CHECK(world.ask(RDS, {"r"}) == "RDS r");
  CHECK(world.ask(RDS, {"r"}) == "");
  CHECK(world.ask(RDS, {"r", "s"}) == "RDS s");
  CHECK(world.ask(RDS, {"r", "s"}) == "");
  CHECK(world.ask(RDS, {"s"}) == "");
  CHECK(world.ask(RDS, {"r", "s"}) == "RDS r");
}

TEST_CASE("a client may ask for single clusters and listeners by name") {
  World world;
  world.set(snapshot("CDS: a b; LDS: l m"));
  CHECK(world.ask(LDS, {"m"}) == "LDS m");
  CHECK(world.ask(LDS, {"m"}) == "");
  CHECK(world.ask(CDS, {"b"}) == "CDS b");
  CHECK(world.ask(CDS, {"b"}) == "");
  CHECK(world.ask(CDS, {"a", "b"}) == "CDS a b");
  CHECK(world.ask(CDS, {"a", "b"}) == "");
  CHECK(world.ask(CDS, {"*"}) == "CDS a b");
}

TEST_CASE("an empty set is an answer, too") {
  World world;
  world.set(snapshot(""));
  CHECK(world.ask(CDS) == "CDS ");
  CHECK(world.ask(CDS) == "");
  CHECK(world.ask(LDS) == "LDS ");
}

TEST_CASE("types that are not served are ignored and noted once") {
  World world;
  world.set(snapshot("CDS: a"));
  DiscoveryRequest request;
  request.mutable_node()->set_id("sidecar~10.0.0.1~a.b~d");
  request.set_type_url("type.googleapis.com/some.Thing");
  for (int i = 0; i < 3; ++i) CHECK(world.stream.on_request(request.SerializeAsString(), world.now));
  CHECK(world.seen() == "");
  CHECK(world.stream.take_notes().size() == 1);
}

TEST_CASE("requests that are no requests end the stream") {
  World world;
  CHECK_FALSE(world.stream.on_request("\xff\xff", world.now));
  DiscoveryRequest request;
  request.set_type_url(std::string(type_url(CDS)));
  CHECK(world.stream.on_request(request.SerializeAsString(), world.now).error().to_text() ==
        "the first request of a stream must carry the node");
  request.mutable_node()->set_id("me");
  CHECK(world.stream.on_request(request.SerializeAsString(), world.now).error().to_text() ==
        "node id \"me\" has 1 parts; want \"sidecar~IP~NAME.NAMESPACE~DOMAIN\"");
  request.mutable_node()->set_id("sidecar~10.0.0.1~a.b~d");
  for (int i = 0; i < 50'001; ++i) request.add_resource_names("x");
  CHECK_FALSE(world.stream.on_request(request.SerializeAsString(), world.now));
}
