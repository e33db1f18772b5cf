// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/test_golden.h"
#include "mesh-rules/fields.h"
#include "mesh-rules/mesh_config.h"
#include "mesh-rules/resolve.h"
#include "mesh-rules/store.h"

using namespace weir;
using namespace weir::mesh;

namespace {

const std::filesystem::path kData = WEIR_TESTDATA;

std::shared_ptr<const ParsedFile> file(std::string_view name, std::string_view text) {
  return std::make_shared<ParsedFile>(parse(name, text));
}

std::shared_ptr<const Store> store_of(const Store* previous, std::vector<std::shared_ptr<const ParsedFile>> files,
                                      std::vector<Problem>* out = nullptr) {
  std::vector<Problem> problems;
  auto store = Store::build(previous, files, problems);
  if (out != nullptr) *out = problems;
  return store;
}

std::string service(std::string_view name, std::string_view spec = "ports: [{port: 80}]") {
  return fmt::format("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {}}}\nspec: {{{}}}\n", name, spec);
}

std::string names(const Store& store) {
  std::string text;
  for (const auto& s : store.services()) text += s->meta.name() + fmt::format(":{} ", s->ports.empty() ? 0 : s->ports[0].port);
  return text;
}

VirtualService virtual_service(std::string_view spec) {
  ParsedFile parsed =
      parse("vs.yaml",
            fmt::format("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n{}\n", spec));
  REQUIRE_MESSAGE(parsed.objects.size() == 1, to_text(parsed.problems));
  return *std::get<std::shared_ptr<const VirtualService>>(parsed.objects[0]);
}

}  // namespace

TEST_CASE("a name that is there twice is read once, and problems name the line of what was read") {
  const ParsedFile parsed = parse("dr.yaml", R"(apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: a
  subsets:
  - name: v1
  subsets:
  - name: v1
  - name: v1
  trafficPolicy:
    outlierDetection:
      maxEjectionPercent:
      maxEjectionPercent: 110
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: b}
spec:
  host: b
  subsets:
  -
  - name: v1
  - name: v1
  exportTo:
  -
  - no way
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: c}
spec: {hosts: [c], http: [{route: [{destination: {host: c}}]}]}
spec: {hosts: [no way]}
---
apiVersion: v1
kind: Service
metadata: {name: d}
spec:
  ports: [{port: 80}]
  ports: [{port: 70000}]
spec: {ports: [{port: 81}]}
)");
  CHECK(to_text(parsed.problems) ==
        "dr.yaml:8: DestinationRule default/a: spec.subsets: the key is given already in line 6; remove one of them\n"
        "dr.yaml:14: DestinationRule default/a: spec.trafficPolicy.outlierDetection.maxEjectionPercent: the key is given already "
        "in "
        "line 13; remove one of them\n"
        "dr.yaml:23: DestinationRule default/b: spec.subsets[0]: an empty list item; remove the dash or fill it in\n"
        "dr.yaml:24: DestinationRule default/b: spec.subsets[1].name: subset \"v1\" is defined already in line 23; rename one of "
        "them\n"
        "dr.yaml:27: DestinationRule default/b: spec.exportTo: \"no way\" is not a namespace; use a name, \".\", \"*\" or \"~\"\n"
        "dr.yaml:27: DestinationRule default/b: spec.exportTo[0]: an empty list item; remove the dash or fill it in\n"
        "dr.yaml:33: VirtualService default/c: spec: the key is given already in line 32; remove one of them\n"
        "dr.yaml:33: VirtualService default/c: spec: no routes; give http, tls or tcp\n"
        "dr.yaml:33: VirtualService default/c: spec.hosts[0]: \"no way\" is not a host name; write reviews, "
        "reviews.default.svc.cluster.local or *.example.com\n"
        "dr.yaml:40: Service default/d: spec.ports: the key is given already in line 39; remove one of them\n"
        "dr.yaml:40: Service default/d: spec.ports[0].port: 70000 is out of range; use 1 to 65535\n"
        "dr.yaml:41: Service default/d: spec: the key is given already in line 38; remove one of them");
}

TEST_CASE("every problem of a bad file is told at once, with file, line, object, field, value and what would be right") {
  for (const char* name : {"not_yaml", "kinds", "fields", "texts", "cross", "bombs"}) {
    std::string yaml = std::string(name) + ".yaml";
    std::vector<Problem> problems;
    auto store = store_of(nullptr, {file(yaml, test::read_text(kData / "problems" / yaml))}, &problems);
    for (Problem& problem : validate(*store, "cluster.local")) problems.push_back(std::move(problem));
    sort_problems(problems);
    CHECK_FALSE(problems.empty());
    test::check_golden(kData / "problems" / (std::string(name) + ".expected"), to_text(problems) + "\n");
  }
}

