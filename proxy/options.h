// SPDX-License-Identifier: Apache-2.0
// The command line of weir-proxy as values.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/ip.h"
#include "base/log.h"
#include "base/problem.h"
#include "proxy/agent_target.h"
#include "proxy/identity.h"

namespace weir::proxy {

struct Options {
  std::optional<AgentTarget> agent;
  std::string bootstrap;  ///< file, "" = none
  std::string state_dir;
  IdentityFlags identity;
  unsigned concurrency = 0;  ///< 0 = by CPU quota
  std::vector<Port> capture_ports{15001, 15006};
  std::optional<Port> admin_port, status_port, health_port, metrics_port;  ///< nullopt = not served; 0 = the kernel chooses
  std::chrono::milliseconds drain_time{5'000};
  std::chrono::milliseconds drain_limit{45'000};
  std::chrono::milliseconds config_wait{30'000};
  std::chrono::milliseconds detect_limit{15'000};
  std::optional<pid_t> follow;
  bool allow_root = false;
  bool heartbeat = true;
  std::chrono::milliseconds heartbeat_interval{500};
  bool validate = false;
  log::Level log_level = log::Level::info;
};

struct ParsedOptions {
  std::optional<Options> options;  ///< none: see problems, or text was asked for
  std::vector<Problem> problems;   ///< all mistakes at once; warnings too
  std::string text;                ///< --help or --version: print and exit 0
};

/// Pure. Leading words "proxy" and "sidecar" (as Istio's containers have them) are accepted. `environment` gives the defaults
/// that Istio reads from it: TERMINATION_DRAIN_DURATION_SECONDS, MINIMUM_DRAIN_DURATION.
ParsedOptions parse_options(int argc, const char* const* argv,
                            const std::function<std::optional<std::string>(const std::string&)>& environment);

}  // namespace weir::proxy
