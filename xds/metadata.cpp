// SPDX-License-Identifier: Apache-2.0
#include "xds/metadata.h"

#include <google/protobuf/struct.pb.h>
#include <limits>

#include "base/text.h"
#include "xds/proto/core.pb.h"

namespace weir::xds {

namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

const Value& field(const Struct& from, const char* key) {
  auto it = from.fields().find(key);
  return it == from.fields().end() ? Value::default_instance() : it->second;
}

/// Metadata is anybody's: NaN, infinite and too large numbers are undefined as an int.
int to_line(double number) { return number >= 1 && number <= std::numeric_limits<int>::max() ? static_cast<int>(number) : 0; }

/// "virtual-service" → "VirtualService".
std::string pascal_case(std::string_view kebab) {
  std::string text;
  for (std::string_view part : split(kebab, '-')) {
    if (part.empty()) continue;
    text += static_cast<char>(part[0] >= 'a' && part[0] <= 'z' ? part[0] - 'a' + 'A' : part[0]);
    text += part.substr(1);
  }
  return text;
}

std::string istio_rule(const std::string& config) {
  const std::vector<std::string_view> parts = split(config, '/');
  if (parts.size() != 8 || parts[1] != "apis" || parts[4] != "namespaces") return config;
  return fmt::format("{} {}/{}", pascal_case(parts[6]), parts[5], parts[7]);
}

}  // namespace

RuleRef rule_of(const envoy::config::core::v3::Metadata& metadata) {
  const auto& sections = metadata.filter_metadata();
  RuleRef rule;
  if (auto own = sections.find("weir"); own != sections.end())
    rule = {field(own->second, "rule").string_value(), field(own->second, "file").string_value(),
            to_line(field(own->second, "line").number_value())};
  if (auto istio = sections.find("istio"); rule.rule.empty() && istio != sections.end())
    rule.rule = istio_rule(field(istio->second, "config").string_value());
  return rule;
}

}  // namespace weir::xds
