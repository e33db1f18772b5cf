// SPDX-License-Identifier: Apache-2.0
// Which route of a virtual host takes a request. One rule a test.
#include <doctest/doctest.h>

#include "routing/match.h"
#include "routing/test_support.h"

using namespace weir::routing;
using namespace weir::routing::test;

namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Row {
  const char* condition;  ///< inside `match { … }`, beside prefix "/"
  Headers headers;
  bool takes;
};

std::string one(const std::string& match) { return "routes { name: 'r' match { " + match + " } route { cluster: 'c' } }"; }

void check_headers(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    CAPTURE(row.condition);
    std::string seen;
    for (const auto& [name, value] : row.headers) seen += name + ": " + value + "; ";
    CAPTURE(seen);
    CHECK(taken(*routes(one(std::string("prefix: '/' ") + row.condition)), Call{.headers = row.headers}) ==
          (row.takes ? "r" : "-"));
  }
}

void check_paths(const std::string& match, const std::vector<std::pair<const char*, bool>>& rows) {
  auto compiled = routes(one(match));
  CAPTURE(match);
  for (const auto& row : rows) {
    CAPTURE(row.first);
    CHECK(taken(*compiled, Call{.path = row.first}) == (row.second ? "r" : "-"));
  }
}

}  // namespace

TEST_CASE("the first route that matches wins, not the most specific") {
  auto t = routes(
      "routes { name: 'wide' match { prefix: '/' } route { cluster: 'c' } }"
      "routes { name: 'narrow' match { path: '/a' } route { cluster: 'c' } }");
  CHECK(taken(*t, Call{.path = "/a"}) == "wide");
}

TEST_CASE("a route that does not match gives way to the next") {
  auto t = routes(
      "routes { name: 'a' match { path: '/a' } route { cluster: 'c' } }"
      "routes { name: 'rest' match { prefix: '/' } route { cluster: 'c' } }");
  CHECK(taken(*t, Call{.path = "/b"}) == "rest");
}

TEST_CASE("a virtual host without a matching route is found, its route is not") {
  RouteTable::Found found = routes(one("path: '/a'"))->match(Call{.path = "/b"}.request());
  CHECK(found.host != nullptr);
  CHECK(found.route == nullptr);
}

TEST_CASE("all conditions of a route must hold") {
  auto t =
      routes(one("prefix: '/a' headers { name: 'x' string_match { exact: '1' } } query_parameters { name: 'q' string_match { "
                 "exact: '2' } }"));
  CHECK(taken(*t, Call{.path = "/a?q=2", .headers = {{"x", "1"}}}) == "r");
  CHECK(taken(*t, Call{.path = "/b?q=2", .headers = {{"x", "1"}}}) == "-");
  CHECK(taken(*t, Call{.path = "/a?q=2", .headers = {{"x", "2"}}}) == "-");
  CHECK(taken(*t, Call{.path = "/a?q=1", .headers = {{"x", "1"}}}) == "-");
}

TEST_CASE("an exact path is the whole path without the query") {
  check_paths("path: '/a'", {{"/a", true}, {"/a?x=1", true}, {"/a/", false}, {"/ab", false}, {"/A", false}, {"/", false}});
}

TEST_CASE("a prefix is a plain one: it may end inside a segment") {
  check_paths("prefix: '/foo'",
              {{"/foo", true}, {"/foobar", true}, {"/foo/bar", true}, {"/fo", false}, {"/x/foo", false}, {"/?/foo", false}});
}

TEST_CASE("the query is no part of what a prefix sees") { check_paths("prefix: '/a?'", {{"/a?x", false}}); }

TEST_CASE("a prefix of segments ends where a segment ends") {
  check_paths("path_separated_prefix: '/foo'",
              {{"/foo", true}, {"/foo/", true}, {"/foo/bar", true}, {"/foo?x", true}, {"/foobar", false}});
}

TEST_CASE("a regex must match the whole path without the query") {
  check_paths("safe_regex { regex: '/items/[0-9]+' }",
              {{"/items/42", true}, {"/items/42?x=y", true}, {"/items/42/x", false}, {"/x/items/4", false}});
}

TEST_CASE("case_sensitive false holds for exact paths, prefixes and segments, not for regexes") {
  check_paths("path: '/Foo' case_sensitive { value: false }", {{"/fOO", true}});
  check_paths("prefix: '/Foo' case_sensitive { value: false }", {{"/fOObar", true}});
  check_paths("path_separated_prefix: '/Foo' case_sensitive { value: false }", {{"/fOO/x", true}});
  check_paths("safe_regex { regex: '/Foo' } case_sensitive { value: false }", {{"/foo", false}});
}

