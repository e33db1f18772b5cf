// SPDX-License-Identifier: Apache-2.0
// Backends by name, and enrolment with roll-back: what weir-init, and later others, do with a plan.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "capture/redirector.h"

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
/// The first is the default.
std::span<const Backend> backends();

/// probe → apply → check. If the check fails, what stood before is put back, so that a sandbox is enrolled as it was, anew, or
/// not; never half.
Result<capture::Applied> enrol(capture::Redirector& backend, const capture::CapturePlan& plan);

}  // namespace weir::init
