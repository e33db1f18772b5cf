// SPDX-License-Identifier: Apache-2.0
// Normalised paths, rewrites and redirects.
#include <doctest/doctest.h>

#include "routing/test_support.h"

using namespace weir::routing;
using namespace weir::routing::test;

namespace {

std::string normalized(std::string_view path) {
  std::string storage = "left over";
  auto result = normalize_path(path, storage);
  return result ? std::string(*result) : "refused";
}

struct PathRow {
  const char* path;
  const char* wanted;
};

void check(std::initializer_list<PathRow> rows) {
  for (const PathRow& row : rows) {
    CAPTURE(row.path);
    CHECK(normalized(row.path) == row.wanted);
  }
}

const Route& first_route(const RouteTable& table) { return table.virtual_hosts()[0].routes[0]; }

std::string rewritten(const std::string& match, const std::string& action, const std::string& path) {
  auto t = routes("routes { match { " + match + " } route { cluster: 'c' " + action + " } }");
  std::string storage = "left over";
  return std::string(rewrite_path(first_route(*t), std::get<Forward>(first_route(*t).action), path, storage));
}

std::string redirected(const std::string& action, const Call& call, const std::string& match = "prefix: '/'") {
  auto t = routes("routes { match { " + match + " } redirect { " + action + " } }");
  return redirect_location(first_route(*t), std::get<Redirect>(first_route(*t).action), call.request());
}

}  // namespace

TEST_CASE("dot segments are resolved") {
  check({{"/a/./b", "/a/b"},
         {"/a/../b", "/b"},
         {"/a/b/..", "/a/"},
         {"/a/.", "/a/"},
         {"/.", "/"},
         {"/a/..", "/"},
         {"/a/b/../../c", "/c"},
         {"/a/./../b/", "/b/"},
         {"/a/b/c/../..", "/a/"},
         {"/./a/./", "/a/"}});
}

TEST_CASE("names that only begin with dots are no dot segments") {
  check({{"/.well-known", "/.well-known"}, {"/...", "/..."}, {"/..a", "/..a"}, {"/a./b", "/a./b"}, {"/a../b", "/a../b"}});
}

TEST_CASE("encoded unreserved characters are decoded, dots among them") {
  check({{"/%41%7a%30", "/Az0"}, {"/%2d%2E%5f%7E", "/-._~"}, {"/a/%2e%2E/b", "/b"}, {"/a/%2e", "/a/"}, {"/a/.%2e/b", "/b"}});
}

TEST_CASE("encoded reserved characters stay, in their spelling") {
  check({{"/a%2Fb", "/a%2Fb"},
         {"/a%2fb", "/a%2fb"},
         {"/%3F%23", "/%3F%23"},
         {"/%25%34%31", "/%2541"},
         {"/%5c", "/%5c"},
         {"/%e2%82", "/%e2%82"}});
}

TEST_CASE("a backslash is a slash") { check({{"/a\\b", "/a/b"}, {"/a\\..\\b", "/b"}, {"\\a", "/a"}}); }

TEST_CASE("empty segments stay and are segments for ..") { check({{"//", "//"}, {"/a//b", "/a//b"}, {"/a//../b", "/a/b"}}); }

TEST_CASE("climbing above the root is refused") {
  check({{"/..", "refused"}, {"/../a", "refused"}, {"/a/../../b", "refused"}, {"/%2e%2e/a", "refused"}, {"/..\\a", "refused"}});
}

TEST_CASE("a bad escape, an escaped NUL and a fragment are refused") {
  check({{"/%", "refused"},
         {"/%4", "refused"},
         {"/%zz", "refused"},
         {"/a%00", "refused"},
         {"/a#b", "refused"},
         {"/%4?1", "refused"}});
}

TEST_CASE("the query is left alone") {
  check({{"/a/../b?x=/../%zz\\", "/b?x=/../%zz\\"}, {"/a?/../..", "/a?/../.."}, {"/%41?%41", "/A?%41"}, {"/a?#", "/a?#"}});
}

TEST_CASE("what is no path in origin form passes or is refused") {
  check({{"*", "*"}, {"", ""}, {"a/b", "refused"}, {"?a", "refused"}});
}

TEST_CASE("an unchanged path is the argument itself, not a copy") {
  std::string storage;
  for (std::string_view path : {"/", "/a/b?c", "/.well-known/x", "/a%2Fb"}) {
    CAPTURE(path);
    CHECK(normalize_path(path, storage)->data() == path.data());
  }
}

