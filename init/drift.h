// SPDX-License-Identifier: Apache-2.0
// How what stands differs from what should, and its repair.
#pragma once

#include <string>
#include <vector>

#include "capture/redirector.h"
#include "init/wanted.h"

namespace weir::init {

struct Checked {
  std::vector<std::string> mended;       ///< what differed before a repair, and does not any more
  std::vector<std::string> differences;  ///< what differs, one sentence each with its remedy
  std::vector<std::string> foreign;      ///< rules of others in front of ours
  bool is_sound() const { return differences.empty() && foreign.empty(); }
};

/// Changes nothing.
Result<Checked> check(capture::Redirector& backend, const capture::CapturePlan& plan);

/// Puts right what differs, as the backend's apply does: on nft in one transaction, so that no packet finds the rules half there,
/// and connections go on. Rules of others stay. Holds the machine's lock.
Result<Checked> repair(const Machine& machine, capture::Redirector& backend, const capture::CapturePlan& plan);

std::string to_text(const Checked& checked, const Wanted& wanted, bool is_repair);
std::string to_json(const Checked& checked, const Wanted& wanted, bool is_repair);

}  // namespace weir::init