TEST_CASE("a MeshConfig's problems are told all at once") {
  ParsedMeshConfig parsed = parse_mesh_config("mesh_config.yaml", test::read_text(kData / "problems/mesh_config.yaml"));
  test::check_golden(kData / "problems/mesh_config.expected", to_text(parsed.problems) + "\n");
}

TEST_CASE("the table of supported fields in the docs is what the code reads") {
  test::check_golden(kData / "fields.md", describe_fields());
}

TEST_CASE("a MeshConfig is read, and an empty one is the default") {
  ParsedMeshConfig parsed = parse_mesh_config(
      "m",
      "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\naccessLogFile: /dev/stdout\naccessLogEncoding: JSON\nconnectTimeout: 1s\n");
  CHECK(to_text(parsed.problems) == "");
  CHECK(parsed.config.outbound == MeshConfig::OutboundPolicy::registry_only);
  CHECK(parsed.config.access_log_file == "/dev/stdout");
  CHECK(parsed.config.log_encoding == MeshConfig::LogEncoding::json);
  CHECK(parsed.config.connect_timeout == std::chrono::seconds(1));
  CHECK(parse_mesh_config("m", "").config.outbound == MeshConfig::OutboundPolicy::allow_any);
}

TEST_CASE("a short host gets the namespace of its rule, a dotted one stays") {
  struct Row {
    const char *host, *full;
  };
  for (const Row& row : {Row{"reviews", "reviews.shop.svc.cluster.local"}, Row{"reviews.prod", "reviews.prod"}, Row{"*", "*"},
                         Row{"*.example.com", "*.example.com"}, Row{"Example.COM", "example.com"}, Row{"10.0.0.1", "10.0.0.1"},
                         Row{"fd00::1", "fd00::1"}}) {
    CAPTURE(row.host);
    CHECK(full_host(row.host, "shop", "cluster.local") == row.full);
  }
}

TEST_CASE("a wildcard covers longer names only") {
  struct Row {
    const char *pattern, *host;
    bool covered;
  };
  for (const Row& row : {Row{"*.foo.com", "a.foo.com", true}, Row{"*.foo.com", "foo.com", false}, Row{"*", "foo.com", true},
                         Row{"*.com", "*.foo.com", true}, Row{"*.foo.com", "*.com", false}, Row{"foo.com", "*.com", false},
                         Row{"foo.com", "foo.com", true}, Row{"*.foo.com", "*.foo.com", true}}) {
    CAPTURE(row.pattern);
    CAPTURE(row.host);
    CHECK(covers(row.pattern, row.host) == row.covered);
  }
}

TEST_CASE("exact hosts are more specific than wildcards, longer than shorter, then alphabetical") {
  CHECK(more_specific("a.com", "*.bbbbbb.com"));
  CHECK(more_specific("*.foo.com", "*.com"));
  CHECK(more_specific("a.com", "b.com"));
  CHECK_FALSE(more_specific("b.com", "a.com"));
}

TEST_CASE("exportTo decides who sees an object") {
  CHECK(visible({}, "a", "b"));
  CHECK(visible({"*"}, "a", "b"));
  CHECK(visible({"."}, "a", "a"));
  CHECK_FALSE(visible({"."}, "a", "b"));
  CHECK(visible({"b"}, "a", "b"));
  CHECK_FALSE(visible({"~"}, "a", "a"));
}

TEST_CASE("each route, match and destination knows its own line") {
  VirtualService rule = virtual_service(
      "  hosts: [reviews]\n"                              // 5
      "  http:\n"                                         // 6
      "  - match:\n"                                      // 7
      "    - headers: {end-user: {exact: jason}}\n"       // 8
      "    - uri:\n"                                      // 9
      "        prefix: /x\n"                              // 10
      "    route:\n"                                      // 11
      "    - destination: {host: reviews, subset: v2}\n"  // 12
      "  - route:\n"                                      // 13
      "    - destination: {host: reviews}");              // 14
  CHECK(rule.meta.where.line == 1);
  CHECK(rule.http[0].where.line == 7);
  CHECK(rule.http[0].match[0].where.line == 8);
  CHECK(rule.http[0].match[1].where.line == 9);
  CHECK(rule.http[0].route[0].destination.where.line == 12);
  CHECK(rule.http[1].where.line == 13);
}

