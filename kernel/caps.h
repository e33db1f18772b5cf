// SPDX-License-Identifier: Apache-2.0
// Capabilities of this process (capabilities(7)).
#pragma once

#include <string>
#include <string_view>

namespace weir::kernel {

/// True if CAP_NET_ADMIN is effective for the calling thread in its own user namespace. Note: it must also be held in the user
/// namespace that owns the network namespace; only trying tells.
bool has_net_admin();
/// "CAP_NET_ADMIN is missing; run it as root, with sudo, or give the container capabilities: add: [NET_ADMIN]"
std::string net_admin_hint();

}  // namespace weir::kernel
