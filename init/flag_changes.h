// SPDX-License-Identifier: Apache-2.0
// Which single flag would make something else of a packet: tried, not guessed. Pure.
#pragma once

#include <vector>

#include "capture/asked.h"
#include "capture/plan.h"

namespace weir::init {

struct Change;

/// Flags added to, or taken from, those asked for, that each alone change the packet's fate; those that say most precisely "this
/// one" first.
std::vector<Change> flag_changes(const capture::AskedOptions& asked, const capture::Packet& packet,
                                 const capture::Judgement& judgement, const capture::Accounts& accounts);

}  // namespace weir::init
