// SPDX-License-Identifier: Apache-2.0
#include "agent/dump.h"

#include <memory>

#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include "agent/xds_values.h"

namespace weir::agent {
namespace {

template <class Messages>
void add(std::string& out, std::string_view name, const Messages& messages, std::string_view end) {
  out += fmt::format("\"{}\": [", name);
  for (std::size_t i = 0; i < messages.size(); ++i) out += (i == 0 ? "\n" : ",\n") + to_json(messages[i]);
  out += fmt::format("]{}\n", end);
}

}  // namespace

std::string to_json(const google::protobuf::Message& message) {
  static const std::unique_ptr<google::protobuf::util::TypeResolver> resolver(
      google::protobuf::util::NewTypeResolverForDescriptorPool("type.googleapis.com",
                                                               google::protobuf::DescriptorPool::generated_pool()));
  // From bytes, not from the message: the order of a map's entries is fixed only there.
  google::protobuf::Any packed;
  pack(message, packed);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string out;
  auto status = google::protobuf::util::BinaryToJsonString(resolver.get(), packed.type_url(), packed.value(), &out, options);
  return status.ok() ? out : "\"" + status.ToString() + "\"\n";
}

std::string to_json(const xds::ResourceSet& resources) {
  std::string out = "{\n";
  add(out, "clusters", resources.clusters, ",");
  add(out, "endpoints", resources.endpoints, ",");
  add(out, "listeners", resources.listeners, ",");
  add(out, "routes", resources.routes, "");
  return out + "}\n";
}

}  // namespace weir::agent
