// SPDX-License-Identifier: Apache-2.0
// What the rules should be: by the flags given, or, if none is given, by those that the standing rules keep. So a person who
// does not know how a sandbox was enrolled can still check, explain and test it.
#pragma once

#include <optional>
#include <string>

#include "capture/asked.h"
#include "capture/options.h"
#include "capture/plan.h"
#include "init/enrolment.h"

namespace weir::init {

struct Wanted {
  std::string backend;
  capture::AskedOptions asked;
  capture::CapturePolicy policy;
  capture::CapturePlan plan;               ///< with the flags that it keeps
  bool is_read_back = false;               ///< by what stands
  bool nothing_stands = false;             ///< and nothing was asked
  std::optional<capture::Drain> draining;  ///< remove --live has been here, and nothing was asked

  std::string flags_text() const;  ///< "--istio-inbound-ports=*", "none" for the default policy
  std::string where_from() const;  ///< "given", "kept by the rules", …
};

/// The policy that was asked for, without asking the machine.
Wanted wanted_by_flags(const capture::AskedOptions& asked, const capture::CapturePolicy& policy, std::string backend);

/// If flags make a policy, that one (kept in the words that stand if those mean the same); else the one that stands. An error
/// (environment) if nothing is asked and what stands does not keep its flags; if nothing stands at all, the default policy.
Result<Wanted> wanted(const Machine& machine, std::string_view asked_backend, const capture::AskedOptions& asked,
                      const capture::CapturePolicy& policy, const capture::Accounts& accounts);

}  // namespace weir::init
