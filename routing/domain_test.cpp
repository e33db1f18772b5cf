// SPDX-License-Identifier: Apache-2.0
// Which virtual host an authority gets.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "routing/domain_index.h"
#include "routing/test_support.h"

using namespace weir::routing;
using namespace weir::routing::test;

namespace {

/// A virtual host for each list of domains, named by the list.
std::shared_ptr<const RouteTable> hosts(const std::vector<std::string>& domains, const std::string& more = "") {
  std::string text = "name: 'r' " + more;
  for (const std::string& domain : domains) text += fmt::format(" virtual_hosts {{ name: '{0}' domains: '{0}' }}", domain);
  return table(text);
}

}  // namespace

TEST_CASE("an exact domain goes before any wildcard, wherever it stands") {
  CHECK(host_of(*hosts({"*", "*.b.c", "a.*", "a.b.c"}), "a.b.c") == "a.b.c");
}

TEST_CASE("of suffix wildcards the longest wins") { CHECK(host_of(*hosts({"*.c", "*.b.c"}), "a.b.c") == "*.b.c"); }

TEST_CASE("a suffix wildcard goes before a longer prefix wildcard") {
  CHECK(host_of(*hosts({"a.b.*", "*.c"}), "a.b.c") == "*.c");
}

TEST_CASE("of prefix wildcards the longest wins") { CHECK(host_of(*hosts({"a.*", "a.b.*"}), "a.b.c") == "a.b.*"); }

TEST_CASE("a prefix wildcard goes before the star") { CHECK(host_of(*hosts({"*", "a.*"}), "a.b.c") == "a.*"); }

TEST_CASE("the star takes what is left") { CHECK(host_of(*hosts({"*", "a.b.c"}), "q") == "*"); }

TEST_CASE("without a star an unknown authority has no virtual host") { CHECK(host_of(*hosts({"a.b.c"}), "q") == "-"); }

TEST_CASE("a wildcard stands for at least one character") {
  CHECK(host_of(*hosts({"*.b.c"}), ".b.c") == "-");
  CHECK(host_of(*hosts({"a.*"}), "a.") == "-");
}

TEST_CASE("*.x does not match x itself") { CHECK(host_of(*hosts({"*.b.c"}), "b.c") == "-"); }

TEST_CASE("a suffix wildcard needs no dot") { CHECK(host_of(*hosts({"*-x.test"}), "blue-x.test") == "*-x.test"); }

TEST_CASE("case does not count on either side") {
  CHECK(host_of(*hosts({"Reviews.Test"}), "rEVIEWS.tEST") == "Reviews.Test");
  CHECK(host_of(*hosts({"*.Test"}), "a.tEST") == "*.Test");
}

TEST_CASE("a trailing dot is accepted") {
  CHECK(host_of(*hosts({"a.test"}), "a.test.") == "a.test");
  CHECK(host_of(*hosts({"a.test."}), "a.test") == "a.test.");
  CHECK(host_of(*hosts({"a.test"}, "ignore_port_in_host_matching: true"), "a.test.:80") == "a.test");
}

TEST_CASE("the port counts unless the table says that it does not") {
  CHECK(host_of(*hosts({"a.test"}), "a.test:80") == "-");
  CHECK(host_of(*hosts({"a.test:80"}), "a.test:80") == "a.test:80");
  CHECK(host_of(*hosts({"a.test"}, "ignore_port_in_host_matching: true"), "a.test:80") == "a.test");
}

TEST_CASE("no authority at all gets the star only") {
  CHECK(host_of(*hosts({"a.test", "*"}), "") == "*");
  CHECK(host_of(*hosts({"a.test", "*.test"}), "") == "-");
}

TEST_CASE("a port is what stands after the last colon, if it is a number") {
  struct {
    const char* authority;
    const char* host;
  } rows[] = {
      {"a:80", "a"},         {"a", "a"},         {"a:", "a:"},           {"a:b", "a:b"},
      {"[::1]:80", "[::1]"}, {"[::1]", "[::1]"}, {"fd00::1", "fd00::1"}, {"10.0.0.1:8080", "10.0.0.1"},
      {":80", ""},           {"a:80x", "a:80x"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.authority);
    CHECK(without_port(row.authority) == row.host);
  }
}

TEST_CASE("a thousand virtual hosts each get their own authorities, in any spelling") {
  std::string text = "name: '9080' ignore_port_in_host_matching: true";
  for (int i = 0; i < 1000; ++i) {
    text += fmt::format(
        " virtual_hosts {{ name: 's{0}:9080' domains: 's{0}.shop.svc.cluster.local' domains: 's{0}' domains: 's{0}.shop' "
        "domains: "
        "'s{0}.shop.svc' domains: '10.96.{1}.{2}' routes {{ name: 'r{0}' match {{ prefix: '/' }} route {{ cluster: 'c{0}' }} }} "
        "}}",
        i, i / 256, i % 256);
  }
  auto big = table(text + " virtual_hosts { name: 'allow_any' domains: '*' }");
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 1000; ++i) {
      RouteTable::Found found = big->match(Call{.authority = fmt::format("S{}.shop.svc.cluster.local:9080", i)}.request());
      REQUIRE(found.route != nullptr);
      REQUIRE(found.route->name == fmt::format("r{}", i));
    }
  }
  CHECK(host_of(*big, "10.96.3.231:9080") == "s999:9080");
  CHECK(host_of(*big, "s1000") == "allow_any");
}
