// SPDX-License-Identifier: Apache-2.0
// The optional bootstrap file: a subset of Envoy's, as YAML or JSON.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/problem.h"
#include "proxy/agent_target.h"
#include "proxy/yaml_message.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::proxy {

struct Bootstrap {
  std::shared_ptr<envoy::config::bootstrap::v3::Bootstrap> message;  ///< never null; without the cluster of the agent
  std::string file;
  FieldLines lines;
  std::optional<SocketAddr> admin;
  std::optional<AgentTarget> agent;  ///< from dynamic_resources.ads_config's cluster
};

/// Pure. Problems with severity error: the file must not be used. `file` is for the messages.
struct ReadBootstrap {
  Bootstrap bootstrap;
  std::vector<Problem> problems;
};
ReadBootstrap parse_bootstrap(std::string_view file, std::string_view text);

/// Gives problems whose path is relative to static_resources file, line and full path.
void locate(const Bootstrap& bootstrap, std::vector<Problem>& problems);

}  // namespace weir::proxy
