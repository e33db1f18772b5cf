// SPDX-License-Identifier: Apache-2.0
// Conditions by which a connection is refused that no transparent socket takes (Compiler::transparent says how).
#pragma once

#include <cstdint>
#include <string>

#include <fmt/format.h>

#include "base/ip.h"

namespace weir::xtables {

/// On packets that filter shall refuse; they go no further.
inline constexpr std::uint32_t kRefusedMark = 1340;
/// On connections that a transparent socket took; a packet that is dropped leaves none.
inline constexpr std::uint32_t kTakenMark = 1339;

inline std::string is_refused() { return fmt::format("-m mark --mark {:#x}", kRefusedMark); }
inline std::string is_taken() { return fmt::format("-m connmark --mark {:#x}", kTakenMark); }

/// One entry for all packets of a family.
inline std::string answering_list(Family family) {
  return fmt::format("--name weir_answering --mask {} --rsource", family == Family::v4 ? "0.0.0.0" : "::");
}

/// "Condition" of the rule that sees the proxy's SYN+ACK.
inline std::string answers(Family family) { return "-m recent --set " + answering_list(family); }

/// No connection was answered for two seconds, and this SYN, by its addresses and ports, comes for the second time in two
/// seconds.
inline std::string came_twice(Family family) {
  return "-m recent ! --rcheck --seconds 2 " + answering_list(family) +
         " -m hashlimit --hashlimit-above 30/min --hashlimit-burst 1 --hashlimit-mode srcip,srcport,dstip,dstport "
         "--hashlimit-name "
         "weir_unanswered --hashlimit-htable-expire 5000";
}

}  // namespace weir::xtables
