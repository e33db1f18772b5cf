// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/test_golden.h"
#include "proxy/cluster_compile.h"
#include "proxy/yaml_message.h"
#include "xds/proto/cluster.pb.h"
#include "xds/proto/endpoint.pb.h"

using namespace weir;
using namespace weir::proxy;

namespace {

envoy::config::cluster::v3::Cluster cluster_of(const std::string& yaml) {
  envoy::config::cluster::v3::Cluster cluster;
  FieldLines lines;
  const std::vector<Problem> problems = read_yaml("test", yaml, cluster, lines);
  REQUIRE_MESSAGE(problems.empty(), to_text(problems));
  return cluster;
}

struct Compiled {
  std::shared_ptr<const Cluster> cluster;
  std::vector<Problem> problems;
};
Compiled compile(const std::string& yaml) {
  Compiled compiled;
  compiled.cluster = compile_cluster(cluster_of(yaml), compiled.problems);
  return compiled;
}

constexpr const char* kIstiod = R"(
name: outbound|80|v1|reviews.shop.svc.cluster.local
alt_stat_name: "outbound|80|v1|reviews.shop.svc.cluster.local;"
type: EDS
eds_cluster_config:
  eds_config: {ads: {}, initial_fetch_timeout: 0s, resource_api_version: V3}
  service_name: outbound|80|v1|reviews.shop.svc.cluster.local
connect_timeout: 10s
lb_policy: LEAST_REQUEST
circuit_breakers: {thresholds: [{max_connections: 4294967295, max_pending_requests: 4294967295, max_requests: 4294967295, max_retries: 4294967295}]}
common_lb_config: {healthy_panic_threshold: {}}
metadata:
  filter_metadata:
    istio:
      config: /apis/networking.istio.io/v1/namespaces/shop/destination-rule/versions-reviews
      services: [{host: reviews.shop.svc.cluster.local, name: reviews, namespace: shop}]
      subset: v1
)";

}  // namespace

TEST_CASE("a cluster as istiod sends it compiles without a word") {
  const Compiled compiled = compile(kIstiod);
  CHECK(to_text(compiled.problems) == "");
  REQUIRE(compiled.cluster);
  const Cluster& cluster = *compiled.cluster;
  CHECK(cluster.type == ClusterType::eds);
  CHECK(cluster.eds_service_name == "outbound|80|v1|reviews.shop.svc.cluster.local");
  CHECK(cluster.lb_policy == LbPolicy::least_request);
  CHECK(cluster.connect_timeout == std::chrono::seconds(10));
  CHECK(cluster.limits.max_retries == UINT32_MAX);
  CHECK(cluster.rule.rule == "DestinationRule shop/versions-reviews");
  CHECK(cluster.service == ServiceLabels{"reviews.shop.svc.cluster.local", "reviews", "shop"});
  CHECK(cluster.endpoints->endpoints.empty());
}

TEST_CASE("the rule that weir's agent names wins over istio's config") {
  const Compiled compiled = compile(R"(
name: c
type: STATIC
metadata:
  filter_metadata:
    weir: {rule: DestinationRule default/x, file: rules/x.yaml, line: 7}
    istio: {config: /apis/a/v1/namespaces/b/destination-rule/c}
)");
  REQUIRE(compiled.cluster);
  CHECK(compiled.cluster->rule == RuleRef{"DestinationRule default/x", "rules/x.yaml", 7});
}

TEST_CASE("what is not said is as Envoy has it") {
  const Compiled compiled = compile("{name: c, type: STATIC}");
  REQUIRE(compiled.cluster);
  CHECK(compiled.cluster->connect_timeout == std::chrono::seconds(5));
  CHECK(compiled.cluster->lb_policy == LbPolicy::round_robin);
  CHECK(compiled.cluster->limits.max_connections == 1024);
  CHECK(compiled.cluster->limits.max_pending_requests == 1024);
  CHECK(compiled.cluster->limits.max_requests == 1024);
  CHECK(compiled.cluster->limits.max_retries == 3);
  CHECK(compiled.cluster->protocol == UpstreamProtocol::http1);
  CHECK(compiled.cluster->service.name == "c");
}

