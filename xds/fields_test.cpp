// SPDX-License-Identifier: Apache-2.0
// Every field that a real control plane was seen to send must be in our subset, else it would be lost in silence.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <set>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "base/text.h"
#include "xds/messages.h"

using namespace weir;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

namespace {

const std::map<std::string, std::string> kRoots = {
    {"cluster", "envoy.config.cluster.v3.Cluster"},
    {"endpoint_config", "envoy.config.endpoint.v3.ClusterLoadAssignment"},
    {"listener", "envoy.config.listener.v3.Listener"},
    {"route_config", "envoy.config.route.v3.RouteConfiguration"},
};

const Descriptor* type_named(const std::string& name) {
  auto message = xds::new_message_of(name);
  return message ? message->GetDescriptor() : nullptr;
}

/// The keys of maps have dots of their own; they become one word.
std::string without_keys(std::string path) {
  for (std::string key :
       {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "envoy.filters.http.cors", "envoy.filters.http.fault"}) {
    if (auto at = path.find("." + key + "."); at != std::string::npos) path.replace(at + 1, key.size(), "KEY");
  }
  return path;
}

bool is_leaf(const Descriptor& type) { return type.file()->name().rfind("google/protobuf/", 0) == 0 && type.name() != "Any"; }

/// "" if the path leads to a field of `type`; else the word at which it is lost.
std::string lost_at(const Descriptor* type, const std::vector<std::string_view>& words, std::size_t at,
                    const std::set<std::string>& any_types) {
  if (at == words.size() || is_leaf(*type)) return "";
  if (type->full_name() == "google.protobuf.Any") {
    for (const std::string& inner : any_types) {
      if (type_named(inner) != nullptr && lost_at(type_named(inner), words, at, any_types).empty()) return "";
    }
    return std::string(words[at]);
  }
  std::string_view word = words[at].substr(0, words[at].find('['));
  const FieldDescriptor* field = type->FindFieldByName(std::string(word));
  if (field == nullptr) return std::string(word);
  if (field->is_map()) {
    ++at;
    field = field->message_type()->map_value();
  }
  return field->message_type() == nullptr ? "" : lost_at(field->message_type(), words, at + 1, any_types);
}

}  // namespace

TEST_CASE("every field and every type that an istiod sends is known") {
  std::ifstream file(WEIR_TESTDATA "/istiod-fields.txt");
  std::vector<std::string> paths;
  std::set<std::string> any_types;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (auto at = line.find("@type "); at != std::string::npos) {
      any_types.insert(line.substr(at + 6));
    } else {
      paths.push_back(without_keys(line));
    }
  }
  REQUIRE(paths.size() > 150);
  for (const std::string& type : any_types) CHECK_MESSAGE(type_named(type) != nullptr, type);
  for (const std::string& path : paths) {
    auto words = split(path, '.');
    CHECK_MESSAGE(lost_at(type_named(kRoots.at(std::string(words[0]))), words, 1, any_types) == "", path);
  }
}
