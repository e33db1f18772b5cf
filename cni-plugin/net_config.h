// SPDX-License-Identifier: Apache-2.0
// weir-cni's own fields of a network configuration.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/duration.h"
#include "base/log.h"
#include "base/problem.h"

namespace weir::cni {

using Texts = std::map<std::string, std::string>;

/// Which pods are enrolled if nothing of themselves says so.
enum class Enrol : std::uint8_t {
  injected,  ///< those whose annotations tell of a sidecar
  all        ///< each one of this network
};

struct NetConfig {
  Enrol enrol = Enrol::injected;
  std::vector<std::string> exclude_namespaces = {"kube-system"};
  /// Defaults of weir-init's flags by long name; a pod's annotations come before them.
  Texts flags = {{"start-gate", "hold:30s"}};
  std::string policy_file;  ///< "": none
  std::string state_dir = "/run/weir/cni";
  std::string log = "auto";  ///< auto, journald, syslog, none, or a file's path
  log::Level log_level = log::Level::info;
  Nanoseconds timeout = std::chrono::seconds(15);
};

struct Field {
  std::string_view name, value, default_text, meaning;
};
/// All of them, for the reader, the help and the manual.
std::span<const Field> fields();

/// Reads the fields and says all that is wrong with them at once; where one is wrong its default stands. A field that nobody
/// knows is warned of only if it looks like one of ours misspelt. Pure.
NetConfig read_net_config(const boost::json::object& config, std::vector<Problem>& problems);

/// The flags that `flags` may set, in the order of weir-init's help.
std::vector<std::string_view> allowed_flags();

}  // namespace weir::cni
