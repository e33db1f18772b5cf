// SPDX-License-Identifier: Apache-2.0
#include "xds/metadata.h"

#include <doctest/doctest.h>

#include <limits>

#include <google/protobuf/text_format.h>

#include "xds/proto/core.pb.h"

using namespace weir;

namespace {

RuleRef rule(const char* text) {
  envoy::config::core::v3::Metadata metadata;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &metadata));
  return xds::rule_of(metadata);
}

RuleRef rule_at(double line) {
  envoy::config::core::v3::Metadata metadata;
  auto& fields = *(*metadata.mutable_filter_metadata())["weir"].mutable_fields();
  fields["rule"].set_string_value("VirtualService shop/r");
  fields["line"].set_number_value(line);
  return xds::rule_of(metadata);
}

}  // namespace

TEST_CASE("a resource's rule is weir's, else Istio's, else none") {
  constexpr const char* kWeir =
      R"(filter_metadata { key: "weir" value {
           fields { key: "rule" value { string_value: "VirtualService shop/r" } }
           fields { key: "file" value { string_value: "a.yaml" } }
           fields { key: "line" value { number_value: 7 } } } })";
  constexpr const char* kIstio =
      R"(filter_metadata { key: "istio" value { fields { key: "config" value {
           string_value: "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/d" } } } })";
  CHECK(rule(kWeir) == RuleRef{"VirtualService shop/r", "a.yaml", 7});
  CHECK(rule(kIstio) == RuleRef{"DestinationRule shop/d", "", 0});
  CHECK(rule((std::string(kIstio) + kWeir).c_str()) == RuleRef{"VirtualService shop/r", "a.yaml", 7});
  CHECK(rule(R"(filter_metadata { key: "istio" value { fields { key: "config" value { string_value: "odd" } } } })").rule ==
        "odd");
  CHECK(rule("").empty());
}

TEST_CASE("a line that is no line is not known") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (double line : {0.0, -1.0, 0.5, 1e18, infinity, -infinity, std::numeric_limits<double>::quiet_NaN()})
    CHECK(rule_at(line).line == 0);
  CHECK(rule_at(2147483647.0).line == 2147483647);
}
