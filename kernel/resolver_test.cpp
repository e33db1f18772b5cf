// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "kernel/resolver.h"

namespace weir::kernel {
namespace {

using namespace std::string_literals;

std::string header(char flags, char answers) { return "\x12\x34\x81"s + flags + "\0\1\0"s + answers + "\0\0\0\0"s; }
const std::string kQuestion = "\3api\7example\0\0\1\0\1"s;
const std::string kPointer = "\xc0\x0c"s;
/// Type, class, time to live, data.
std::string record(const std::string& name, char type, const std::string& ttl, const std::string& data) {
  return name + '\0' + type + "\0\1"s + ttl + '\0' + static_cast<char>(data.size()) + data;
}
const std::string kMinute = "\0\0\0\x3c"s, kHour = "\0\0\x0e\x10"s;

TEST_CASE("an alias and two addresses: the least time to live of all holds") {
  const std::string message = header('\x80', 3) + kQuestion + record(kPointer, 5, kMinute, "\4host\xc0\x10"s) +
                              record(kPointer, 1, kHour, "\x0a\0\0\1"s) + record("\4host\xc0\x10"s, 1, kHour, "\x0a\0\0\2"s);
  const auto found = parse_dns_answer(message, Family::v4);
  REQUIRE(found);
  CHECK(*found == std::vector<Resolved>{{*IpAddr::parse("10.0.0.1"), std::chrono::seconds(60)},
                                        {*IpAddr::parse("10.0.0.2"), std::chrono::seconds(60)}});
}

TEST_CASE("only addresses of the family that was asked for, of their right size") {
  const std::string address6 = "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"s;
  const std::string message = header('\x80', 3) + kQuestion + record(kPointer, 28, kHour, address6) +
                              record(kPointer, 1, kHour, "\x0a\0\0\1"s) + record(kPointer, 28, kHour, "\x0a\0\0\1"s);
  CHECK(parse_dns_answer(message, Family::v6) == std::vector<Resolved>{{*IpAddr::parse("fd00::1"), std::chrono::seconds(3600)}});
  CHECK(parse_dns_answer(header('\x80', 0) + kQuestion, Family::v4) == std::vector<Resolved>{});
}

TEST_CASE("a time to live beyond what RFC 2181 allows counts as none") {
  const std::string message = header('\x80', 1) + kQuestion + record(kPointer, 1, "\xff\xff\xff\xff"s, "\x0a\0\0\1"s);
  CHECK(parse_dns_answer(message, Family::v4)->at(0).ttl == std::chrono::seconds(0));
}

TEST_CASE("an error of the server is one here, and so is every message that is cut short") {
  CHECK(parse_dns_answer(header('\x83', 0) + kQuestion, Family::v4).error().to_text() == "the server answered with error 3");
  const std::string whole = header('\x80', 1) + kQuestion + record(kPointer, 1, kHour, "\x0a\0\0\1"s);
  REQUIRE(parse_dns_answer(whole, Family::v4));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(!parse_dns_answer(whole.substr(0, size), Family::v4));
  }
}

}  // namespace
}  // namespace weir::kernel
