// SPDX-License-Identifier: Apache-2.0
#include "agent/debug_pages.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "xds/messages.h"
#include "xds/proto/admin.pb.h"

namespace weir::agent {
namespace {

namespace json = boost::json;
namespace admin = envoy::admin::v3;
using xds::ResourceType;

/// istiod's prefix of a type's fields.
constexpr std::string_view kPrefixes[xds::kTypeCount] = {"cluster", "endpoint", "listener", "route"};

const RuleDigest* find(const std::vector<RuleDigest>* digests, const std::string& rule) {
  if (digests == nullptr) return nullptr;
  auto found = std::lower_bound(digests->begin(), digests->end(), rule,
                                [](const RuleDigest& a, const std::string& b) { return a.rule < b; });
  return found == digests->end() || found->rule != rule ? nullptr : &*found;
}

json::object rule_object(const RuleDigest& digest, ResourceType type, std::string_view state) {
  json::array lines;
  for (int line : digest.lines) lines.push_back(line);
  return {{"rule", digest.rule}, {"file", digest.file}, {"lines", lines}, {"type", xds::short_name(type)}, {"state", state}};
}

/// A rule is accepted if the proxy has accepted exactly what it makes now.
void add_rules(const ProxyStatus& proxy, ResourceType type, json::array& out) {
  const auto& rules = proxy.rules[xds::index(type)];
  if (!rules.wanted) return;
  const std::string_view type_state = state_of(proxy.types[xds::index(type)]);
  const std::string_view pending = type_state == "SYNCED" ? std::string_view("STALE") : type_state;
  for (const RuleDigest& digest : *rules.wanted) {
    const RuleDigest* acked = find(rules.acked.get(), digest.rule);
    out.push_back(rule_object(digest, type, acked != nullptr && *acked == digest ? "SYNCED" : pending));
  }
  // What was taken away counts until the proxy has taken it away too.
  if (!rules.acked || rules.acked == rules.wanted || type_state == "SYNCED") return;
  for (const RuleDigest& digest : *rules.acked)
    if (find(rules.wanted.get(), digest.rule) == nullptr)
      out.push_back(rule_object(digest, type, "REMOVED, " + std::string(pending)));
}

json::object proxy_object(const ProxyStatus& proxy) {
  json::object out{{"cluster_id", proxy.node.cluster},       {"proxy", proxy_name(proxy.node)},
                   {"proxy_type", proxy.node.type},          {"node", proxy.node.id},
                   {"istio_version", proxy.node.user_agent}, {"peer", proxy.peer}};
  json::array types, rules;
  for (ResourceType type : xds::kResourceTypes) {
    const xds::TypeStatus& status = proxy.types[xds::index(type)];
    const std::string prefix(kPrefixes[xds::index(type)]);
    out[prefix + "_sent"] = status.sent_version;
    out[prefix + "_acked"] = status.acked_version;
    json::object entry{{"type", xds::short_name(type)},
                       {"state", state_of(status)},
                       {"sent", status.sent},
                       {"acked", status.acked},
                       {"nacked", status.nacked}};
    if (!status.nacked_version.empty()) {
      entry["nacked_version"] = status.nacked_version;
      entry["reason"] = status.nack_message;
    }
    types.push_back(std::move(entry));
    add_rules(proxy, type, rules);
  }
  out["types"] = std::move(types);
  out["rules"] = std::move(rules);
  return out;
}

google::protobuf::Any pack(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.set_type_url("type.googleapis.com/" + message.GetDescriptor()->full_name());
  any.set_value(message.SerializeAsString());
  return any;
}

google::protobuf::Any body_of(ResourceType type, const xds::Resource& resource) {
  google::protobuf::Any any;
  any.set_type_url(std::string(xds::type_url(type)));
  any.set_value(resource.body);
  return any;
}

std::string dump(const xds::Snapshot& snapshot) {
  admin::ClustersConfigDump clusters;
  admin::EndpointsConfigDump endpoints;
  admin::ListenersConfigDump listeners;
  admin::RoutesConfigDump routes;
  for (const auto& [name, resource] : snapshot.of(ResourceType::cluster))
    *clusters.add_dynamic_active_clusters()->mutable_cluster() = body_of(ResourceType::cluster, *resource);
  for (const auto& [name, resource] : snapshot.of(ResourceType::endpoints))
    *endpoints.add_dynamic_endpoint_configs()->mutable_endpoint_config() = body_of(ResourceType::endpoints, *resource);
  for (const auto& [name, resource] : snapshot.of(ResourceType::listener)) {
    auto& into = *listeners.add_dynamic_listeners();
    into.set_name(name);
    *into.mutable_active_state()->mutable_listener() = body_of(ResourceType::listener, *resource);
  }
  for (const auto& [name, resource] : snapshot.of(ResourceType::route))
    *routes.add_dynamic_route_configs()->mutable_route_config() = body_of(ResourceType::route, *resource);
  clusters.set_version_info(snapshot.version(ResourceType::cluster));
  listeners.set_version_info(snapshot.version(ResourceType::listener));
  admin::ConfigDump all;
  *all.add_configs() = pack(clusters);
  *all.add_configs() = pack(endpoints);
  *all.add_configs() = pack(listeners);
  *all.add_configs() = pack(routes);
  return xds::to_json(all);
}

}  // namespace

std::string_view state_of(const xds::TypeStatus& status) {
  if (status.sent == 0) return "NOT SENT";
  if (!status.nacked_version.empty()) return "NACKED";
  return status.sent_version == status.acked_version ? "SYNCED" : "STALE";
}

std::string proxy_name(const xds::NodeIdentity& node) { return node.ns.empty() ? node.name : node.name + "." + node.ns; }

std::string syncz(const std::vector<ProxyStatus>& proxies) {
  std::vector<const ProxyStatus*> sorted;
  for (const ProxyStatus& proxy : proxies) sorted.push_back(&proxy);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto* a, const auto* b) { return proxy_name(a->node) < proxy_name(b->node); });
  json::array all;
  for (const ProxyStatus* proxy : sorted) all.push_back(proxy_object(*proxy));
  return pretty_json(all);
}

Result<std::string> config_dump(const std::vector<ProxyStatus>& proxies, std::string_view id) {
  std::vector<std::string> names;
  for (const ProxyStatus& proxy : proxies) {
    names.push_back(proxy_name(proxy.node));
    if (id != names.back() && id != proxy.node.id) continue;
    if (!proxy.snapshot) return fail(ErrorCode::usage, "nothing was made for {} yet", printable(id));
    return dump(*proxy.snapshot);
  }
  std::sort(names.begin(), names.end());
  return fail(ErrorCode::usage, "no proxy \"{}\" is connected; {}", printable(id),
              names.empty() ? "none is" : "connected: " + join(names, ", "));
}

}  // namespace weir::agent