TEST_CASE("absent, empty and star matches mean presence, and a catch-all match on a pseudo-header is none") {
  VirtualService rule = virtual_service(
      "  hosts: [reviews]\n  http:\n  - match: [{headers: {a: {}, b: {regex: \"*\"}, c: {exact: x}, d: }, method: {}}]\n"
      "    route: [{destination: {host: reviews}}]");
  const HttpMatch& match = rule.http[0].match[0];
  CHECK(match.headers.at("a").kind == StringMatch::Kind::presence);
  CHECK(match.headers.at("b").kind == StringMatch::Kind::presence);
  CHECK(match.headers.at("c").kind == StringMatch::Kind::exact);
  CHECK(match.headers.at("d").kind == StringMatch::Kind::presence);
  CHECK_FALSE(match.method.has_value());
}

TEST_CASE("a mirror's share is its own, the old percentage's, or all") {
  VirtualService rule = virtual_service(
      "  hosts: [reviews]\n  http:\n"
      "  - {route: [{destination: {host: a}}], mirror: {host: m}, mirrorPercentage: {value: 0.5}, name: x, match: [{uri: {exact: "
      "/}}]}\n"
      "  - {route: [{destination: {host: a}}], mirror: {host: m}, match: [{uri: {exact: /b}}]}\n"
      "  - {route: [{destination: {host: a}}], mirrors: [{destination: {host: m}, percentage: {value: 7}}, {destination: {host: "
      "n}}]}");
  CHECK(rule.http[0].mirrors[0].percentage == 0.5);
  CHECK(rule.http[1].mirrors[0].percentage == 100);
  CHECK(rule.http[2].mirrors[0].percentage == 7);
  CHECK(rule.http[2].mirrors[1].percentage == 100);
}

TEST_CASE("a broken object keeps its last good form and hinders no other") {
  auto first = store_of(nullptr, {file("a.yaml", service("one") + service("two"))});
  CHECK(names(*first) == "one:80 two:80 ");
  std::vector<Problem> problems;
  auto second = store_of(
      first.get(), {file("a.yaml", service("one", "ports: [{port: -1}]") + service("two", "ports: [{port: 81}]"))}, &problems);
  CHECK(names(*second) == "one:80 two:81 ");
  CHECK(has_errors(problems));
}

TEST_CASE("an object that was never good is not there") {
  auto store = store_of(nullptr, {file("a.yaml", service("one", "ports: [{port: -1}]") + service("two"))});
  CHECK(names(*store) == "two:80 ");
}

TEST_CASE("a deleted object goes, also when another file is broken") {
  auto first = store_of(nullptr, {file("a.yaml", service("one")), file("b.yaml", service("two") + service("three"))});
  auto second = store_of(first.get(), {file("a.yaml", service("one") + "---\n: ["), file("b.yaml", service("two"))});
  CHECK(names(*second) == "one:80 two:80 ");
}

TEST_CASE("what a file said stays while a document of it cannot be read, unless it is defined elsewhere") {
  auto first = store_of(nullptr, {file("a.yaml", service("one") + service("two"))});
  auto broken =
      store_of(first.get(), {file("a.yaml", service("one") + "---\nkind: [Service\n"), file("b.yaml", service("three"))});
  CHECK(names(*broken) == "one:80 three:80 two:80 ");
  auto moved =
      store_of(broken.get(), {file("a.yaml", "---\nkind: [Service\n"), file("b.yaml", service("two", "ports: [{port: 99}]"))});
  CHECK(names(*moved) == "one:80 two:99 ");
  auto mended = store_of(moved.get(), {file("a.yaml", service("one"))});
  CHECK(names(*mended) == "one:80 ");
}

TEST_CASE("a file that cannot be read keeps what it said") {
  auto first = store_of(nullptr, {file("a.yaml", service("one"))});
  auto second =
      store_of(first.get(), {std::make_shared<ParsedFile>(unreadable("a.yaml", Error(ErrorCode::io, "permission denied")))});
  CHECK(names(*second) == "one:80 ");
}

