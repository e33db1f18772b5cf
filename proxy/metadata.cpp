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

}  // namespace

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
