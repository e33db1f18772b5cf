// SPDX-License-Identifier: Apache-2.0
// What happens to one packet, at which rule, why, and what would change it.
#pragma once

#include <string>
#include <vector>

#include "capture/redirector.h"
#include "init/command_line.h"
#include "init/prober.h"
#include "init/wanted.h"

namespace weir::init {

/// Another set of flags, and what then would become of the packet.
struct Change {
  std::string how;  ///< "--istio-service-exclude-cidr=10.0.0.5/32", "without --drop-invalid"
  std::string outcome;
};

/// What became of a real packet.
struct Trace {
  Seen seen;
  bool agrees = false;  ///< with the judgement, by the rules that should decide
};

/// `judgement` points into `wanted.plan`.
struct Explanation {
  Wanted wanted;
  capture::Packet packet;
  capture::Judgement judgement;
  std::vector<std::string> rules;  ///< of the deciding step, in the backend's language; empty: no rule decided
  std::vector<std::string> then;   ///< of the step that carries it out, if it is another
  std::vector<Change> changes;
  std::optional<Trace> trace;
  std::vector<std::string> drift;  ///< how what stands differs from the plan; only where the flags were read back
};

/// The packet that `explain` judges. `own`: the sandbox's addresses.
capture::Packet packet_of(const Question& question, const std::vector<IpAddr>& own);
/// "to the proxy's outbound port 15001"
std::string outcome_text(const capture::Judgement& judgement);
/// "tcp connection, from uid 1000 gid 1000 by eth0 to 10.0.0.5:443"
std::string packet_text(const capture::Packet& packet);

/// Pure but for `backend`, of which only pure functions are called.
Explanation explain(Wanted wanted, const capture::Packet& packet, const capture::Redirector& backend,
                    const capture::Accounts& accounts);

/// Sends the packet. An outside packet comes in by the probes' own link, from an address of nobody.
Result<Trace> trace(const Explanation& explanation, Prober& prober);

std::string to_text(const Explanation& explanation);
std::string to_json(const Explanation& explanation);

}  // namespace weir::init
