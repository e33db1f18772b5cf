// SPDX-License-Identifier: Apache-2.0
// Our table as it stands in the kernel, kept so that it can be put back as it was.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "iptables-rules/messages.h"

struct nftnl_chain;

namespace weir::nft {

struct FreeChain {
  void operator()(nftnl_chain* chain) const;
};

/// Everything of the table of our name that a person would miss; handles and counters become new ones.
struct Former {
  std::string comment;
  std::vector<std::unique_ptr<nftnl_chain, FreeChain>> chains;
  std::vector<SetObject> sets;  ///< with their elements, in ascending order
  std::vector<RuleObject> rules;
};

/// Reads it. The caller watches the ruleset's generation: what is read while others change it may be torn.
Result<Former> read_former(kernel::Netlink& netlink, std::string comment);

/// Adds the messages that make it anew, in a table that is not there. `former` is changed by that (numbers of sets).
void add_former(Batch& batch, Former& former);

}  // namespace weir::nft
