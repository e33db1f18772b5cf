// SPDX-License-Identifier: Apache-2.0
// Ports, uids, marks and addresses that several rooms must agree on: the one place (Istio's numbers, so that users can switch).
#pragma once

#include <cstdint>

namespace weir::well_known {

inline constexpr std::uint16_t kHeartbeatPort = 9;  ///< discard; UDP to loopback, shows the rules that the proxy lives
inline constexpr std::uint16_t kAdminPort = 15000;
inline constexpr std::uint16_t kOutboundPort = 15001;
inline constexpr std::uint16_t kProbePort = 15002;  ///< what the self-test dials
inline constexpr std::uint16_t kInboundPort = 15006;
inline constexpr std::uint16_t kTunnelPort = 15008;      ///< HBONE; exempt inbound
inline constexpr std::uint16_t kAgentPort = 15010;       ///< plaintext xDS
inline constexpr std::uint16_t kAgentDebugPort = 15014;  ///< weir-agent answers weirctl, loopback only
inline constexpr std::uint16_t kMergedStatsPort = 15020;
inline constexpr std::uint16_t kHealthPort = 15021;
inline constexpr std::uint16_t kDnsPort = 15053;
inline constexpr std::uint16_t kPrometheusPort = 15090;

inline constexpr std::uint32_t kProxyUid = 1337;
inline constexpr std::uint32_t kProxyGid = 1337;

inline constexpr std::uint32_t kTproxyMark = 1337;  ///< 0x539
inline constexpr std::uint32_t kSelfMark = 1338;    ///< 0x53a: the proxy's own traffic to its own pod in TPROXY mode
inline constexpr std::uint32_t kRouteTable = 133;

/// Source of the proxy's connections to its own workload, so that they are not captured again.
inline constexpr const char* kInboundSource4 = "127.0.0.6";
inline constexpr const char* kInboundSource6 = "::6";

/// Name by which everything that we put into the kernel is recognised (invariant 5).
inline constexpr const char* kOwner = "weir";

}  // namespace weir::well_known
