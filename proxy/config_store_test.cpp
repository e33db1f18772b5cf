// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "proxy/config_dump.h"
#include "proxy/config_store.h"
#include "proxy/yaml_message.h"
#include "xds/ads_client.h"
#include "xds/proto/bootstrap.pb.h"
#include "xds/resource_set.h"

using namespace weir;
using namespace weir::proxy;
using xds::ResourceType;

namespace {

template <class Message>
Message message_of(const std::string& yaml) {
  Message message;
  FieldLines lines;
  const std::vector<Problem> problems = read_yaml("test", yaml, message, lines);
  REQUIRE_MESSAGE(problems.empty(), to_text(problems));
  return message;
}

/// Plays AdsClient: compiles resources and publishes them as active.
struct Fixture {
  std::vector<std::shared_ptr<const Config>> published;
  ConfigStore store{{.check_listener = {}, .publish = [this](const auto& config) { published.push_back(config); }}};
  xds::ActiveSet active;

  std::vector<Problem> put(ResourceType type, const google::protobuf::Message& message) {
    std::vector<Problem> problems;
    xds::Compiled compiled = store.compile(type, message, problems);
    if (!has_errors(problems)) {
      auto accepted = std::make_shared<xds::Accepted>();
      accepted->compiled = compiled.value;
      accepted->resource = xds::make_resource(type, message);
      accepted->needs = compiled.needs;
      active.types[xds::index(type)][xds::resource_name(type, message)] = accepted;
    }
    return problems;
  }
  void publish() { store.publish(active, {true, true, true, true}); }
};

using CdsCluster = envoy::config::cluster::v3::Cluster;
using Assignment = envoy::config::endpoint::v3::ClusterLoadAssignment;

CdsCluster eds_cluster(const std::string& name) {
  return message_of<CdsCluster>(fmt::format(
      "{{name: {}, type: EDS, eds_cluster_config: {{eds_config: {{ads: {{}}}}, service_name: {}-eds}}}}", name, name));
}
Assignment assignment(const std::string& name, const std::string& ip) {
  return message_of<Assignment>(
      fmt::format("{{cluster_name: {}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: {}, "
                  "port_value: 80}}}}}}}}]}}]}}",
                  name, ip));
}

}  // namespace

TEST_CASE("a cluster is joined with its endpoints; what did not change is the same object") {
  Fixture fixture;
  fixture.put(ResourceType::cluster, eds_cluster("a"));
  fixture.put(ResourceType::cluster, eds_cluster("b"));
  fixture.put(ResourceType::endpoints, assignment("a-eds", "10.0.0.1"));
  fixture.put(ResourceType::endpoints, assignment("b-eds", "10.0.0.2"));
  fixture.publish();
  const auto first = fixture.store.config();
  REQUIRE(first->cluster("a") != nullptr);
  CHECK(first->cluster("a")->endpoints->endpoints.at(0).address.to_text() == "10.0.0.1:80");
  fixture.put(ResourceType::endpoints, assignment("b-eds", "10.0.0.3"));
  fixture.publish();
  const auto second = fixture.store.config();
  CHECK(second->generation > first->generation);
  CHECK(second->cluster("a") == first->cluster("a"));
  CHECK(second->cluster("b") != first->cluster("b"));
  CHECK(second->cluster("b")->endpoints->endpoints.at(0).address.to_text() == "10.0.0.3:80");
  CHECK(second->listeners == first->listeners);
}

TEST_CASE("a compiled cluster says which endpoints it waits for, and for how long") {
  Fixture fixture;
  CdsCluster cluster = eds_cluster("a");
  std::vector<Problem> problems;
  CHECK(fixture.store.compile(ResourceType::cluster, cluster, problems).needs == std::vector<std::string>{"a-eds"});
  cluster.mutable_eds_cluster_config()->mutable_eds_config()->mutable_initial_fetch_timeout();  // 0s: for ever
  CHECK(fixture.store.compile(ResourceType::cluster, cluster, problems).fetch_timeout == std::chrono::milliseconds(0));
}

TEST_CASE("a field without effect is told once, however many clusters have it, and listed for each") {
  Fixture fixture;
  for (const char* name : {"a", "b", "c"}) {
    CdsCluster cluster = eds_cluster(name);
    cluster.mutable_outlier_detection()->mutable_consecutive_5xx()->set_value(5);
    CHECK(fixture.put(ResourceType::cluster, cluster).empty());
  }
  CHECK(fixture.store.take_new_warnings().size() == 1);
  CHECK(fixture.store.take_new_warnings().empty());
  CHECK(fixture.store.unsupported().size() == 3);
  fixture.active.types[0].erase("a");
  fixture.put(ResourceType::cluster, eds_cluster("b"));
  fixture.publish();
  REQUIRE(fixture.store.unsupported().size() == 1);
  CHECK(to_text(fixture.store.unsupported()[0]) ==
        "warning: Cluster \"c\": outlier_detection: is not implemented: it has no effect");
}

TEST_CASE("static resources stay beside what xDS brings") {
  Fixture fixture;
  const auto resources =
      message_of<envoy::config::bootstrap::v3::Bootstrap_StaticResources>("clusters: [{name: s, type: STATIC}]");
  CHECK(fixture.store.set_static(resources).empty());
  CHECK(fixture.published.size() == 1);
  fixture.put(ResourceType::cluster, eds_cluster("a"));
  fixture.publish();
  CHECK(fixture.store.config()->cluster("s") != nullptr);
  CHECK(fixture.store.config()->cluster("a") != nullptr);
}

TEST_CASE("config_dump: Envoy's sections, one list by its name, names by expression, bad questions refused") {
  Fixture fixture;
  const auto bootstrap = message_of<envoy::config::bootstrap::v3::Bootstrap>(
      "{node: {id: n}, static_resources: {clusters: [{name: s1, type: STATIC}, {name: s2, type: STATIC}]}}");
  const DumpSource source{bootstrap, nullptr, *fixture.store.config(), {}, {}, {}};
  const auto whole = config_dump(source, {});
  REQUIRE(whole);
  std::size_t last = 0;
  for (const char* type :
       {"BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump", "unsupported"}) {
    CAPTURE(type);
    const std::size_t at = whole->find(type);
    CHECK(at != std::string::npos);
    CHECK(at > last);
    last = at;
  }
  CHECK(whole->find("EndpointsConfigDump") == std::string::npos);
  CHECK(config_dump(source, {.include_eds = true})->find("EndpointsConfigDump") != std::string::npos);
  const auto list = config_dump(source, {.resource = "static_clusters", .name_regex = "s[2-9]"});
  REQUIRE(list);
  CAPTURE(*list);
  CHECK(list->find("\"s2\"") != std::string::npos);
  CHECK(list->find("\"s1\"") == std::string::npos);
  CHECK(!config_dump(source, {.resource = "nonsense"}));
  CHECK(!config_dump(source, {.name_regex = "("}));
}
