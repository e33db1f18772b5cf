// SPDX-License-Identifier: Apache-2.0
#include "xds/node.h"

#include <algorithm>

#include "base/text.h"
#include "xds/proto/core.pb.h"

namespace weir::xds {

namespace {

using Node = envoy::config::core::v3::Node;

constexpr std::size_t kMaxId = 512;
constexpr int kMaxEntries = 64;

std::string text_of(const Node& node, const std::string& key) {
  auto it = node.metadata().fields().find(key);
  return it == node.metadata().fields().end() ? std::string() : it->second.string_value();
}

void add_ips(std::string_view list, std::vector<IpAddr>& ips) {
  for (std::string_view part : split(list, ',')) {
    auto address = IpAddr::parse(trim(part));
    if (!address || ips.size() >= kMaxEntries) continue;
    if (std::find(ips.begin(), ips.end(), *address) == ips.end()) ips.push_back(*address);
  }
}

void set_text(Node& node, const char* key, const std::string& value) {
  if (!value.empty()) (*node.mutable_metadata()->mutable_fields())[key].set_string_value(value);
}

}  // namespace

Result<NodeIdentity> parse_node(const Node& node) {
  if (node.id().size() > kMaxId) return fail(ErrorCode::protocol, "node id has {} bytes, at most {}", node.id().size(), kMaxId);
  std::vector<std::string_view> parts = split(node.id(), '~');
  if (parts.size() != 4) {
    return fail(ErrorCode::protocol, "node id \"{}\" has {} parts; want \"sidecar~IP~NAME.NAMESPACE~DOMAIN\"",
                printable(node.id()), parts.size());
  }
  NodeIdentity identity;
  identity.id = node.id();
  identity.type = parts[0];
  auto address = IpAddr::parse(parts[1]);
  if (!address) return pass(address.error(), fmt::format("node id \"{}\": second part", printable(node.id())));
  identity.ips.push_back(*address);
  add_ips(text_of(node, "INSTANCE_IPS"), identity.ips);
  // Pod names may have dots, namespaces may not.
  std::size_t dot = parts[2].rfind('.');
  identity.name = parts[2].substr(0, dot);
  identity.ns = dot == std::string_view::npos ? text_of(node, "NAMESPACE") : std::string(parts[2].substr(dot + 1));
  if (identity.name.empty() || identity.ns.empty()) {
    return fail(ErrorCode::protocol, "node id \"{}\": third part \"{}\" is not NAME.NAMESPACE", printable(node.id()),
                printable(parts[2]));
  }
  identity.domain = parts[3];
  identity.cluster = node.cluster();
  identity.user_agent = node.user_agent_name();
  if (!node.user_agent_version().empty()) identity.user_agent += " " + node.user_agent_version();
  identity.generator = text_of(node, "GENERATOR");
  identity.interception = text_of(node, "INTERCEPTION_MODE");
  auto labels = node.metadata().fields().find("LABELS");
  if (labels != node.metadata().fields().end()) {
    const auto& fields = labels->second.struct_value().fields();
    if (fields.size() > kMaxEntries)
      return fail(ErrorCode::protocol, "node has {} labels, at most {}", fields.size(), kMaxEntries);
    for (const auto& [key, value] : fields) identity.labels[key] = value.string_value();
  }
  return identity;
}

Node make_node(const NodeIdentity& identity) {
  Node node;
  node.set_id(identity.id);
  node.set_cluster(identity.cluster);
  std::size_t blank = identity.user_agent.find(' ');
  node.set_user_agent_name(identity.user_agent.substr(0, blank));
  if (blank != std::string::npos) node.set_user_agent_version(identity.user_agent.substr(blank + 1));
  set_text(node, "NAMESPACE", identity.ns);
  set_text(node, "NAME", identity.name);
  set_text(node, "GENERATOR", identity.generator);
  set_text(node, "INTERCEPTION_MODE", identity.interception);
  set_text(node, "ISTIO_VERSION", "1.30.0");  // gates features of an istiod
  std::vector<std::string> ips;
  for (const IpAddr& ip : identity.ips) ips.push_back(ip.to_text());
  set_text(node, "INSTANCE_IPS", join(ips, ","));
  auto& labels = *(*node.mutable_metadata()->mutable_fields())["LABELS"].mutable_struct_value()->mutable_fields();
  for (const auto& [key, value] : identity.labels) labels[key].set_string_value(value);
  return node;
}

}  // namespace weir::xds
