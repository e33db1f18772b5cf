// SPDX-License-Identifier: Apache-2.0
#include "ctl/config_dump.h"

#include <boost/json.hpp>
#include <google/protobuf/util/json_util.h>

#include "base/json.h"
#include "base/text.h"
#include "xds/messages.h"
#include "xds/proto/admin.pb.h"

namespace weir::ctl {

namespace {

namespace admin = envoy::admin::v3;
namespace json = boost::json;

/// protobuf's reader gives up on a whole document at an Any of unknown type: such a one becomes a Struct that names the type.
void tame(json::value& value) {
  if (auto* list = value.if_array()) {
    for (json::value& item : *list) tame(item);
    return;
  }
  auto* object = value.if_object();
  if (object == nullptr) return;
  if (const auto* type = object->if_contains("@type"); type != nullptr && type->is_string()) {
    const std::string_view url(type->get_string().data(), type->get_string().size());
    if (url != "type.googleapis.com/google.protobuf.Struct" && !xds::new_message_of(url.substr(url.rfind('/') + 1))) {
      *object =
          json::object{{"@type", "type.googleapis.com/google.protobuf.Struct"}, {"value", json::object{{"unknown_type", url}}}};
      return;
    }
  }
  for (auto& member : *object) tame(member.value());
}

template <class Message>
Result<Message> read(const json::value& value, const std::string& where) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  json::object object = value.as_object();
  object.erase("@type");
  Message message;
  auto status = google::protobuf::util::JsonStringToMessage(json::serialize(object), &message, options);
  if (!status.ok()) return fail(ErrorCode::usage, "{}: {}", where, std::string(status.message()));
  return message;
}

class Reader {
 public:
  Result<> section(const json::value& value, const std::string& where) {
    const auto* type = value.is_object() ? value.get_object().if_contains("@type") : nullptr;
    if (type == nullptr || !type->is_string()) return fail(ErrorCode::usage, "{}: has no @type", where);
    const std::string_view url(type->get_string().data(), type->get_string().size());
    const std::string_view name = url.substr(url.rfind('.') + 1);
    if (name == "BootstrapConfigDump") return bootstrap(value, where);
    if (name == "ClustersConfigDump") return clusters(value, where);
    if (name == "EndpointsConfigDump") return endpoints(value, where);
    if (name == "ListenersConfigDump") return listeners(value, where);
    if (name == "RoutesConfigDump") return routes(value, where);
    return {};
  }
  ConfigDump dump;

 private:
  template <class Message>
  Result<> take(const google::protobuf::Any& any, std::vector<Message>& into, const std::string& where) {
    if (any.type_url().empty()) return {};
    Message message;
    if (auto unpacked = xds::unpack_any(any, message); !unpacked) return pass(unpacked.error(), where);
    into.push_back(std::move(message));
    return {};
  }

  Result<> bootstrap(const json::value& value, const std::string& where) {
    auto section = read<admin::BootstrapConfigDump>(value, where);
    if (!section) return pass(section.error());
    if (auto node = xds::parse_node(section->bootstrap().node())) dump.node = std::move(*node);
    return {};
  }
  Result<> clusters(const json::value& value, const std::string& where) {
    auto section = read<admin::ClustersConfigDump>(value, where);
    if (!section) return pass(section.error());
    for (const auto& entry : section->static_clusters())
      if (auto taken = take(entry.cluster(), dump.resources.clusters, where); !taken) return taken;
    for (const auto* list : {&section->dynamic_active_clusters(), &section->dynamic_warming_clusters()})
      for (const auto& entry : *list)
        if (auto taken = take(entry.cluster(), dump.resources.clusters, where); !taken) return taken;
    return {};
  }
  Result<> endpoints(const json::value& value, const std::string& where) {
    auto section = read<admin::EndpointsConfigDump>(value, where);
    if (!section) return pass(section.error());
    dump.has_endpoints = true;
    for (const auto& entry : section->static_endpoint_configs())
      if (auto taken = take(entry.endpoint_config(), dump.resources.endpoints, where); !taken) return taken;
    for (const auto& entry : section->dynamic_endpoint_configs())
      if (auto taken = take(entry.endpoint_config(), dump.resources.endpoints, where); !taken) return taken;
    return {};
  }
  Result<> listeners(const json::value& value, const std::string& where) {
    auto section = read<admin::ListenersConfigDump>(value, where);
    if (!section) return pass(section.error());
    for (const auto& entry : section->static_listeners())
      if (auto taken = take(entry.listener(), dump.resources.listeners, where); !taken) return taken;
    for (const auto& entry : section->dynamic_listeners())
      if (auto taken = take(entry.active_state().listener(), dump.resources.listeners, where); !taken) return taken;
    return {};
  }
  Result<> routes(const json::value& value, const std::string& where) {
    auto section = read<admin::RoutesConfigDump>(value, where);
    if (!section) return pass(section.error());
    for (const auto& entry : section->static_route_configs())
      if (auto taken = take(entry.route_config(), dump.resources.routes, where); !taken) return taken;
    for (const auto& entry : section->dynamic_route_configs())
      if (auto taken = take(entry.route_config(), dump.resources.routes, where); !taken) return taken;
    return {};
  }
};

}  // namespace

Result<ConfigDump> read_config_dump(std::string_view text) {
  auto document = parse_json(text);
  if (!document) return pass(document.error());
  tame(*document);
  const auto* configs = document->is_object() ? document->get_object().if_contains("configs") : nullptr;
  if (configs == nullptr || !configs->is_array())
    return fail(ErrorCode::usage, "has no list \"configs\"; save it with: curl -s 'localhost:15000/config_dump?include_eds'");
  Reader reader;
  std::size_t i = 0;
  for (const json::value& config : configs->get_array())
    if (auto read = reader.section(config, fmt::format("configs[{}]", i++)); !read) return pass(read.error());
  return std::move(reader.dump);
}

}  // namespace weir::ctl
