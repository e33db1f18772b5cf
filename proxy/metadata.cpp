// SPDX-License-Identifier: Apache-2.0
#include "proxy/metadata.h"

#include <google/protobuf/struct.pb.h>

#include "base/text.h"
#include "xds/proto/core.pb.h"

namespace weir::proxy {

namespace {

using envoy::config::core::v3::Metadata;
using google::protobuf::Struct;
using google::protobuf::Value;

const Struct& struct_of(const Metadata& metadata, const char* key) {
  auto it = metadata.filter_metadata().find(key);
  return it == metadata.filter_metadata().end() ? Struct::default_instance() : it->second;
}

const Value& field(const Struct& from, const char* key) {
  auto it = from.fields().find(key);
  return it == from.fields().end() ? Value::default_instance() : it->second;
}

/// "destination-rule" → "DestinationRule".
std::string kind_of(std::string_view word) {
  std::string kind;
  bool upper = true;
  for (char c : word) {
    if (c == '-') {
      upper = true;
      continue;
    }
    kind += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    upper = false;
  }
  return kind;
}

/// "/apis/<group>/<version>/namespaces/<ns>/<kind>/<name>".
std::string istio_rule(std::string_view config) {
  std::vector<std::string_view> parts = split(config, '/');
  if (parts.size() != 8 || parts[1] != "apis" || parts[4] != "namespaces") return std::string(config);
  return fmt::format("{} {}/{}", kind_of(parts[6]), parts[5], parts[7]);
}

}  // namespace

RuleRef rule_of(const Metadata& metadata) {
  const Struct& own = struct_of(metadata, "weir");
  RuleRef rule{field(own, "rule").string_value(), field(own, "file").string_value(),
               static_cast<int>(field(own, "line").number_value())};
  if (rule.rule.empty()) {
    const std::string& config = field(struct_of(metadata, "istio"), "config").string_value();
    if (!config.empty()) rule.rule = istio_rule(config);
  }
  return rule;
}

ServiceLabels service_of(const Metadata& metadata, std::string_view cluster_name) {
  ServiceLabels labels;
  const Value& services = field(struct_of(metadata, "istio"), "services");
  if (services.list_value().values_size() == 0) {
    if (cluster_name.find('|') == std::string_view::npos) labels.name = cluster_name;
    return labels;
  }
  const Struct& service = services.list_value().values(0).struct_value();
  auto set = [&](std::string& into, const char* key) {
    if (const std::string& text = field(service, key).string_value(); !text.empty()) into = text;
  };
  set(labels.host, "host");
  set(labels.name, "name");
  set(labels.ns, "namespace");
  return labels;
}

std::string workload_of(const Metadata& metadata) { return field(struct_of(metadata, "istio"), "workload").string_value(); }

}  // namespace weir::proxy
