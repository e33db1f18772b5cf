// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace weir::proxy {

/// Where the agent listens.
struct AgentTarget {
  std::string unix_path;              ///< if not empty, the only way
  std::vector<SocketAddr> addresses;  ///< tried in turn
  std::string text;                   ///< as it was written, for messages
  /// For :authority.
  std::string authority() const { return unix_path.empty() ? text : "localhost"; }
};

/// "unix:PATH", "IP:PORT", "[IP]:PORT" or "localhost:PORT" (both families). Other names are errors (usage): nothing resolves
/// names yet, and the proxy's own look-ups must not depend on what it captures.
Result<AgentTarget> parse_agent_target(std::string_view text);

}  // namespace weir::proxy
