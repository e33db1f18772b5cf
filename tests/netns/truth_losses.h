// SPDX-License-Identifier: Apache-2.0
// Rules that another tool takes away from under weir, and what that must change.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "capture/plan.h"
#include "tests/netns/conformance_program.h"

namespace weir::conformance {

/// All that takes too long for every run: WEIR_TRUTH=whole, by scripts/soak truth.
bool is_whole();
/// "nft" or "legacy", of iptables.
std::string variant();

/// One rule of ours, and how another tool takes it away.
struct Loss {
  std::string command;
  std::string rule;              ///< "outbound comment …" or "-t nat -A WEIR_OUTBOUND …"
  std::optional<Family> family;  ///< none: of both
  bool keeps_flags() const { return rule.find("kept_flags") != rule.npos || rule.find("WEIR_KEPT_FLAGS") != rule.npos; }
};
/// One for each rule of ours that stands, in an order that a repair keeps.
std::vector<Loss> losses();
/// All rules as the other tool shows them, without handles and counters.
std::string dump();

/// Whether judge, without the steps that the rule stands for, decides any of the packets otherwise, or by another step.
bool must_show(const Standing& standing, const Loss& loss, const std::vector<capture::Packet>& packets);

}  // namespace weir::conformance
