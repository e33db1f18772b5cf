// SPDX-License-Identifier: Apache-2.0
// The temporary table that marks probe packets for nftables' trace at the beginning of their way, and drops them at its end.
#pragma once

#include <string>
#include <string_view>

#include "base/port_set.h"
#include "iptables-rules/messages.h"

namespace weir::nft {

inline constexpr std::string_view kProbeTableName = "weir-probes";
inline constexpr std::string_view kEndIn = "end_in", kEndOut = "end_out";
inline bool is_end_of_way(std::string_view chain) { return chain == kEndIn || chain == kEndOut; }

/// Probes: first packets of TCP connections and datagrams of kProbePayload bytes with a source port of the range; what comes in
/// by `in_interface` with such a port whatever it is.
void add_probe_table(Batch& batch, PortRange ports, const std::string& in_interface);

}  // namespace weir::nft
