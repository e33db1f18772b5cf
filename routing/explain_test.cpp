// SPDX-License-Identifier: Apache-2.0
// What explain says, compared with testdata/explain.txt.
#include <doctest/doctest.h>

#include "base/test_golden.h"
#include "routing/test_support.h"

using namespace weir;
using namespace weir::routing;
using namespace weir::routing::test;

namespace {

const char* const kTable = R"(
  name: "9080" ignore_port_in_host_matching: true
  virtual_hosts {
    name: "reviews.default.svc.cluster.local:9080" domains: "reviews.default.svc.cluster.local" domains: "reviews"
    routes {
      name: "jason" match { prefix: "/" headers { name: "end-user" string_match { exact: "jason" } } } route { cluster: "v2" }
      metadata { filter_metadata { key: "weir" value {
        fields { key: "rule" value { string_value: "VirtualService default/reviews" } }
        fields { key: "file" value { string_value: "rules/reviews.yaml" } }
        fields { key: "line" value { number_value: 12 } } } } }
    }
    routes {
      match {
        safe_regex { regex: "/api/v[0-9]+" } headers { name: ":method" string_match { exact: "POST" } }
        headers { name: "x-debug" present_match: true }
        headers { name: "x-old" string_match { prefix: "1" ignore_case: true } invert_match: true treat_missing_header_as_empty: true }
        headers { name: "x-gone" present_match: false }
        query_parameters { name: "q" string_match { exact: "1" } } query_parameters { name: "p" }
      }
      route { cluster: "api" }
      metadata { filter_metadata { key: "istio" value { fields { key: "config" value {
        string_value: "/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews" } } } } }
    }
    routes { name: "share" match { prefix: "/" runtime_fraction { default_value { numerator: 0 } } } route { cluster: "x" } }
    routes { name: "segment" match { path_separated_prefix: "/seg" case_sensitive { value: false } } route { cluster: "x" } }
    routes { name: "rest" match { prefix: "/x" } route { cluster: "v1" } }
  }
  virtual_hosts { name: "wild" domains: "*.wild.test" routes { name: "w" match { prefix: "/" } route { cluster: "w" } } }
)";

void write(std::string& out, const char* title, const RouteTable& table, Call call) {
  out += fmt::format("# {}\n{} {}{}", title, call.method, call.authority, call.path);
  for (const auto& [name, value] : call.headers) out += fmt::format(" {}={}", name, value);
  out += '\n';
  RouteTable::Explanation explanation = table.explain(call.request());
  for (const auto& passed : explanation.passed) out += fmt::format("  not {}: {}\n", passed.what, passed.why);
  const Route* route = explanation.found.route;
  out += fmt::format("  host {}, route {}\n\n", explanation.found.host == nullptr ? "none" : explanation.found.host->name,
                     route == nullptr ? "none" : route->name);
}

}  // namespace

TEST_CASE("explain says for each route passed over what was seen and what was wanted") {
  auto t = table(kTable);
  std::string out;
  write(out, "the first route takes it: nothing was passed over", *t,
        {.authority = "reviews:9080", .headers = {{"end-user", "jason"}}});
  write(out, "another user", *t, {.authority = "reviews", .path = "/x", .headers = {{"End-User", "anna"}}});
  write(out, "every condition that fails is named", *t,
        {.authority = "reviews", .path = "/api/v1/x?q=2", .headers = {{"x-old", "1a"}, {"x-gone", "y"}}});
  write(out, "two lines of one name", *t, {.authority = "reviews", .headers = {{"end-user", "ann"}, {"end-user", "zed"}}});
  write(out, "a wildcard takes it", *t, {.authority = "a.wild.test"});
  write(out, "nobody knows the authority", *t, {.authority = "other.test:9080"});
  write(out, "control bytes are shown, not sent", *t, {.authority = "reviews", .headers = {{"end-user", "a\nb\x1b[1m"}}});
  weir::test::check_golden(WEIR_TESTDATA "/explain.txt", out);
}

TEST_CASE("explain finds what match finds") {
  auto t = table(kTable);
  for (const char* authority : {"reviews", "a.wild.test", "other", "reviews.default.svc.cluster.local:80"}) {
    for (const char* path : {"/", "/x", "/api/v1?q=1&p", "/SEG/a"}) {
      for (const char* user : {"jason", "anna"}) {
        Call call{.authority = authority, .path = path, .headers = {{"end-user", user}}};
        Request request = call.request();
        RouteTable::Found matched = t->match(request), explained = t->explain(request).found;
        CHECK(matched.host == explained.host);
        CHECK(matched.route == explained.route);
      }
    }
  }
}

TEST_CASE("a rule's file and line travel from the metadata to the route and its explanation") {
  auto t = table(kTable);
  const Route& route = t->virtual_hosts()[0].routes[0];
  CHECK(route.rule == RuleRef{"VirtualService default/reviews", "rules/reviews.yaml", 12});
  CHECK(t->virtual_hosts()[0].routes[1].rule == RuleRef{"VirtualService default/reviews", "", 0});
  auto explanation = t->explain(Call{.authority = "reviews"}.request());
  REQUIRE(!explanation.passed.empty());
  CHECK(explanation.passed[0].rule == route.rule);
}
