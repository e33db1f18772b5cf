// SPDX-License-Identifier: Apache-2.0
// Counters as text: Envoy's /stats, its JSON, and Prometheus' exposition format 0.0.4. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/stats.h"

namespace weir::proxy {

/// "cluster.reviews.upstream_rq_total": Envoy's dotted name.
std::string dotted_name(const Sample& sample);

struct StatsFilter {
  bool used_only = false;                               ///< leaves out what is 0
  std::function<bool(std::string_view dotted)> wanted;  ///< empty: all
};

/// "name: value" lines, sorted.
std::string stats_text(const std::vector<Sample>& samples, const StatsFilter& filter);
/// {"stats":[{"name":…,"value":…}]}
std::string stats_json(const std::vector<Sample>& samples, const StatsFilter& filter);
/// envoy_<scope>_<name>{envoy_cluster_name="…"}, response classes as envoy_response_code_class, then Istio's families.
std::string prometheus_text(const std::vector<Sample>& samples, const IstioMetrics& istio, const StatsFilter& filter);

}  // namespace weir::proxy
