// SPDX-License-Identifier: Apache-2.0
// Real packets through the standing rules: what the kernel does to each, and by which rules.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capture/plan.h"
#include "init/wanted.h"

namespace weir::init {

/// What the kernel did to a packet.
struct Seen {
  std::optional<capture::Outcome> outcome;  ///< none: see `text`
  Port port = 0;                            ///< of the proxy, for inbound and outbound
  std::string text;                         ///< "to the proxy's outbound port 15001", "nothing was seen of it any more"
  std::vector<std::string> rules;           ///< that it met, in the backend's language (xtables: of the backend only)
};

/// By which interface a packet leaves, and from which address.
struct Way {
  std::string interface;
  IpAddr source;
};

class Prober {
 public:
  virtual ~Prober() = default;
  /// Sends the packet and watches it; it is dropped at the end of its way, so nobody gets it. Errors (environment) say why such a
  /// packet cannot be sent here.
  virtual Result<Seen> probe(const capture::Packet& packet) = 0;
  /// Error: no way there.
  virtual Result<Way> way_to(const IpAddr& destination) = 0;
  /// Where packets from outside come in: addresses that exist only for the probes. Error: none can be made, with the reason.
  virtual Result<capture::Packet> from_outside(Family family) = 0;
  virtual bool gate_is_closed() const = 0;
};

/// For the network namespace of the calling thread; `wanted` must outlive it. Errors: see nft::PacketTrace.
Result<std::unique_ptr<Prober>> begin_probing(const Wanted& wanted);

}  // namespace weir::init
