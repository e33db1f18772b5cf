// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "base/duration.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/port_set.h"
#include "base/problem.h"
#include "base/result.h"
#include "base/scope_exit.h"
#include "base/text.h"
#include "base/utf8.h"

using namespace weir;

TEST_CASE("durations read and print as Go writes them") {
  struct Case {
    std::string_view text;
    std::int64_t ns;
    std::string_view shown;
  };
  const Case cases[] = {
      {"0s", 0, "0s"},
      {"0", 0, "0s"},
      {"250ms", 250'000'000, "250ms"},
      {"1.5s", 1'500'000'000, "1.5s"},
      {"1m30s", 90'000'000'000, "1m30s"},
      {"2h", 7'200'000'000'000, "2h"},
      {"0.002s", 2'000'000, "2ms"},
      {"7us", 7'000, "7us"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    auto parsed = parse_duration(c.text);
    REQUIRE(parsed);
    CHECK(parsed->count() == c.ns);
    CHECK(to_text(*parsed) == c.shown);
  }
  for (std::string_view bad : {"", "5", "s", "-1s", "1 s", "1.s5", "1x", "99999999999999h", "."}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("addresses and CIDRs of both families") {
  struct Case {
    std::string_view text;
    bool ok;
    std::string_view shown;
  };
  const Case cases[] = {
      {"10.1.2.3/8", true, "10.0.0.0/8"},
      {"fd00::1/8", true, "fd00::/8"},
      {"1.2.3.4", true, "1.2.3.4/32"},
      {"::1", true, "::1/128"},
      {"10.0.0.0/33", false, ""},
      {"10.a.0.0/8", false, ""},
      {"10.0.0.0/", false, ""},
      {"/8", false, ""},
      {"fe80::%eth0/64", false, ""},
      {"0.0.0.0/0", true, "0.0.0.0/0"},
      {"::/0", true, "::/0"},
      {"10.0.0.0/-1", false, ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    auto parsed = Cidr::parse(c.text);
    REQUIRE(parsed.has_value() == c.ok);
    if (parsed) CHECK(parsed->to_text() == c.shown);
  }
  CHECK(Cidr::parse("10.0.0.0/9")->contains(*IpAddr::parse("10.127.255.255")));
  CHECK_FALSE(Cidr::parse("10.0.0.0/9")->contains(*IpAddr::parse("10.128.0.0")));
  CHECK_FALSE(Cidr::parse("::/0")->contains(*IpAddr::parse("10.128.0.0")));
  CHECK(IpAddr::parse("::ffff:1.2.3.4")->unmapped() == *IpAddr::parse("1.2.3.4"));
  CHECK(SocketAddr::parse("[fd00::1]:80")->to_text() == "[fd00::1]:80");
  CHECK(SocketAddr::parse("10.0.0.1:80")->to_text() == "10.0.0.1:80");
  for (std::string_view bad : {"10.0.0.1", "fd00::1:80x", "[10.0.0.1]:80", ":80", "1.2.3.4:70000"}) {
    CAPTURE(bad);
    CHECK_FALSE(SocketAddr::parse(bad));
  }
  sockaddr_storage storage;
  SocketAddr address = *SocketAddr::parse("[fd00::1]:81");
  address.to_sockaddr(storage);
  CHECK(*SocketAddr::from(storage) == address);
}

TEST_CASE("port lists take Istio's syntax and merge") {
  CHECK(PortSet::parse("80,,443, 8000:8002,8003-9000,")->to_text() == "80,443,8000-9000");
  CHECK(PortSet::parse("")->empty());
  CHECK(PortSet::parse("1-65535")->contains(65535));
  for (std::string_view bad : {"70000", "0", "a", "90-80", "80;443", "-1", "*"}) {
    CAPTURE(bad);
    CHECK_FALSE(PortSet::parse(bad));
  }
  CHECK(PortSet::parse("70000").error().to_text() == "\"70000\" is not a port; write a number from 1 to 65535");
}

TEST_CASE("a problem names file, line, object, field, value and what would be right") {
  Problem problem{.where = {"rules/a.yaml", 12},
                  .object = "VirtualService default/reviews",
                  .path = "spec.http[0].route[1].weight",
                  .message = "-5 is negative",
                  .hint = "use 0 to 4294967295"};
  CHECK(to_text(problem) ==
        "rules/a.yaml:12: VirtualService default/reviews: spec.http[0].route[1].weight: -5 is negative; use 0 to 4294967295");
}

TEST_CASE("a problem is one line, whatever was read") {
  Problem problem{.where = {"a.yaml", 1}, .path = "x", .message = "\"a\nb\x1b[2J\x7f\" is no name, unlike \"é\""};
  CHECK(to_text(problem) == "a.yaml:1: x: \"a\\x0ab\\x1b[2J\\x7f\" is no name, unlike \"é\"");
}

TEST_CASE("errors chain their contexts, outermost first, and choose the exit code") {
  Error error = Error(ErrorCode::check_failed, "table weir is missing").within("checking nft").within("weir-init check");
  CHECK(error.to_text() == "weir-init check: checking nft: table weir is missing");
  CHECK(exit_code(error) == 126);
  ErrorList list;
  CHECK(list.to_result());
  list.add(error);
  list.add(Error(ErrorCode::io, "second"));
  CHECK(list.to_result().error().to_text() == "weir-init check: checking nft: table weir is missing; second");
}

TEST_CASE("a scope guard undoes unless released") {
  int undone = 0;
  {
    ScopeExit guard([&] { ++undone; });
  }
  {
    ScopeExit guard([&] { ++undone; });
    guard.release();
  }
  CHECK(undone == 1);
}

TEST_CASE("JSON errors say where") {
  auto bad = parse_json("{\n  \"a\": 1,\n  x\n}");
  REQUIRE_FALSE(bad);
  CHECK(bad.error().to_text().find("line 3, column 3") == 0);
  CHECK_FALSE(parse_json("{} x"));
  CHECK(pretty_json(*parse_json("{\"b\":[1,{}],\"a\":\"x\\n\"}")) ==
        "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": \"x\\n\"\n}\n");
}

TEST_CASE("what others wrote is shown without control characters, and in JSON with escaped ones") {
  struct Case {
    std::string text, shown, json;
  };
  const Case cases[] = {
      {"a\x7f"
       "b",
       "a\\x7fb", "\"a\\u007fb\""},
      {"\xc2\x9b 2J", "\\xc2\\x9b 2J", "\"\\u009b 2J\""},
      {"\xc2\xa0\xc3\xa4\xf0\x9f\x98\x80", "\xc2\xa0\xc3\xa4\xf0\x9f\x98\x80", "\"\xc2\xa0\xc3\xa4\xf0\x9f\x98\x80\""},
      {"\x1b[2J\n", "\\x1b[2J\\x0a", "\"\\u001b[2J\\n\""},
  };
  for (const Case& c : cases) {
    CHECK(without_controls(c.text) == c.shown);
    CHECK(json_quote(c.text) == c.json);
    CHECK(compact_json(boost::json::value(c.text)) == c.json);
    CHECK(parse_json(c.json)->as_string() == boost::json::string_view(c.text));
  }
  CHECK(without_controls("\x9b \xff \xed\xa0\x80 \xc0\xaf \xe2\x82") == "\\x9b \\xff \\xed\\xa0\\x80 \\xc0\\xaf \\xe2\\x82");
}

TEST_CASE("did you mean") {
  CHECK(nearest("retires", {"retries", "route", "rewrite"}) == "retries");
  CHECK(nearest("zzz", {"retries", "route"}).empty());
  CHECK(printable(std::string_view("a\0b\xff", 4)) == "a\\x00b\\xff");
}
