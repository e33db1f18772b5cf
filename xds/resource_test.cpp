// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "xds/node.h"
#include "xds/proto/core.pb.h"
#include "xds/resource_set.h"
#include "xds/resource_store.h"
#include "xds/snapshot.h"

using namespace weir;
using namespace weir::xds;

namespace {

StoredSet sample() {
  StoredSet set;
  set.node_id = "sidecar~10.0.0.1~a.b~c";
  for (ResourceType type : kResourceTypes) {
    auto resource = std::make_shared<Resource>();
    resource->name = std::string(short_name(type));
    resource->body = std::string("body\0of", 7) + resource->name;
    set.types[index(type)].push_back({resource, "v1"});
  }
  return set;
}

}  // namespace

TEST_CASE("a stored set comes back as it was") {
  auto back = decode(encode(sample()));
  REQUIRE(back);
  CHECK(back->node_id == "sidecar~10.0.0.1~a.b~c");
  for (ResourceType type : kResourceTypes) {
    const auto& items = back->types[index(type)];
    REQUIRE(items.size() == 1);
    CHECK(items[0].resource->name == short_name(type));
    CHECK(items[0].resource->body == std::string("body\0of", 7) + items[0].resource->name);
    CHECK(items[0].version == "v1");
  }
}

TEST_CASE("a stored set that is cut short or changed anywhere is refused") {
  std::string bytes = encode(sample());
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode(std::string_view(bytes).substr(0, size)));
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    CHECK_FALSE(decode(damaged));
  }
  CHECK_FALSE(decode(bytes + "x"));
}

TEST_CASE("versions follow content, not order or who made it") {
  ResourceSet one, two;
  for (const char* name : {"a", "b"}) one.clusters.emplace_back().set_name(name);
  for (const char* name : {"b", "a"}) two.clusters.emplace_back().set_name(name);
  CHECK(Snapshot::build(one, nullptr)->version(ResourceType::cluster) ==
        Snapshot::build(two, nullptr)->version(ResourceType::cluster));
  two.clusters[0].set_alt_stat_name("x");
  CHECK(Snapshot::build(one, nullptr)->version(ResourceType::cluster) !=
        Snapshot::build(two, nullptr)->version(ResourceType::cluster));
}

TEST_CASE("a snapshot shares what did not change with the former") {
  ResourceSet set;
  set.clusters.emplace_back().set_name("a");
  set.clusters.emplace_back().set_name("b");
  auto first = Snapshot::build(set, nullptr);
  set.clusters[1].set_alt_stat_name("x");
  auto second = Snapshot::build(set, first);
  CHECK(first->of(ResourceType::cluster).at("a") == second->of(ResourceType::cluster).at("a"));
  CHECK(first->of(ResourceType::cluster).at("b") != second->of(ResourceType::cluster).at("b"));
}

TEST_CASE("equal messages with maps serialise alike") {
  envoy::config::route::v3::RouteConfiguration one, two;
  for (int i = 0; i < 50; ++i) (*one.mutable_typed_per_filter_config())[std::to_string(i)];
  for (int i = 49; i >= 0; --i) (*two.mutable_typed_per_filter_config())[std::to_string(i)];
  CHECK(make_resource(ResourceType::route, one)->body == make_resource(ResourceType::route, two)->body);
}

TEST_CASE("a node id tells who and where; metadata tells labels and further addresses") {
  NodeIdentity identity;
  identity.id = "sidecar~10.0.0.5~web.v1-abc.shop~shop.svc.cluster.local";
  identity.type = "sidecar";
  identity.ips = {*IpAddr::parse("10.0.0.5"), *IpAddr::parse("fd00::5")};
  identity.name = "web.v1-abc";
  identity.ns = "shop";
  identity.domain = "shop.svc.cluster.local";
  identity.cluster = "web.shop";
  identity.labels = {{"app", "web"}, {"version", "v1"}};
  identity.user_agent = "weir 0.1.0";
  auto back = parse_node(make_node(identity));
  REQUIRE(back);
  CHECK(*back == identity);
}

TEST_CASE("a bad node id is refused with its value") {
  auto error = [](const char* id) {
    envoy::config::core::v3::Node node;
    node.set_id(id);
    auto identity = parse_node(node);
    return identity ? std::string("accepted") : identity.error().to_text();
  };
  CHECK(error("") == "node id \"\" has 1 parts; want \"sidecar~IP~NAME.NAMESPACE~DOMAIN\"");
  CHECK(error("sidecar~1.2.3~a.b~c").find("second part") != std::string::npos);
  CHECK(error("sidecar~1.2.3.4~a~c") == "node id \"sidecar~1.2.3.4~a~c\": third part \"a\" is not NAME.NAMESPACE");
  CHECK(error("sidecar~1.2.3.4~a.b~c") == "accepted");
  CHECK(error(std::string(600, 'x').c_str()) == "node id has 600 bytes, at most 512");
}
