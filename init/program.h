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
#include "init/explain.h"
#include "init/prober.h"
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
  std::function<Result<std::unique_ptr<Prober>>(const Wanted&)> probe;
  /// Replaces the file's content.
  std::function<Result<>(const std::string& file, const std::string& text)> write_file;
};

struct Printed {
  int exit_code = 0;
  std::string out, err;
};

/// `arguments` without the program's name.
Printed run(const std::vector<std::string>& arguments, const World& world);

/// The environment, and the network namespace of the calling thread.
World world_here();

/// weir-init as it is: the environment and the network namespace of the calling thread, its output printed; the exit code. For
/// weir-init's main and for `weirctl capture`.
int run_here(const std::vector<std::string>& arguments);

}  // namespace weir::init
