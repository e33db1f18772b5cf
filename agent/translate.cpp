// SPDX-License-Identifier: Apache-2.0
#include "agent/translate.h"

#include "agent/translate_parts.h"

namespace weir::agent {

xds::ResourceSet translate(const mesh::Store& store, const MeshSettings& settings, const ProxyIdentity& proxy) {
  MeshView view(store, settings, proxy);
  xds::ResourceSet out;
  translate_clusters(view, out);
  translate_endpoints(view, out);
  translate_outbound_listeners(view, out);
  translate_inbound_listener(view, out);
  translate_routes(view, out);
  return out;
}

}  // namespace weir::agent
