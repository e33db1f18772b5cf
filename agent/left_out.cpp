// SPDX-License-Identifier: Apache-2.0
#include "agent/left_out.h"

#include "agent/translate_parts.h"
#include "base/text.h"

namespace weir::agent {
namespace {

/// The same conditions as concerns(), in words.
std::string why_not(const MeshView& view, const mesh::HttpMatch& match, Port port) {
  if (match.port && *match.port != port) return fmt::format("it is for port {}", *match.port);
  if (!match.gateways.empty()) return fmt::format("it is for the gateways {}, not for the mesh", join(match.gateways, ", "));
  if (!match.source_namespace.empty() && match.source_namespace != view.ns())
    return fmt::format("it is for callers of namespace {}", match.source_namespace);
  std::vector<std::string> labels;
  for (const auto& [name, value] : match.source_labels) labels.push_back(name + "=" + value);
  return "it is for callers with the labels " + join(labels, ", ");
}

}  // namespace

std::vector<LeftOut> left_out(const mesh::Store& store, const MeshSettings& settings, const ProxyIdentity& proxy,
                              const std::string& rule, Port port) {
  std::vector<LeftOut> found;
  const MeshView view(store, settings, proxy);
  for (const mesh::VirtualService* service : view.virtual_services()) {
    if (service->meta.key.to_text() != rule) continue;
    for (const mesh::HttpRoute& route : service->http)
      for (const mesh::HttpMatch& match : route.match)
        if (!concerns(view, match, port)) found.push_back({match.where, route.name, why_not(view, match, port)});
  }
  return found;
}

}  // namespace weir::agent