TEST_CASE("header values match exactly, by prefix, suffix, part or whole regex") {
  check_headers({
      {"headers { name: 'x' string_match { exact: 'ann' } }", {{"x", "ann"}}, true},
      {"headers { name: 'x' string_match { exact: 'ann' } }", {{"x", "anna"}}, false},
      {"headers { name: 'x' string_match { prefix: 'ann' } }", {{"x", "anna"}}, true},
      {"headers { name: 'x' string_match { prefix: 'ann' } }", {{"x", "hanna"}}, false},
      {"headers { name: 'x' string_match { suffix: 'na' } }", {{"x", "anna"}}, true},
      {"headers { name: 'x' string_match { suffix: 'na' } }", {{"x", "nab"}}, false},
      {"headers { name: 'x' string_match { contains: 'nn' } }", {{"x", "anna"}}, true},
      {"headers { name: 'x' string_match { contains: 'nn' } }", {{"x", "nan"}}, false},
      {"headers { name: 'x' string_match { safe_regex { regex: 'v[0-9]' } } }", {{"x", "v1"}}, true},
      {"headers { name: 'x' string_match { safe_regex { regex: 'v[0-9]' } } }", {{"x", "v12"}}, false},
      {"headers { name: 'x' exact_match: 'ann' }", {{"x", "ann"}}, true},
      {"headers { name: 'x' prefix_match: 'a' }", {{"x", "b"}}, false},
      {"headers { name: 'x' suffix_match: 'n' }", {{"x", "ann"}}, true},
      {"headers { name: 'x' contains_match: 'n' }", {{"x", "ann"}}, true},
      {"headers { name: 'x' safe_regex_match { regex: 'a.n' } }", {{"x", "ann"}}, true},
  });
}

TEST_CASE("ignore_case holds for values") {
  check_headers({
      {"headers { name: 'x' string_match { exact: 'Ann' ignore_case: true } }", {{"x", "aNN"}}, true},
      {"headers { name: 'x' string_match { prefix: 'Ann' ignore_case: true } }", {{"x", "aNNa"}}, true},
      {"headers { name: 'x' string_match { suffix: 'NA' ignore_case: true } }", {{"x", "anna"}}, true},
      {"headers { name: 'x' string_match { contains: 'NN' ignore_case: true } }", {{"x", "anna"}}, true},
      {"headers { name: 'x' string_match { exact: 'Ann' } }", {{"x", "aNN"}}, false},
  });
}

TEST_CASE("header names compare without case on either side") {
  check_headers({{"headers { name: 'End-User' string_match { exact: 'ann' } }", {{"eND-uSER", "ann"}}, true}});
}

TEST_CASE("lines of one name are matched one by one, never joined") {
  check_headers({
      {"headers { name: 'x' string_match { exact: 'ann' } }", {{"x", "ann"}, {"x", "zed"}}, true},
      {"headers { name: 'x' string_match { exact: 'zed' } }", {{"x", "ann"}, {"x", "zed"}}, true},
      {"headers { name: 'x' string_match { exact: 'ann' } }", {{"x", "ann,zed"}}, false},
      {"headers { name: 'x' string_match { exact: 'ann,zed' } }", {{"x", "ann"}, {"x", "zed"}}, false},
  });
}

TEST_CASE("an inverted match fails if any line has the value") {
  check_headers({
      {"headers { name: 'x' string_match { exact: 'ann' } invert_match: true }", {{"x", "ann"}}, false},
      {"headers { name: 'x' string_match { exact: 'ann' } invert_match: true }", {{"x", "zed"}}, true},
      {"headers { name: 'x' string_match { exact: 'ann' } invert_match: true }", {{"x", "zed"}, {"x", "ann"}}, false},
  });
}

TEST_CASE("a missing header fails a match of its value, inverted or not") {
  check_headers({
      {"headers { name: 'x' string_match { exact: 'ann' } }", {}, false},
      {"headers { name: 'x' string_match { exact: 'ann' } invert_match: true }", {}, false},
  });
}

TEST_CASE("treat_missing_header_as_empty makes a missing header an empty one") {
  check_headers({
      {"headers { name: 'x' string_match { exact: 'ann' } invert_match: true treat_missing_header_as_empty: true }", {}, true},
      {"headers { name: 'x' string_match { exact: '' } treat_missing_header_as_empty: true }", {}, true},
      {"headers { name: 'x' string_match { exact: 'ann' } treat_missing_header_as_empty: true }", {}, false},
  });
}

TEST_CASE("present_match asks for presence, false for absence, and can be inverted") {
  check_headers({
      {"headers { name: 'x' present_match: true }", {{"x", ""}}, true},
      {"headers { name: 'x' present_match: true }", {}, false},
      {"headers { name: 'x' present_match: false }", {}, true},
      {"headers { name: 'x' present_match: false }", {{"x", "1"}}, false},
      {"headers { name: 'x' present_match: true invert_match: true }", {}, true},
      {"headers { name: 'x' present_match: true invert_match: true }", {{"x", "1"}}, false},
  });
}

TEST_CASE("a header without a value to match asks for presence") {
  check_headers({{"headers { name: 'x' }", {{"x", "1"}}, true}, {"headers { name: 'x' }", {}, false}});
}

