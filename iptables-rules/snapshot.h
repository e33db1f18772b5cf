// SPDX-License-Identifier: Apache-2.0
// What stands in the kernel, and how it differs from a plan.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "iptables-rules/messages.h"
#include "iptables-rules/ruleset.h"
#include "kernel/netlink.h"

namespace weir::nft {

/// A rule as the kernel answers it.
struct StandingRule {
  std::string text;     ///< canonical
  std::string comment;  ///< "" if it has none
  std::uint64_t handle = 0;
};

struct Snapshot {
  std::uint32_t generation = 0;  ///< of the namespace's whole ruleset, when reading began
  bool has_table = false;
  std::string comment;                                     ///< the table's
  std::map<std::string, std::string> chains;               ///< name → "filter prerouting -300 accept", "" for a plain chain
  std::map<std::string, std::vector<StandingRule>> rules;  ///< chain → its rules, in order
  bool has_holding_set = false, has_alive_set = false, has_domain_sets = false;

  bool is_ours() const { return has_table && comment.starts_with(kOwnerMark); }
};

/// Reads the table of our name. Asks again while others change the ruleset. Without privilege or nf_tables: code environment.
Result<Snapshot> take_snapshot(kernel::Netlink& netlink);

/// True if all chains are ours and hang where we would hang them, so that replacing rules, and adding or deleting chains that not
/// every plan has, suffices.
bool has_our_chains(const Snapshot& snapshot);
bool has_chain(const Snapshot& snapshot, capture::Chain chain);

/// "filter prerouting -300 accept"
std::string hook_text(std::string_view type, std::uint32_t hook, int priority, std::uint32_t policy);

/// Sentences that say what differs (missing, changed, misplaced, not of the plan), each with what mends it.
std::vector<std::string> differences(const Snapshot& snapshot, const std::vector<Rule>& rules, const capture::CapturePlan& plan);

/// What a refusal of the kernel means for a person. `doing`: "reading the rules".
Error explain_refusal(int sys_errno, std::string_view doing);

}  // namespace weir::nft
