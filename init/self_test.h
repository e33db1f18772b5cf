// SPDX-License-Identifier: Apache-2.0
// Proves from where it stands that the kernel does what the plan says: a packet for each rule, chosen so that the rule's loss
// would show.
#pragma once

#include <string>
#include <vector>

#include "capture/redirector.h"
#include "init/prober.h"

namespace weir::init {

/// A packet and the step that it is there for.
struct Row {
  capture::Packet packet;
  std::size_t step = 0;
};

/// A step, and why no packet was sent for it.
struct NotRun {
  std::string what, why;
};

struct Tested {
  Row row;
  std::string expected, seen;
  std::vector<std::string> rules;  ///< that should have met it, in the backend's language
  bool has_passed = false;
  std::string failure;  ///< in words
};

struct SelfTest {
  std::vector<Tested> rows;
  std::vector<NotRun> not_run;
  bool has_passed() const;
};

/// Sends packets through the standing rules. Error only if nothing can be tried at all.
Result<SelfTest> self_test(const Wanted& wanted, const capture::Redirector& backend, Prober& prober,
                           const std::vector<IpAddr>& own_addresses);

std::string to_text(const SelfTest& test, const Wanted& wanted);
std::string to_json(const SelfTest& test, const Wanted& wanted);

}  // namespace weir::init