TEST_CASE("pseudo-headers are the parts of the request line; an authority is compared with its port and case") {
  struct {
    const char* condition;
    Call call;
    bool takes;
  } rows[] = {
      {"headers { name: ':method' string_match { exact: 'POST' } }", {.method = "POST"}, true},
      {"headers { name: ':method' string_match { exact: 'POST' } }", {.method = "post"}, false},
      {"headers { name: ':method' string_match { safe_regex { regex: 'P(UT|ATCH)' } } }", {.method = "PATCH"}, true},
      {"headers { name: ':authority' string_match { exact: 'a.test' } }", {.authority = "a.test:80"}, false},
      {"headers { name: ':authority' string_match { exact: 'a.test:80' } }", {.authority = "a.test:80"}, true},
      {"headers { name: ':authority' string_match { exact: 'a.test' } }", {.authority = "A.test"}, false},
      {"headers { name: 'host' string_match { exact: 'a.test' } }", {.authority = "a.test"}, true},
      {"headers { name: ':scheme' string_match { exact: 'https' } }", {.scheme = "https"}, true},
      {"headers { name: ':path' string_match { exact: '/a?b' } }", {.path = "/a?b"}, true},
  };
  for (auto& row : rows) {
    CAPTURE(row.condition);
    CHECK((routes(one(std::string("prefix: '/' ") + row.condition))->match(row.call.request()).route != nullptr) == row.takes);
  }
}

TEST_CASE("grpc asks for a gRPC content type, which grpc-web is not") {
  check_headers({
      {"grpc {}", {{"content-type", "application/grpc"}}, true},
      {"grpc {}", {{"content-type", "application/grpc+proto"}}, true},
      {"grpc {}", {{"content-type", "application/grpc-web"}}, false},
      {"grpc {}", {}, false},
  });
}

TEST_CASE("a query parameter: first value, undecoded, empty without an equals sign") {
  struct {
    const char* path;
    const char* name;
    const char* value;  // null: missing
  } rows[] = {
      {"/a?q=1", "q", "1"},     {"/a?q=1&q=2", "q", "1"},   {"/a?q=%31", "q", "%31"},  {"/a?q", "q", ""},
      {"/a?q=", "q", ""},       {"/a?p=1&q=2", "q", "2"},   {"/a?qq=1", "q", nullptr}, {"/a", "q", nullptr},
      {"/a?", "q", nullptr},    {"/a?q=1=2", "q", "1=2"},   {"/a?Q=1", "q", nullptr},  {"/a?&&q=1", "q", "1"},
      {"/a?q=a?b", "q", "a?b"}, {"/a?%71=1", "q", nullptr},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    auto value = query_value(row.path, row.name);
    CHECK(value.has_value() == (row.value != nullptr));
    if (value && row.value != nullptr) CHECK(*value == row.value);
  }
}

TEST_CASE("query parameters match exactly, by prefix, regex or presence") {
  auto exact = routes(one("prefix: '/' query_parameters { name: 'q' string_match { exact: '1' } }"));
  CHECK(taken(*exact, Call{.path = "/?q=1"}) == "r");
  CHECK(taken(*exact, Call{.path = "/?q=%31"}) == "-");
  CHECK(taken(*exact, Call{.path = "/?q=2&q=1"}) == "-");
  auto regex = routes(one("prefix: '/' query_parameters { name: 'q' string_match { safe_regex { regex: 'a+' } } }"));
  CHECK(taken(*regex, Call{.path = "/?q=aaa"}) == "r");
  CHECK(taken(*regex, Call{.path = "/?q=aab"}) == "-");
  auto present = routes(one("prefix: '/' query_parameters { name: 'q' present_match: true }"));
  CHECK(taken(*present, Call{.path = "/?q"}) == "r");
  CHECK(taken(*present, Call{.path = "/"}) == "-");
}

TEST_CASE("a runtime fraction takes its share of the draws and leaves the rest to the next route") {
  auto t = routes(
      "routes { name: 'some' match { prefix: '/' runtime_fraction { default_value { numerator: 30 } } } route { cluster: 'c' } }"
      "routes { name: 'rest' match { prefix: '/' } route { cluster: 'c' } }");
  CHECK(taken(*t, Call{}, 0) == "some");
  CHECK(taken(*t, Call{}, 299'999) == "some");
  CHECK(taken(*t, Call{}, 300'000) == "rest");
  CHECK(taken(*t, Call{}, 999'999) == "rest");
}

TEST_CASE("pick gives each cluster exactly its weight of the draws") {
  auto t = routes(
      "routes { match { prefix: '/' } route { weighted_clusters { clusters { name: 'a' weight { value: 80 } }"
      " clusters { name: 'none' weight { value: 0 } } clusters { name: 'b' weight { value: 20 } } } } }");
  const auto& forward = std::get<Forward>(t->virtual_hosts()[0].routes[0].action);
  CHECK(forward.total_weight == 100);
  std::map<std::string, int> counts;
  for (std::uint64_t random = 0; random < 1000; ++random) ++counts[pick(forward, random).cluster];
  CHECK(counts == std::map<std::string, int>{{"a", 800}, {"b", 200}});
}

TEST_CASE("pick of a plain cluster needs no draw") {
  auto t = routes(one("prefix: '/'"));
  CHECK(pick(std::get<Forward>(t->virtual_hosts()[0].routes[0].action), UINT64_MAX).cluster == "c");
}
