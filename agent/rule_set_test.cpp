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

TEST_CASE("after a restart, a broken object has the last good form that was kept; what is gone stays gone") {
  RuleSet before("cluster.local");
  update(before, texts({{"s.yaml", kService},
                        {"r.yaml", rule("1s")},
                        {"gone.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: old}\nspec: {}\n"}}));
  update(before, texts({{"s.yaml", kService}, {"r.yaml", rule("soon")}}));
  // Kept while it was broken already: the text that counts is the one before.
  const auto kept = decode(encode(before.last_good()));
  REQUIRE(kept);

  for (const char* broken : {"soon", "["}) {
    CAPTURE(broken);
    RuleSet after("cluster.local");
    after.restore(*kept, false);
    auto change = update(after, texts({{"s.yaml", kService}, {"r.yaml", rule(broken)}}));
    CHECK(change.effective);
    CHECK(change.appeared.size() == 1);
    CHECK(after.store()->services().size() == 1);
    REQUIRE(after.store()->virtual_services().size() == 1);
    CHECK(timeout_of(after) == Nanoseconds(std::chrono::seconds(1)));
    // And it is kept for the next restart too.
    RuleSet again("cluster.local");
    again.restore(after.last_good(), false);
    update(again, texts({{"s.yaml", kService}, {"r.yaml", rule(broken)}}));
    CHECK(timeout_of(again) == Nanoseconds(std::chrono::seconds(1)));
  }

  RuleSet mended("cluster.local");
  mended.restore(*kept, false);
  update(mended, texts({{"s.yaml", kService}, {"r.yaml", rule("3s")}}));
  CHECK(timeout_of(mended) == Nanoseconds(std::chrono::seconds(3)));

  RuleSet emptied("cluster.local");
  emptied.restore(*kept, false);
  CHECK(update(emptied, texts({})).effective);
  CHECK(emptied.store()->objects().empty());
}

TEST_CASE("two objects of one file that broke one after the other are kept from two texts of it") {
  const std::string other = "---\n" + [] {
    std::string text = rule("5s");
    return text.replace(text.find("name: reviews,"), 14, "name: others,")
        .replace(text.find("hosts: [reviews]"), 16, "hosts: [others]");
  }();
  RuleSet rules("cluster.local");
  update(rules, texts({{"s.yaml", kService}, {"r.yaml", rule("1s") + other}}));
  update(rules, texts({{"s.yaml", kService}, {"r.yaml", rule("soon") + other}}));
  std::string second = other;
  second.replace(second.find("5s"), 2, "6s");
  update(rules, texts({{"s.yaml", kService}, {"r.yaml", rule("soon") + second}}));
  const std::string broken =
      rule("soon") + "---\nkind: VirtualService\napiVersion: networking.istio.io/v1\nmetadata: {name: others}\n";
  update(rules, texts({{"s.yaml", kService}, {"r.yaml", broken}}));
  const LastGood good = rules.last_good();
  CHECK(good.sources.size() == 3);

  RuleSet after("cluster.local");
  after.restore(good, false);
  update(after, texts({{"s.yaml", kService}, {"r.yaml", broken}}));
  REQUIRE(after.store()->virtual_services().size() == 2);
  CHECK(after.store()->virtual_services()[0]->http.at(0).timeout == Nanoseconds(std::chrono::seconds(6)));
  CHECK(after.store()->virtual_services()[1]->http.at(0).timeout == Nanoseconds(std::chrono::seconds(1)));
}

TEST_CASE("after a restart, a mesh configuration that cannot be read has its last good form, if one is still asked for") {
  using Policy = mesh::MeshConfig::OutboundPolicy;
  RuleSet before("cluster.local");
  before.update(texts({}), "mesh.yaml", Result<std::string>("outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"));
  before.update(texts({}), "mesh.yaml", Result<std::string>("outboundTrafficPolicy: {mode: MAYBE}\n"));
  const LastGood good = before.last_good();
  RuleSet after("cluster.local");
  after.restore(good, true);
  after.update(texts({}), "mesh.yaml", Result<std::string>(fail(ErrorCode::io, "cannot read mesh.yaml: Permission denied")));
  CHECK(after.settings().config.outbound == Policy::registry_only);
  RuleSet without("cluster.local");
  without.restore(good, false);
  update(without, texts({}));
  CHECK(without.settings().config.outbound == Policy::allow_any);
}
