// SPDX-License-Identifier: Apache-2.0
// Backends by name, and enrolment with roll-back: what weir-init, and later others, do with a plan.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "capture/redirector.h"
#include "init/drain.h"

namespace weir::init {

struct BackendOptions {
  bool force = false;  ///< program even what is there already
};

struct Backend {
  std::string_view name;
  std::string_view meaning;
  /// For the network namespace of the calling thread.
  std::unique_ptr<capture::Redirector> (*make)(const BackendOptions& options);
};
/// The first is the default; `auto` tries them in this order.
std::span<const Backend> backends();

/// What weir-init asks of the machine about backends; injected, so that tests need no kernel.
struct Machine {
  /// For the network namespace of the calling thread; the name is one of backends().
  std::function<std::unique_ptr<capture::Redirector>(std::string_view name, const BackendOptions& options)> make;
  /// Names of the backends that have programmed it.
  std::function<std::vector<std::string>()> standing = [] { return std::vector<std::string>(); };
  /// Held while something is changed, so that those who change it come one after the other. None in vain: what is done then is as
  /// safe as the backend makes it.
  std::function<UniqueFd()> lock = [] { return UniqueFd(); };
  DrainWorld drains;
};
Machine this_machine();

struct Enrolled {
  std::string backend;
  capture::Applied applied;
};
/// enrol() with the backend asked for ("": the default; "auto": the first that can, with a note that says why not those before
/// it). Refused if another backend stands: two would both capture. `auto` keeps to the one that stands.
Result<Enrolled> enrol_with(const Machine& machine, std::string_view asked, const BackendOptions& options,
                            const capture::CapturePlan& plan);

/// The backend asked for; if none was asked for (or auto) those that stand, else the default.
std::vector<std::string> backends_to_remove(const Machine& machine, std::string_view asked);

/// Removes what the backend asked for left; if none was asked for (or auto) what every backend left. True if there was something.
/// Forgets the connections that were redirected to `ports`, since nothing translates them any more. `notes`: gets a sentence for
/// what was not whole.
Result<bool> remove_with(const Machine& machine, std::string_view asked, const std::vector<Port>& ports = {},
                         std::vector<std::string>* notes = nullptr);

/// The backend to look at: the one asked for, else the one that stands, else the default.
std::string backend_to_check(const Machine& machine, std::string_view asked);

/// probe → apply → check. If the check fails, what stood before is put back, so that a sandbox is enrolled as it was, anew, or
/// not; never half.
Result<capture::Applied> enrol(capture::Redirector& backend, const capture::CapturePlan& plan);

}  // namespace weir::init
