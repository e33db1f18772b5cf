// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fmt/ranges.h>

#include "agent/options.h"
#include "base/test_golden.h"

using namespace weir;
using namespace weir::agent;

namespace {

ParsedOptions parse(std::vector<const char*> words) {
  words.insert(words.begin(), "weir-agent");
  return parse_options(static_cast<int>(words.size()), words.data());
}

}  // namespace

TEST_CASE("defaults: plain text on loopback of both families only") {
  auto parsed = parse({"--rules", "r/"});
  REQUIRE(parsed.options);
  CHECK(parsed.options->rules == "r");
  REQUIRE(parsed.options->listens.size() == 2);
  CHECK(std::get<SocketAddr>(parsed.options->listens[0]).to_text() == "127.0.0.1:15010");
  CHECK(std::get<SocketAddr>(parsed.options->listens[1]).to_text() == "[::1]:15010");
}

TEST_CASE("listens may be repeated and mixed") {
  auto parsed = parse({"--rules=r", "--listen", "unix:/a", "--listen=10.0.0.1:1", "--allow-plaintext", "--socket-mode", "666"});
  REQUIRE(parsed.options);
  CHECK(std::get<UnixListen>(parsed.options->listens[0]).path == "/a");
  CHECK(std::get<SocketAddr>(parsed.options->listens[1]).port == 1);
  CHECK(parsed.options->socket_mode == 0666);
}

TEST_CASE("the debug endpoint stands beside ADS on loopback, and with unix sockets only if asked for") {
  CHECK(std::get<SocketAddr>(parse({"--rules", "r"}).options->debug_listens.at(0)).to_text() == "127.0.0.1:15014");
  CHECK(parse({"--rules", "r"}).options->debug_by_default);
  CHECK(parse({"--rules", "r", "--listen", "unix:/a"}).options->debug_listens.empty());
  CHECK(parse({"--rules", "r", "--debug-listen", "none"}).options->debug_listens.empty());
  auto asked = parse({"--rules", "r", "--listen", "unix:/a", "--debug-listen", "unix:/d", "--debug-listen", "[::1]:1"});
  CHECK(asked.options->debug_listens.size() == 2);
  CHECK_FALSE(asked.options->debug_by_default);
}

TEST_CASE("every mistake of the command line is told at once") {
  struct Case {
    const char* name;
    std::vector<const char*> words;
  };
  const Case cases[] = {
      {"unknown flags", {"--rules", "r", "--lisen", "unix:/a", "--frobnicate"}},
      {"no rules", {}},
      {"bad values",
       {"--rules", "r", "--listen", "70000", "--listen", "1.2.3.4:99999", "--socket-mode", "rw", "--log-level", "loud"}},
      {"plain text beyond loopback", {"--rules", "r", "--listen", "10.0.0.1:15010", "--listen", "[fd00::1]:15010"}},
      {"debug endpoint", {"--rules", "r", "--debug-listen", "0.0.0.0:15014", "--debug-listen", "here"}},
      {"stray word", {"--rules", "r", "now"}},
      {"missing value", {"--rules"}},
  };
  std::string text;
  for (const Case& c : cases) {
    auto parsed = parse(c.words);
    CHECK_FALSE_MESSAGE(parsed.options.has_value(), c.name);
    text += fmt::format("# {}: weir-agent {}\n{}\n\n", c.name, fmt::join(c.words, " "), to_text(parsed.problems));
  }
  test::check_golden(WEIR_TESTDATA "/options.txt", text);
}