TEST_CASE("of two objects with one name the first by file counts") {
  std::vector<Problem> problems;
  auto store = store_of(
      nullptr, {file("b.yaml", service("one", "ports: [{port: 2}]")), file("a.yaml", service("one", "ports: [{port: 1}]"))},
      &problems);
  CHECK(names(*store) == "one:1 ");
  CHECK(to_text(problems) ==
        "b.yaml:2: Service default/one: is defined already in a.yaml:2, which counts; remove or rename one of them");
}

TEST_CASE("kinds that do not concern the mesh are counted, not reported") {
  ParsedFile parsed = parse("a",
                            "apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: apps/v1\nkind: Deployment\n---\napiVersion: "
                            "x.io/v1\nkind: Thing\n");
  CHECK(to_text(parsed.problems) == "");
  CHECK(parsed.ignored == std::map<std::string, int>{{"Deployment", 2}, {"Thing", 1}});
}

TEST_CASE("a Service's addresses, headless form and exportTo are read") {
  ParsedFile parsed =
      parse("a",
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {networking.istio.io/exportTo: \".,b\"}}\n"
            "spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ports: [{port: 80, targetPort: web, name: http}]}\n"
            "---\napiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {clusterIP: None, ports: [{port: 80}]}\n");
  REQUIRE(parsed.objects.size() == 2);
  const Service& a = *std::get<std::shared_ptr<const Service>>(parsed.objects[0]);
  CHECK(a.cluster_ips.size() == 2);
  CHECK(a.export_to == std::vector<std::string>{".", "b"});
  CHECK(a.ports[0].target == "web");
  CHECK(std::get<std::shared_ptr<const Service>>(parsed.objects[1])->headless);
}

TEST_CASE("an endpoint is ready unless its conditions say otherwise, and remembers its Pod") {
  ParsedFile parsed = parse(
      "a",
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, labels: {kubernetes.io/service-name: a}}\n"
      "addressType: IPv4\nports: [{port: 80}]\nendpoints:\n"
      "- {addresses: [10.1.0.1], targetRef: {kind: Pod, name: p}}\n"
      "- {addresses: [10.1.0.2], conditions: {ready: false}}\n"
      "- {addresses: [10.1.0.3], conditions: {ready: true, terminating: true}}\n");
  REQUIRE_MESSAGE(parsed.objects.size() == 1, to_text(parsed.problems));
  const EndpointSlice& slice = *std::get<std::shared_ptr<const EndpointSlice>>(parsed.objects[0]);
  CHECK(slice.service == "a");
  CHECK(slice.group.endpoints[0].pod == "p");
  CHECK(slice.group.endpoints[0].ready);
  CHECK_FALSE(slice.group.endpoints[1].ready);
  CHECK_FALSE(slice.group.endpoints[2].ready);
}

TEST_CASE("a policy is inherited block by block by subsets, and replaced as a whole for a port") {
  ParsedFile parsed = parse("a", R"(apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: a
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    connectionPool: {tcp: {maxConnections: 5}}
    portLevelSettings: [{port: {number: 81}, outlierDetection: {consecutive5xxErrors: 1}}]
  subsets:
  - {name: v1, labels: {v: a}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}
)");
  REQUIRE_MESSAGE(parsed.objects.size() == 1, to_text(parsed.problems));
  const DestinationRule& rule = *std::get<std::shared_ptr<const DestinationRule>>(parsed.objects[0]);
  CHECK(effective_policy(rule, nullptr, 80).load_balancer == LoadBalancer::random);
  TrafficPolicy subset = effective_policy(rule, &rule.subsets[0], 80);
  CHECK(subset.load_balancer == LoadBalancer::round_robin);
  CHECK(subset.connection_pool->max_connections == 5);
  TrafficPolicy port = effective_policy(rule, nullptr, 81);
  CHECK(port.load_balancer == LoadBalancer::unspecified);
  CHECK_FALSE(port.connection_pool.has_value());
  CHECK(port.outlier_detection->consecutive_5xx_errors == 1);
}

TEST_CASE("a file with Windows line ends, a byte order mark or a JSON document is read") {
  CHECK(parse("a", "apiVersion: v1\r\nkind: Service\r\nmetadata:\r\n  name: a\r\nspec:\r\n  ports:\r\n  - port: 80\r\n")
            .objects.size() == 1);
  CHECK(parse("a",
              "\xEF\xBB\xBF"
              "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n")
            .objects.size() == 1);
  CHECK(parse("a", R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}})")
            .objects.size() == 1);
  CHECK(parse("a", "").problems.empty());
  CHECK(parse("a", "# only a comment\n---\n---\n").problems.empty());
}
