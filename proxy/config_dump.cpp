// SPDX-License-Identifier: Apache-2.0
#include "proxy/config_dump.h"

#include <algorithm>

#include "base/text.h"
#include "proxy/proto_time.h"
#include "routing/name_filter.h"
#include "xds/messages.h"
#include "xds/proto/admin.pb.h"
#include "xds/proto/bootstrap.pb.h"

namespace weir::proxy {

namespace {

namespace admin = envoy::admin::v3;
using google::protobuf::Any;
using xds::Accepted;
using xds::ResourceState;
using xds::ResourceType;

Any pack(const google::protobuf::Message& message) {
  Any any;
  any.set_type_url("type.googleapis.com/" + message.GetDescriptor()->full_name());
  any.set_value(message.SerializeAsString());
  return any;
}

class Dumper {
 public:
  Dumper(const DumpSource& source, const DumpQuery& query, std::function<bool(std::string_view)> wanted)
      : source_(source), query_(query), wanted_(std::move(wanted)) {}

  Result<std::string> run() {
    admin::BootstrapConfigDump bootstrap;
    *bootstrap.mutable_bootstrap() = source_.bootstrap;
    add(pack(bootstrap), "bootstrap");
    add_clusters();
    if (query_.include_eds || query_.resource.find("endpoint") != std::string::npos) add_endpoints();
    add_listeners();
    add_routes();
    if (query_.resource.empty()) {
      dump_.add_configs()->CopyFrom(pack(admin::SecretsConfigDump()));
      add_unsupported();
    } else if (!known_resource_) {
      return fail(ErrorCode::usage, "\"{}\" is no resource; use one of {}", printable(query_.resource), join(resources_, ", "));
    }
    return xds::to_json(dump_);
  }

 private:
  bool wants(const std::string& name) const { return wanted_(name); }

  /// A whole section, in a full dump.
  void add(Any section, const char* resource) {
    if (is(resource) || query_.resource.empty()) *dump_.add_configs() = std::move(section);
  }
  /// True if only this list is asked for.
  bool is(const char* resource) {
    resources_.emplace_back(resource);
    if (query_.resource != resource) return false;
    known_resource_ = true;
    return true;
  }
  /// Each of a list on its own, where only that list is asked for.
  template <class List>
  void add_list(const char* resource, const List& list) {
    if (!is(resource)) return;
    for (const auto& item : list) *dump_.add_configs() = pack(item);
  }

  Any resource_any(ResourceType type, const Accepted& accepted) const {
    Any any;
    any.set_type_url(std::string(xds::type_url(type)));
    any.set_value(accepted.resource->body);
    return any;
  }
  void set_updated(google::protobuf::Timestamp& into, xds::TimePoint at) const {
    set_timestamp(into,
                  source_.system_now - std::chrono::duration_cast<std::chrono::system_clock::duration>(source_.steady_now - at));
  }
  void set_failure(admin::UpdateFailureState& into, const ResourceState& state) const {
    into.set_details(state.rejected_why);
    into.set_version_info(state.rejected_version);
    set_updated(*into.mutable_last_update_attempt(), state.rejected_at);
  }
  static admin::ClientResourceStatus status_of(const ResourceState& state) {
    if (!state.rejected_why.empty()) return admin::NACKED;
    return state.active || state.warming ? admin::ACKED : admin::REQUESTED;
  }
  std::vector<ResourceState> states(ResourceType type) const {
    std::vector<ResourceState> list = source_.ads == nullptr ? std::vector<ResourceState>() : source_.ads->states(type);
    std::erase_if(list, [&](const ResourceState& state) { return !wants(state.name); });
    return list;
  }
  std::string version(ResourceType type) const { return source_.ads == nullptr ? "" : source_.ads->version(type); }

  template <class Dynamic>
  void fill(Dynamic& into, Any& body, ResourceType type, const ResourceState& state, const Accepted* accepted) const {
    if (accepted != nullptr) {
      body = resource_any(type, *accepted);
      into.set_version_info(accepted->version);
      set_updated(*into.mutable_last_updated(), accepted->updated);
    }
    if (!state.rejected_why.empty()) set_failure(*into.mutable_error_state(), state);
    into.set_client_status(status_of(state));
  }

