// SPDX-License-Identifier: Apache-2.0
// The command line of weir-agent as values.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <sys/types.h>

#include "base/ip.h"
#include "base/log.h"
#include "base/problem.h"

namespace weir::agent {

struct UnixListen {
  std::string path;
};
using Listen = std::variant<UnixListen, SocketAddr>;

struct Options {
  std::string rules;
  std::vector<Listen> listens;
  std::vector<Listen> debug_listens;
  bool debug_by_default = false;  ///< nobody asked for debug_listens: if it cannot be, a warning is enough
  std::string mesh_config;
  std::string state_dir;  ///< "": the last good rules are not kept
  std::string domain = "cluster.local";
  mode_t socket_mode = 0660;
  bool allow_plaintext = false;
  bool validate = false;
  log::Level log_level = log::Level::info;
};

struct ParsedOptions {
  std::optional<Options> options;  ///< none: see problems, or text was asked for
  std::vector<Problem> problems;   ///< all mistakes at once
  std::string text;                ///< --help or --version: print and exit 0
};

/// Pure.
ParsedOptions parse_options(int argc, const char* const* argv);

}  // namespace weir::agent
