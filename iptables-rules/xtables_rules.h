// SPDX-License-Identifier: Apache-2.0
// A capture plan in iptables' terms, as values: what should stand, what iptables-save shows, and the iptables-restore text that
// leads from one to the other. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "capture/plan.h"

namespace weir::xtables {

/// Every chain of ours begins so (invariant 5); Istio's begin with ISTIO_.
inline constexpr std::string_view kChainPrefix = "WEIR_";
/// Comment of the jumps from the built-in chains.
inline constexpr std::string_view kOwnerMark = "owner: weir";
/// Added to it where the kernel does not keep who added an address.
inline constexpr std::string_view kAddedMark = ", added ::6 to lo";

struct UserChain {
  std::string name;
  std::vector<std::string> rules;  ///< `-p tcp -m comment --comment "why" -j RETURN`
};

/// A rule of a built-in chain that leads into a chain of ours.
struct Jump {
  std::string chain;                  ///< "OUTPUT"
  std::string rule;                   ///< `-m comment --comment "owner: weir" -j WEIR_OUTBOUND`
  std::size_t position = 1;           ///< from 1
  std::vector<std::string> in_front;  ///< rules of others that stand before it, but after the jump of ours before it
};

/// What is ours in one table of one family.
struct Table {
  std::string name;  ///< "raw", "mangle", "filter", "nat"
  std::vector<UserChain> chains;
  std::vector<Jump> jumps;  ///< in the order of their positions
  bool empty() const { return chains.empty() && jumps.empty(); }
};

/// In the order in which a first apply programs them: the guards' table before the captures'.
using Tables = std::vector<Table>;

/// The one place that says what this backend cannot express, a sentence each; empty: all of it can be. Conditions, verdicts and
/// chains that came into the plan without this room hearing of them are refused here too.
std::vector<std::string> why_not(const capture::CapturePlan& plan);

/// `plan` must have no why_not. An empty plan is no tables.
Tables compile(const capture::CapturePlan& plan, Family family);

/// WEIR_OUTBOUND, …
std::string chain_name(capture::Chain chain);

/// The rules of one step, as `iptables-save` writes them after the program's name and its table: "iptables-nft -t nat -A …". A
/// step of a guard has rules in two tables.
std::vector<std::string> rules_of(const capture::CapturePlan& plan, std::size_t step, Family family, std::string_view program);
/// Comments of the chain in which the plan keeps its flags.
std::vector<std::string> kept_comments(const Tables& standing);

/// Text for `iptables-restore --noflush` that makes `to` of what is ours, where `from` stands. Empty if there is nothing to do.
std::string transition(const Tables& from, const Tables& to);

/// The same rule has the same text whatever the order of its conditions and the way its words are quoted, as iptables-save and
/// we may write it.
std::string canonical(std::string_view rule);

/// A sentence if one family captures and the other doesn't, or one of them in part only, as after an apply or remove that was
/// killed between its steps; else nothing.
std::string torn(const Tables& v4, const Tables& v6);

/// Sentences that say how what stands differs from what should; `family` is for the words.
std::vector<std::string> differences(const Tables& wanted, const Tables& standing, Family family);

}  // namespace weir::xtables
