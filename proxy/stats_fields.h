// SPDX-License-Identifier: Apache-2.0
// The one table that gives each counter its name; a member that is missing here fails to compile.
#pragma once

#include <array>
#include <string_view>
#include <variant>

#include "proxy/stats.h"

namespace weir::proxy {

template <class T>
struct StatField {
  std::string_view name;
  std::variant<Counter T::*, Gauge T::*> member;
  bool is_gauge() const { return member.index() == 1; }
  std::int64_t value(const T& stats) const {
    if (const auto* counter = std::get_if<0>(&member)) return static_cast<std::int64_t>((stats.**counter).value());
    return (stats.*std::get<1>(member)).value();
  }
};

#define WEIR_FIELD(type, name) \
  StatField<type> { #name, &type::name }

inline constexpr std::array kListenerFields = {
    WEIR_FIELD(ListenerStats, downstream_cx_total),       WEIR_FIELD(ListenerStats, downstream_cx_destroy),
    WEIR_FIELD(ListenerStats, downstream_pre_cx_timeout), WEIR_FIELD(ListenerStats, no_filter_chain_match),
    WEIR_FIELD(ListenerStats, downstream_cx_active),
};

inline constexpr std::array kHttpFields = {
    WEIR_FIELD(HttpStats, downstream_cx_total),
    WEIR_FIELD(HttpStats, downstream_cx_http1_total),
    WEIR_FIELD(HttpStats, downstream_cx_http2_total),
    WEIR_FIELD(HttpStats, downstream_cx_upgrades_total),
    WEIR_FIELD(HttpStats, downstream_cx_protocol_error),
    WEIR_FIELD(HttpStats, downstream_cx_idle_timeout),
    WEIR_FIELD(HttpStats, downstream_cx_rx_bytes_total),
    WEIR_FIELD(HttpStats, downstream_cx_tx_bytes_total),
    WEIR_FIELD(HttpStats, downstream_rq_total),
    WEIR_FIELD(HttpStats, downstream_rq_1xx),
    WEIR_FIELD(HttpStats, downstream_rq_2xx),
    WEIR_FIELD(HttpStats, downstream_rq_3xx),
    WEIR_FIELD(HttpStats, downstream_rq_4xx),
    WEIR_FIELD(HttpStats, downstream_rq_5xx),
    WEIR_FIELD(HttpStats, downstream_rq_rx_reset),
    WEIR_FIELD(HttpStats, downstream_rq_tx_reset),
    WEIR_FIELD(HttpStats, downstream_rq_idle_timeout),
    WEIR_FIELD(HttpStats, downstream_rq_redirect),
    WEIR_FIELD(HttpStats, no_route),
    WEIR_FIELD(HttpStats, no_cluster),
    WEIR_FIELD(HttpStats, fault_aborts_injected),
    WEIR_FIELD(HttpStats, fault_delays_injected),
    WEIR_FIELD(HttpStats, downstream_cx_active),
    WEIR_FIELD(HttpStats, downstream_cx_http1_active),
    WEIR_FIELD(HttpStats, downstream_cx_http2_active),
    WEIR_FIELD(HttpStats, downstream_cx_upgrades_active),
    WEIR_FIELD(HttpStats, downstream_rq_active),
};

inline constexpr std::array kTcpFields = {
    WEIR_FIELD(TcpStats, downstream_cx_total),
    WEIR_FIELD(TcpStats, downstream_cx_no_route),
    WEIR_FIELD(TcpStats, downstream_cx_rx_bytes_total),
    WEIR_FIELD(TcpStats, downstream_cx_tx_bytes_total),
    WEIR_FIELD(TcpStats, idle_timeout),
    WEIR_FIELD(TcpStats, downstream_cx_active),
};

inline constexpr std::array kClusterFields = {
    WEIR_FIELD(ClusterCounters, upstream_cx_total),
    WEIR_FIELD(ClusterCounters, upstream_cx_http1_total),
    WEIR_FIELD(ClusterCounters, upstream_cx_http2_total),
    WEIR_FIELD(ClusterCounters, upstream_cx_connect_fail),
    WEIR_FIELD(ClusterCounters, upstream_cx_connect_timeout),
    WEIR_FIELD(ClusterCounters, upstream_cx_idle_timeout),
    WEIR_FIELD(ClusterCounters, upstream_cx_overflow),
    WEIR_FIELD(ClusterCounters, upstream_cx_none_healthy),
    WEIR_FIELD(ClusterCounters, upstream_cx_protocol_error),
    WEIR_FIELD(ClusterCounters, upstream_cx_destroy_local),
    WEIR_FIELD(ClusterCounters, upstream_cx_destroy_remote),
    WEIR_FIELD(ClusterCounters, upstream_cx_destroy_remote_with_active_rq),
    WEIR_FIELD(ClusterCounters, upstream_cx_rx_bytes_total),
    WEIR_FIELD(ClusterCounters, upstream_cx_tx_bytes_total),
    WEIR_FIELD(ClusterCounters, upstream_rq_total),
    WEIR_FIELD(ClusterCounters, upstream_rq_completed),
    WEIR_FIELD(ClusterCounters, upstream_rq_1xx),
    WEIR_FIELD(ClusterCounters, upstream_rq_2xx),
    WEIR_FIELD(ClusterCounters, upstream_rq_3xx),
    WEIR_FIELD(ClusterCounters, upstream_rq_4xx),
    WEIR_FIELD(ClusterCounters, upstream_rq_5xx),
    WEIR_FIELD(ClusterCounters, upstream_rq_pending_total),
    WEIR_FIELD(ClusterCounters, upstream_rq_pending_overflow),
    WEIR_FIELD(ClusterCounters, upstream_rq_cancelled),
    WEIR_FIELD(ClusterCounters, upstream_rq_timeout),
    WEIR_FIELD(ClusterCounters, upstream_rq_per_try_timeout),
    WEIR_FIELD(ClusterCounters, upstream_rq_rx_reset),
    WEIR_FIELD(ClusterCounters, upstream_rq_tx_reset),
    WEIR_FIELD(ClusterCounters, upstream_rq_retry),
    WEIR_FIELD(ClusterCounters, upstream_rq_retry_success),
    WEIR_FIELD(ClusterCounters, upstream_rq_retry_overflow),
    WEIR_FIELD(ClusterCounters, upstream_rq_retry_limit_exceeded),
    WEIR_FIELD(ClusterCounters, upstream_cx_active),
    WEIR_FIELD(ClusterCounters, upstream_rq_active),
    WEIR_FIELD(ClusterCounters, upstream_rq_pending_active),
};

inline constexpr std::array kProxyFields = {
    WEIR_FIELD(ProxyStats, detected_http1),        WEIR_FIELD(ProxyStats, detected_http2),
    WEIR_FIELD(ProxyStats, detected_tls),          WEIR_FIELD(ProxyStats, detected_raw),
    WEIR_FIELD(ProxyStats, detected_server_first), WEIR_FIELD(ProxyStats, detect_timeout),
    WEIR_FIELD(ProxyStats, loops_refused),         WEIR_FIELD(ProxyStats, original_dst_failed),
    WEIR_FIELD(ProxyStats, config_wait_expired),   WEIR_FIELD(ProxyStats, accept_failed),
};
#undef WEIR_FIELD

// Counter and Gauge have one size, so a struct is complete here if the sizes agree.
static_assert(sizeof(Counter) == sizeof(Gauge));
static_assert(sizeof(ListenerStats) == kListenerFields.size() * sizeof(Counter));
static_assert(sizeof(HttpStats) == kHttpFields.size() * sizeof(Counter));
static_assert(sizeof(TcpStats) == kTcpFields.size() * sizeof(Counter));
static_assert(sizeof(ClusterCounters) == kClusterFields.size() * sizeof(Counter));
static_assert(sizeof(ProxyStats) == kProxyFields.size() * sizeof(Counter));

}  // namespace weir::proxy