TEST_CASE("an inbound source of 127.0.0.6 has ::6 as its twin") {
  const Compiled compiled = compile(R"(
name: inbound|8080||
type: ORIGINAL_DST
lb_policy: CLUSTER_PROVIDED
cleanup_interval: 9223372035s
upstream_bind_config: {source_address: {address: 127.0.0.6, port_value: 0}}
)");
  REQUIRE_MESSAGE(compiled.cluster, to_text(compiled.problems));
  CHECK(compiled.problems.empty());
  CHECK(compiled.cluster->bind4->to_text() == "127.0.0.6");
  CHECK(compiled.cluster->bind6->to_text() == "::6");
}

TEST_CASE("protocol options decide protocol, idle time and requests a connection") {
  struct Row {
    const char* options;
    UpstreamProtocol protocol;
  };
  const Row rows[] = {
      {"explicit_http_config: {http2_protocol_options: {}}", UpstreamProtocol::http2},
      {"explicit_http_config: {http_protocol_options: {}}", UpstreamProtocol::http1},
      {"use_downstream_protocol_config: {}", UpstreamProtocol::as_downstream},
  };
  for (const Row& row : rows) {
    CAPTURE(row.options);
    const Compiled compiled = compile(fmt::format(R"({{name: c, type: STATIC, typed_extension_protocol_options: {{
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {{
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions,
        common_http_protocol_options: {{idle_timeout: 300s, max_requests_per_connection: 7}}, {}}}}}}})",
                                                  row.options));
    REQUIRE_MESSAGE(compiled.cluster, to_text(compiled.problems));
    CHECK(compiled.cluster->protocol == row.protocol);
    CHECK(compiled.cluster->idle_timeout == std::chrono::seconds(300));
    CHECK(compiled.cluster->max_requests_per_connection == 7);
  }
}

TEST_CASE("static endpoints: addresses of both families, health, weight, priority, workload") {
  const Compiled compiled = compile(R"(
name: c
type: STATIC
load_assignment:
  cluster_name: c
  endpoints:
  - lb_endpoints:
    - endpoint:
        address: {socket_address: {address: 10.0.0.1, port_value: 80}}
        additional_addresses: [{address: {socket_address: {address: "fd00::7", port_value: 80}}}]
      load_balancing_weight: 3
      metadata: {filter_metadata: {istio: {workload: "reviews-v1;shop;reviews;v1;Kubernetes"}}}
    - endpoint: {address: {socket_address: {address: "fd00::1", port_value: 80}}}
      health_status: DRAINING
  - priority: 1
    lb_endpoints:
    - endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 81}}}
      health_status: UNHEALTHY
    - endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}
)");
  REQUIRE_MESSAGE(compiled.cluster, to_text(compiled.problems));
  const std::vector<Endpoint>& endpoints = compiled.cluster->endpoints->endpoints;
  REQUIRE(endpoints.size() == 3);  // the repeated address is one endpoint
  CHECK(endpoints[0].address.to_text() == "10.0.0.1:80");
  REQUIRE(endpoints[0].additional.size() == 1);
  CHECK(endpoints[0].additional[0].to_text() == "[fd00::7]:80");
  CHECK(endpoints[0].weight == 3);
  CHECK(endpoints[0].workload == "reviews-v1;shop;reviews;v1;Kubernetes");
  CHECK(endpoints[1].address.to_text() == "[fd00::1]:80");
  CHECK(endpoints[1].health == Health::draining);
  CHECK(endpoints[2].priority == 1);
  CHECK(endpoints[2].health == Health::unhealthy);
}

TEST_CASE("wrong clusters are refused and half-understood ones reported, each with its field") {
  std::string out;
  std::istringstream cases(test::read_text(std::filesystem::path(WEIR_TESTDATA) / "clusters.yaml"));
  std::string line, yaml;
  auto flush = [&] {
    if (yaml.find_first_not_of(" \n") == std::string::npos) return;
    const Compiled compiled = compile(yaml);
    CHECK((compiled.cluster == nullptr) == has_errors(compiled.problems));
    out += fmt::format("{}{}\n\n", compiled.cluster ? "taken\n" : "refused\n", to_text(compiled.problems));
  };
  while (std::getline(cases, line)) {
    if (line.rfind("# ", 0) == 0 && line.find("SPDX") == std::string::npos) out += line + "\n";
    if (line == "---") {
      flush();
      yaml.clear();
    } else {
      yaml += line + "\n";
    }
  }
  flush();
  test::check_golden(std::filesystem::path(WEIR_TESTDATA) / "clusters.expected", out);
}
