// SPDX-License-Identifier: Apache-2.0
// All facts of one request (or one TCP connection) that the access log and the counters want to know.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/problem.h"

namespace weir::proxy {

/// Why a response is not simply the upstream's: bits, with Envoy's short names (DC, UH, …).
enum class ResponseFlag : std::uint32_t {
  downstream_closed = 1U << 0,           ///< DC
  local_health_fail = 1U << 1,           ///< LH
  no_healthy_upstream = 1U << 2,         ///< UH
  upstream_timeout = 1U << 3,            ///< UT
  local_reset = 1U << 4,                 ///< LR
  upstream_reset = 1U << 5,              ///< UR
  retry_limit = 1U << 6,                 ///< URX
  upstream_connect_failure = 1U << 7,    ///< UF
  upstream_termination = 1U << 8,        ///< UC
  upstream_overflow = 1U << 9,           ///< UO
  no_route = 1U << 10,                   ///< NR
  delay_injected = 1U << 11,             ///< DI
  fault_injected = 1U << 12,             ///< FI
  rate_limited = 1U << 13,               ///< RL
  unauthorized_external = 1U << 14,      ///< UAEX
  stream_idle_timeout = 1U << 15,        ///< SI
  invalid_envoy_header = 1U << 16,       ///< IH
  downstream_protocol_error = 1U << 17,  ///< DPE
  upstream_protocol_error = 1U << 18,    ///< UPE
  upstream_max_duration = 1U << 19,      ///< UMSDR
  duration_timeout = 1U << 20,           ///< DT
  no_cluster = 1U << 21,                 ///< NC
  overload = 1U << 22,                   ///< OM
  dns_failure = 1U << 23,                ///< DF
  drop_overload = 1U << 24,              ///< DO
};

/// "UH" for no_healthy_upstream.
std::string_view short_name(ResponseFlag flag);

class ResponseFlags {
 public:
  void add(ResponseFlag flag);
  bool has(ResponseFlag flag) const { return (bits_ & static_cast<std::uint32_t>(flag)) != 0; }
  bool empty() const { return bits_ == 0; }
  void clear() { *this = ResponseFlags(); }
  std::uint32_t bits() const { return bits_; }
  /// "URX,UF", in the order in which they were added, as Envoy prints them; "-" if none.
  void append_to(std::string& out) const;

 private:
  std::uint32_t bits_ = 0;
  std::uint64_t order_ = 0;  ///< bit numbers + 1, five bits each, the first added lowest; a stream has far fewer than twelve
};

/// One per stream, reused: clear() keeps the capacity of the owned strings. Not thread-safe. Views must be valid when the log
/// is written; empty or nullopt means "not known" and is logged as `-`.
struct StreamInfo {
  std::chrono::system_clock::time_point start;  ///< first byte of the request, or accept for TCP
  std::chrono::nanoseconds duration{0};         ///< start to last byte
  std::optional<std::chrono::milliseconds> upstream_service_time;
  std::optional<std::chrono::milliseconds> request_duration;   ///< start to last byte of the request
  std::optional<std::chrono::milliseconds> response_duration;  ///< start to first byte of the upstream's response

  std::string_view method;
  std::string_view scheme;
  std::string_view authority;      ///< as sent by the client
  std::string_view path;           ///< with query, as it goes upstream
  std::string_view original_path;  ///< before a rewrite; "" if it was not rewritten
  std::string_view protocol;       ///< "HTTP/1.1"; "" for TCP
  std::string_view forwarded_for;
  std::string_view user_agent;
  std::string_view request_id;

  std::uint16_t code = 0;  ///< 0 = no response; logged as 0
  ResponseFlags flags;
  std::string code_details;                       ///< "via_upstream", "route_not_found"; blanks are logged as `_`
  std::string connection_termination_details;     ///< blanks are logged as `_`
  std::string upstream_transport_failure_reason;  ///< blanks are logged as `_`
  std::uint64_t bytes_received = 0;               ///< body bytes from downstream (TCP: all)
  std::uint64_t bytes_sent = 0;                   ///< body bytes to downstream (TCP: all)
  std::uint32_t attempts = 0;                     ///< upstream attempts; 0 = none

  std::optional<SocketAddr> upstream_host;
  std::optional<SocketAddr> upstream_local;
  std::optional<SocketAddr> downstream_local;   ///< the original destination
  std::optional<SocketAddr> downstream_remote;  ///< the client
  std::string_view upstream_cluster;
  std::string_view server_name;  ///< SNI
  std::string_view route_name;
  const RuleRef* rule = nullptr;          ///< of the route, or of the filter chain for TCP
  const RuleRef* cluster_rule = nullptr;  ///< of the cluster (DestinationRule)
  std::uint64_t stream_id = 0;

  void clear();
};

}  // namespace weir::proxy
