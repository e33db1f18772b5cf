// SPDX-License-Identifier: Apache-2.0
// Which packets tell whether a plan's rules are all there. Pure.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "capture/plan.h"
#include "init/self_test.h"

namespace weir::init {

/// Where packets can come from and go to.
struct Surroundings {
  std::vector<IpAddr> own;  ///< addresses of the sandbox that a process of it can call
  /// By which interface and from which address a packet leaves; nullopt: it cannot.
  std::function<std::optional<Way>(const IpAddr& destination)> way_to;
  std::vector<capture::Packet> outside;  ///< for each family that packets from outside can have
  bool gate_is_closed = false;
};

struct Chosen {
  std::vector<Row> rows;
  std::vector<std::size_t> unmet;  ///< steps for which there is no packet
};

/// For each step, and within it for each address range, port range, uid and gid (the first eight of a list), a packet that it
/// decides; of several one that would fare otherwise without the step.
Chosen choose_packets(const capture::CapturePlan& plan, const Surroundings& surroundings);

}  // namespace weir::init
