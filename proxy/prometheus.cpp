// SPDX-License-Identifier: Apache-2.0
#include "proxy/prometheus.h"

#include <algorithm>
#include <map>

#include "base/json.h"

namespace weir::proxy {

namespace {

/// Label by which Envoy names the instance of a scope.
std::string_view instance_label(std::string_view scope) {
  if (scope == "cluster") return "envoy_cluster_name";
  if (scope == "http") return "envoy_http_conn_manager_prefix";
  if (scope == "listener") return "envoy_listener_address";
  if (scope == "tcp") return "envoy_tcp_prefix";
  return "instance";
}

std::string escape_label(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

/// Prometheus names have letters, digits and '_' only.
std::string clean_name(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!fits) c = '_';
  }
  return out;
}

struct Family {
  std::string_view type;
  std::vector<std::string> lines;
};
using Families = std::map<std::string, Family>;

void add_sample(Families& families, const Sample& sample) {
  std::string labels;
  if (!sample.instance.empty()) labels = fmt::format("{}=\"{}\"", instance_label(sample.scope), escape_label(sample.instance));
  std::string name = sample.name;
  // "upstream_rq_5xx" is one family with a label.
  if (name.size() > 4 && name.compare(name.size() - 2, 2, "xx") == 0 && name[name.size() - 4] == '_') {
    labels += fmt::format("{}envoy_response_code_class=\"{}\"", labels.empty() ? "" : ",", name[name.size() - 3]);
    name.replace(name.size() - 3, 3, "xx");
  }
  const std::string prefix = sample.scope == "weir" ? "weir" : "envoy_" + clean_name(sample.scope);
  const std::string full = clean_name(prefix + "_" + name);
  Family& family = families[full];
  family.type = sample.type == Sample::Type::counter ? "counter" : "gauge";
  family.lines.push_back(labels.empty() ? fmt::format("{} {}\n", full, sample.value)
                                        : fmt::format("{}{{{}}} {}\n", full, labels, sample.value));
}

void add_counters(std::string& out, std::string_view name, const std::map<std::string, std::uint64_t>& series) {
  if (series.empty()) return;
  out += fmt::format("# TYPE {} counter\n", name);
  for (const auto& [labels, value] : series) out += fmt::format("{}{{{}}} {}\n", name, labels, value);
}

void add_histograms(std::string& out, std::string_view name, const std::map<std::string, LabelledHistogram>& series) {
  if (series.empty()) return;
  out += fmt::format("# TYPE {} histogram\n", name);
  for (const auto& [labels, histogram] : series) {
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < histogram.buckets.size(); ++i) {
      seen += histogram.buckets[i];
      const std::string bound = i < kHistogramBounds.size() ? fmt::format("{}", kHistogramBounds[i]) : "+Inf";
      out += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bound, seen);
    }
    out += fmt::format("{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", name, labels, histogram.sum, name, labels, seen);
  }
}

bool is_wanted(const Sample& sample, const std::string& name, const StatsFilter& filter) {
  return !(filter.used_only && sample.value == 0) && (!filter.wanted || filter.wanted(name));
}

std::vector<std::pair<std::string, std::int64_t>> sorted(const std::vector<Sample>& samples, const StatsFilter& filter) {
  std::vector<std::pair<std::string, std::int64_t>> list;
  for (const Sample& sample : samples) {
    std::string name = dotted_name(sample);
    if (is_wanted(sample, name, filter)) list.emplace_back(std::move(name), sample.value);
  }
  std::sort(list.begin(), list.end());
  return list;
}

}  // namespace

std::string dotted_name(const Sample& sample) {
  return sample.instance.empty() ? fmt::format("{}.{}", sample.scope, sample.name)
                                 : fmt::format("{}.{}.{}", sample.scope, sample.instance, sample.name);
}

std::string stats_text(const std::vector<Sample>& samples, const StatsFilter& filter) {
  std::string out;
  for (const auto& [name, value] : sorted(samples, filter)) out += fmt::format("{}: {}\n", name, value);
  return out;
}

std::string stats_json(const std::vector<Sample>& samples, const StatsFilter& filter) {
  std::string out = "{\"stats\":[";
  bool first = true;
  for (const auto& [name, value] : sorted(samples, filter)) {
    out += fmt::format("{}\n {{\"name\":{},\"value\":{}}}", first ? "" : ",", json_quote(name), value);
    first = false;
  }
  return out + "\n]}\n";
}

std::string prometheus_text(const std::vector<Sample>& samples, const IstioMetrics& istio, const StatsFilter& filter) {
  Families families;
  for (const Sample& sample : samples)
    if (is_wanted(sample, dotted_name(sample), filter)) add_sample(families, sample);
  std::string out;
  for (const auto& [name, family] : families) {
    out += fmt::format("# TYPE {} {}\n", name, family.type);
    for (const std::string& line : family.lines) out += line;
  }
  auto wanted = [&](std::string_view name) { return !filter.wanted || filter.wanted(name); };
  if (wanted("istio_requests_total")) add_counters(out, "istio_requests_total", istio.requests);
  if (wanted("istio_request_duration_milliseconds"))
    add_histograms(out, "istio_request_duration_milliseconds", istio.duration_ms);
  if (wanted("istio_request_bytes")) add_histograms(out, "istio_request_bytes", istio.request_bytes);
  if (wanted("istio_response_bytes")) add_histograms(out, "istio_response_bytes", istio.response_bytes);
  if (wanted("istio_tcp_connections_opened_total")) add_counters(out, "istio_tcp_connections_opened_total", istio.opened);
  if (wanted("istio_tcp_connections_closed_total")) add_counters(out, "istio_tcp_connections_closed_total", istio.closed);
  if (wanted("istio_tcp_sent_bytes_total")) add_counters(out, "istio_tcp_sent_bytes_total", istio.sent_bytes);
  if (wanted("istio_tcp_received_bytes_total")) add_counters(out, "istio_tcp_received_bytes_total", istio.received_bytes);
  return out;
}

}  // namespace weir::proxy
