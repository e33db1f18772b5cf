// SPDX-License-Identifier: Apache-2.0
// Names of resources as istiod gives them: other tools know things by them.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace weir::agent::names {

inline constexpr std::string_view kPassthrough = "PassthroughCluster";
inline constexpr std::string_view kBlackHole = "BlackHoleCluster";
inline constexpr std::string_view kInboundPassthrough = "InboundPassthroughCluster";
inline constexpr std::string_view kVirtualOutbound = "virtualOutbound";
inline constexpr std::string_view kVirtualInbound = "virtualInbound";
inline constexpr std::string_view kAllowAny = "allow_any";
inline constexpr std::string_view kBlockAll = "block_all";

/// "outbound|9080|v1|reviews.default.svc.cluster.local"; no subset: "outbound|9080||reviews…".
inline std::string outbound_cluster(std::uint32_t port, std::string_view subset, std::string_view host) {
  return fmt::format("outbound|{}|{}|{}", port, subset, host);
}
/// "inbound|8080||": by the port of the workload, not of the service.
inline std::string inbound_cluster(std::uint32_t port) { return fmt::format("inbound|{}||", port); }

/// "0.0.0.0_9080", "10.96.0.5_3306".
inline std::string listener(std::string_view address, std::uint32_t port) { return fmt::format("{}_{}", address, port); }

/// "reviews.default.svc.cluster.local:9080": virtual hosts, and route tables of ports whose protocol is detected.
inline std::string host_port(std::string_view host, std::uint32_t port) { return fmt::format("{}:{}", host, port); }

/// Istio's form in metadata: "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/reviews".
inline std::string config_path(std::string_view kind, std::string_view ns, std::string_view name) {
  return fmt::format("/apis/networking.istio.io/v1/namespaces/{}/{}/{}", ns, kind, name);
}

}  // namespace weir::agent::names