TEST_CASE("normalising twice changes nothing more") {
  for (const char* path : {"/a/%2e%2e/b//c/./%41?x", "/%2541", "/\\a/..//b/.."}) {
    CAPTURE(path);
    CHECK(normalized(normalized(path)) == normalized(path));
  }
}

TEST_CASE("a prefix rewrite replaces the matched prefix and keeps the rest and the query") {
  CHECK(rewritten("prefix: '/old'", "prefix_rewrite: '/new'", "/old/x?q=1") == "/new/x?q=1");
  CHECK(rewritten("prefix: '/old'", "prefix_rewrite: '/new'", "/oldest") == "/newest");
  CHECK(rewritten("path_separated_prefix: '/old'", "prefix_rewrite: '/new'", "/old/x") == "/new/x");
  CHECK(rewritten("prefix: '/OLD' case_sensitive { value: false }", "prefix_rewrite: '/new'", "/old/x") == "/new/x");
}

TEST_CASE("rewriting a prefix to / may leave two slashes, as Envoy does") {
  CHECK(rewritten("prefix: '/bare'", "prefix_rewrite: '/'", "/bare/x") == "//x");
}

TEST_CASE("with an exact or regex match a prefix rewrite replaces the whole path, not the query") {
  CHECK(rewritten("path: '/old'", "prefix_rewrite: '/new'", "/old?q=1") == "/new?q=1");
  CHECK(rewritten("safe_regex { regex: '/o.*' }", "prefix_rewrite: '/new'", "/old/x?q=1") == "/new?q=1");
}

TEST_CASE("a regex rewrite sees the path without the query") {
  std::string rule = "regex_rewrite { pattern { regex: '^/svc/([^/]+)(/.*)$' } substitution: '\\\\2/from/\\\\1' }";
  CHECK(rewritten("prefix: '/'", rule, "/svc/a/b?q=/svc/") == "/b/from/a?q=/svc/");
  CHECK(rewritten("prefix: '/'", rule, "/other?q=1") == "/other?q=1");
}

TEST_CASE("without a rewrite the path is the argument itself") {
  auto t = routes("routes { match { prefix: '/' } route { cluster: 'c' } }");
  std::string storage;
  std::string_view path = "/a?b";
  CHECK(rewrite_path(first_route(*t), std::get<Forward>(first_route(*t).action), path, storage).data() == path.data());
}

TEST_CASE("a redirect changes what it names and keeps the rest") {
  Call call{.authority = "reviews:80", .path = "/a?q=1"};
  CHECK(redirected("host_redirect: 'new.test'", call) == "http://new.test/a?q=1");
  CHECK(redirected("path_redirect: '/there'", call) == "http://reviews:80/there?q=1");
  CHECK(redirected("https_redirect: true", call) == "https://reviews/a?q=1");
  CHECK(redirected("scheme_redirect: 'https' host_redirect: 'n'", call) == "https://n/a?q=1");
  CHECK(redirected("port_redirect: 8443", call) == "http://reviews:8443/a?q=1");
  CHECK(redirected("strip_query: true", call) == "http://reviews:80/a");
  CHECK(redirected("path_redirect: '/there' strip_query: true", call) == "http://reviews:80/there");
}

TEST_CASE("a query of the new path replaces the request's") {
  CHECK(redirected("path_redirect: '/there?z'", Call{.path = "/a?q=1"}) == "http://x.test/there?z");
}

TEST_CASE("default ports are not written into a redirect") {
  CHECK(redirected("https_redirect: true port_redirect: 443", Call{.authority = "a:8080"}) == "https://a/");
  CHECK(redirected("port_redirect: 80", Call{.authority = "a:8080"}) == "http://a/");
}

TEST_CASE("a redirect rewrites prefix or regex like a route") {
  CHECK(redirected("prefix_rewrite: '/new'", Call{.path = "/old/x?q"}, "prefix: '/old'") == "http://x.test/new/x?q");
  CHECK(redirected("regex_rewrite { pattern { regex: 'a' } substitution: 'b' }", Call{.path = "/aa?a"}) == "http://x.test/bb?a");
}

TEST_CASE("an IPv6 host keeps its brackets") {
  CHECK(redirected("https_redirect: true", Call{.authority = "[fd00::1]:80"}) == "https://[fd00::1]/");
}
