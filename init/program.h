// SPDX-License-Identifier: Apache-2.0
// weir-init without its process: what it is given, what it prints, its exit code.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ip.h"
#include "capture/options.h"
#include "capture/redirector.h"
#include "init/command_line.h"
#include "init/enrolment.h"
#include "init/validation.h"

namespace weir::init {

struct World {
  std::map<std::string, std::string> environment;
  capture::Accounts accounts;
  Machine machine;
  std::function<Result<std::vector<IpAddr>>()> sandbox_addresses;
  std::function<Result<>(const Validation&)> validate;
  /// Runs until it is told to end (watch.h).
  std::function<Result<>(const std::vector<std::string>& names)> watch_domains;
  /// Replaces the file's content.
  std::function<Result<>(const std::string& file, const std::string& text)> write_file;
};

struct Printed {
  int exit_code = 0;
  std::string out, err;
};

/// `arguments` without the program's name.
Printed run(const std::vector<std::string>& arguments, const World& world);

/// weir-init as it is: the environment and the network namespace of the calling thread, its output printed; the exit code. For
/// weir-init's main and for `weirctl capture`.
int run_here(const std::vector<std::string>& arguments);

/// The packet that `explain` judges. `own`: the sandbox's addresses.
capture::Packet packet_of(const Question& question, const std::vector<IpAddr>& own);

}  // namespace weir::init
