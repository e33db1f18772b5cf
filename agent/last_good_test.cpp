// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "agent/last_good.h"

using namespace weir;
using namespace weir::agent;

namespace {

LastGood some_rules() {
  LastGood good;
  good.mesh_config = "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n";
  good.sources.push_back({"rules/a.yaml", "kind: Service\n", {{mesh::Kind::service, "default", "reviews"}}});
  good.sources.push_back({"rules/b.yaml",
                          std::string("\0zero", 5),
                          {{mesh::Kind::virtual_service, "default", "reviews"}, {mesh::Kind::destination_rule, "other", "x"}}});
  return good;
}

}  // namespace

TEST_CASE("what is encoded is decoded") {
  const LastGood good = some_rules();
  auto decoded = decode(encode(good));
  REQUIRE(decoded);
  CHECK(decoded->mesh_config == good.mesh_config);
  REQUIRE(decoded->sources.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(decoded->sources[i].file == good.sources[i].file);
    CHECK(decoded->sources[i].text == good.sources[i].text);
    CHECK(decoded->sources[i].objects == good.sources[i].objects);
  }
  auto nothing = decode(encode({}));
  REQUIRE(nothing);
  CHECK(nothing->sources.empty());
  CHECK(!nothing->mesh_config);
}

TEST_CASE("damaged bytes are refused, whichever is wrong and wherever they end") {
  const std::string whole = encode(some_rules());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    CAPTURE(i);
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    CHECK(!decode(damaged));
    CHECK(!decode(std::string_view(whole).substr(0, i)));
  }
  CHECK(!decode(whole + "x"));
}

TEST_CASE("each kind of damage has its words") {
  const std::string whole = encode(some_rules());
  CHECK(decode("").error().to_text() == "not a file of stored rules (wrong first bytes)");
  CHECK(decode(whole.substr(0, 12)).error().to_text() == "cut short: 12 bytes");
  std::string newer = whole;
  newer[11] = 2;
  CHECK(decode(newer).error().to_text() == "format 2, this program reads 1");
}
