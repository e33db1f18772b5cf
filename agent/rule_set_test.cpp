// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "agent/rule_set.h"

using namespace weir;
using namespace weir::agent;

namespace {

constexpr const char* kService = R"(apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec:
  clusterIP: 10.96.0.1
  ports: [{name: http, port: 9080}]
)";

std::string rule(const std::string& timeout) {
  return R"(apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews}}]
    timeout: )" +
         timeout + "\n";
}

RuleTexts texts(std::initializer_list<std::pair<std::string, std::string>> files) {
  RuleTexts all;
  for (const auto& [name, text] : files) all.emplace(name, text);
  return all;
}

RuleSet::Change update(RuleSet& rules, const RuleTexts& files) { return rules.update(files, "", std::nullopt); }

std::optional<Nanoseconds> timeout_of(const RuleSet& rules) {
  return rules.store()->virtual_services().at(0)->http.at(0).timeout;
}

}  // namespace

TEST_CASE("the same texts again change nothing") {
  RuleSet rules("cluster.local");
  CHECK(update(rules, texts({{"s.yaml", kService}, {"r.yaml", rule("1s")}})).effective);
  CHECK_FALSE(update(rules, texts({{"s.yaml", kService}, {"r.yaml", rule("1s")}})).effective);
  CHECK(rules.problems().empty());
}

TEST_CASE("a broken object keeps its last good form, its neighbours go on, and the problem is told once") {
  RuleSet rules("cluster.local");
  update(rules, texts({{"s.yaml", kService}, {"r.yaml", rule("1s")}}));
  auto broken = update(rules, texts({{"r.yaml", rule("soon")}, {"s.yaml", kService}}));
  REQUIRE(broken.appeared.size() == 1);
  CHECK(broken.appeared[0].where == SourceRef{"r.yaml", 8});
  CHECK(broken.appeared[0].object == "VirtualService default/reviews");
  CHECK(timeout_of(rules) == Nanoseconds(std::chrono::seconds(1)));
  auto still = update(rules, texts({{"r.yaml", rule("soon")}, {"s.yaml", kService}, {"more.yaml", ""}}));
  CHECK(still.appeared.empty());
  auto mended = update(rules, texts({{"r.yaml", rule("2s")}, {"s.yaml", kService}}));
  CHECK(mended.gone.size() == 1);
  CHECK(timeout_of(rules) == Nanoseconds(std::chrono::seconds(2)));
}

TEST_CASE("a file that is gone takes its objects along; one that cannot be read does not") {
  RuleSet rules("cluster.local");
  update(rules, texts({{"s.yaml", kService}, {"r.yaml", rule("1s")}}));
  RuleTexts unreadable = texts({{"s.yaml", kService}});
  unreadable.emplace("r.yaml", fail(ErrorCode::environment, "cannot read r.yaml: Permission denied"));
  auto change = update(rules, unreadable);
  REQUIRE(change.appeared.size() == 1);
  CHECK(rules.store()->virtual_services().size() == 1);
  update(rules, texts({{"s.yaml", kService}}));
  CHECK(rules.store()->virtual_services().empty());
}

TEST_CASE("the mesh configuration changes live and keeps its last good form") {
  RuleSet rules("cluster.local");
  using Policy = mesh::MeshConfig::OutboundPolicy;
  RuleTexts files = texts({{"s.yaml", kService}});
  rules.update(files, "mesh.yaml", Result<std::string>("outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"));
  CHECK(rules.settings().config.outbound == Policy::registry_only);
  auto broken = rules.update(files, "mesh.yaml", Result<std::string>("outboundTrafficPolicy: {mode: MAYBE}\n"));
  CHECK_FALSE(broken.effective);
  REQUIRE(broken.appeared.size() == 1);
  CHECK(broken.appeared[0].where.file == "mesh.yaml");
  CHECK(rules.settings().config.outbound == Policy::registry_only);
  auto gone = rules.update(files, "mesh.yaml", Result<std::string>(fail(ErrorCode::io, "cannot read mesh.yaml: No such file")));
  CHECK(gone.appeared.size() == 1);
  CHECK(gone.gone.size() == 1);
  CHECK(rules.settings().config.outbound == Policy::registry_only);
  auto mended = rules.update(files, "mesh.yaml", Result<std::string>("outboundTrafficPolicy: {mode: ALLOW_ANY}\n"));
  CHECK(mended.effective);
  CHECK(mended.gone.size() == 1);
  CHECK(rules.settings().config.outbound == Policy::allow_any);
}