  void add_clusters() {
    admin::ClustersConfigDump section;
    section.set_version_info(version(ResourceType::cluster));
    for (const auto& cluster : source_.bootstrap.static_resources().clusters())
      if (wants(cluster.name())) *section.add_static_clusters()->mutable_cluster() = pack(cluster);
    for (const ResourceState& state : states(ResourceType::cluster)) {
      if (state.active || !state.warming) {
        auto& into = *section.add_dynamic_active_clusters();
        fill(into, *into.mutable_cluster(), ResourceType::cluster, state, state.active.get());
      }
      if (state.warming) {
        auto& into = *section.add_dynamic_warming_clusters();
        fill(into, *into.mutable_cluster(), ResourceType::cluster, state, state.warming.get());
      }
    }
    if (query_.resource.empty()) return add(pack(section), "");
    add_list("static_clusters", section.static_clusters());
    add_list("dynamic_active_clusters", section.dynamic_active_clusters());
    add_list("dynamic_warming_clusters", section.dynamic_warming_clusters());
  }

  void add_endpoints() {
    admin::EndpointsConfigDump section;
    for (const auto& cluster : source_.bootstrap.static_resources().clusters())
      if (cluster.has_load_assignment() && wants(cluster.name()))
        *section.add_static_endpoint_configs()->mutable_endpoint_config() = pack(cluster.load_assignment());
    for (const ResourceState& state : states(ResourceType::endpoints)) {
      auto& into = *section.add_dynamic_endpoint_configs();
      fill(into, *into.mutable_endpoint_config(), ResourceType::endpoints, state, state.active.get());
    }
    if (query_.resource.empty()) return add(pack(section), "");
    add_list("static_endpoint_configs", section.static_endpoint_configs());
    add_list("dynamic_endpoint_configs", section.dynamic_endpoint_configs());
  }

  void add_listeners() {
    admin::ListenersConfigDump section;
    section.set_version_info(version(ResourceType::listener));
    for (const auto& listener : source_.bootstrap.static_resources().listeners())
      if (wants(listener.name())) *section.add_static_listeners()->mutable_listener() = pack(listener);
    for (const ResourceState& state : states(ResourceType::listener)) {
      auto& into = *section.add_dynamic_listeners();
      into.set_name(state.name);
      into.set_client_status(status_of(state));
      if (!state.rejected_why.empty()) set_failure(*into.mutable_error_state(), state);
      if (state.active) fill_listener(*into.mutable_active_state(), *state.active);
      if (state.warming) fill_listener(*into.mutable_warming_state(), *state.warming);
    }
    if (query_.resource.empty()) return add(pack(section), "");
    add_list("static_listeners", section.static_listeners());
    add_list("dynamic_listeners", section.dynamic_listeners());
  }

  void fill_listener(admin::ListenersConfigDump::DynamicListenerState& into, const Accepted& accepted) const {
    into.set_version_info(accepted.version);
    *into.mutable_listener() = resource_any(ResourceType::listener, accepted);
    set_updated(*into.mutable_last_updated(), accepted.updated);
  }

  void add_routes() {
    admin::RoutesConfigDump section;
    for (const ResourceState& state : states(ResourceType::route)) {
      auto& into = *section.add_dynamic_route_configs();
      fill(into, *into.mutable_route_config(), ResourceType::route, state, (state.active ? state.active : state.warming).get());
    }
    if (query_.resource.empty()) return add(pack(section), "");
    add_list("dynamic_route_configs", section.dynamic_route_configs());
  }

  void add_unsupported() {
    google::protobuf::Struct section;
    auto& list = *(*section.mutable_fields())["unsupported"].mutable_list_value();
    for (const Problem& problem : source_.unsupported) {
      auto& fields = *list.add_values()->mutable_struct_value()->mutable_fields();
      fields["object"].set_string_value(problem.object);
      fields["path"].set_string_value(problem.path);
      fields["message"].set_string_value(problem.message);
    }
    *dump_.add_configs() = pack(section);
  }

  const DumpSource& source_;
  const DumpQuery& query_;
  std::function<bool(std::string_view)> wanted_;
  admin::ConfigDump dump_;
  std::vector<std::string> resources_;
  bool known_resource_ = false;
};

}  // namespace

Result<std::string> config_dump(const DumpSource& source, const DumpQuery& query) {
  auto wanted = routing::compile_name_filter(query.name_regex, true);
  if (!wanted) return pass(wanted.error(), "name_regex");
  return Dumper(source, query, std::move(*wanted)).run();
}

}  // namespace weir::proxy
