// SPDX-License-Identifier: Apache-2.0
// What a scrape sees: the sums over all workers.
#include "base/text.h"
#include "proxy/stats.h"
#include "proxy/stats_fields.h"

namespace weir::proxy {

namespace {

/// Values by (instance, field), summed; keeps the order of the fields.
template <class Fields>
class Sums {
 public:
  Sums(std::string_view scope, const Fields& fields) : scope_(scope), fields_(fields) {}

  template <class T>
  void add(const std::string& instance, const T& stats) {
    std::vector<std::int64_t>& values = values_[instance];
    values.resize(fields_.size());
    for (std::size_t i = 0; i < fields_.size(); ++i) values[i] += fields_[i].value(stats);
  }
  void append_to(std::vector<Sample>& samples) const {
    for (const auto& [instance, values] : values_)
      for (std::size_t i = 0; i < fields_.size(); ++i)
        samples.push_back({fields_[i].is_gauge() ? Sample::Type::gauge : Sample::Type::counter, std::string(scope_), instance,
                           std::string(fields_[i].name), values[i]});
  }

 private:
  std::string_view scope_;
  const Fields& fields_;
  std::map<std::string, std::vector<std::int64_t>> values_;
};

/// Only the map holds it: no worker will count there any more.
template <class Map>
void forget_unused(Map& map) {
  std::erase_if(map, [](const auto& entry) { return entry.second.use_count() == 1; });
}

/// The parts of "name;namespace;canonical;revision;cluster" (Istio's endpoint metadata), "unknown" for what is missing.
struct Workload {
  explicit Workload(std::string_view text) {
    std::vector<std::string_view> parts = split(text, ';');
    std::string* const fields[] = {&name, &ns, &service, &revision, &cluster};
    for (std::size_t i = 0; i < parts.size() && i < std::size(fields); ++i)
      if (!parts[i].empty()) *fields[i] = parts[i];
  }
  std::string name = "unknown", ns = "unknown", service = "unknown", revision = "latest", cluster = "unknown";
};

void add_label(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty()) out += ',';
  out.append(name).append("=\"");
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  out += '"';
}

struct Side {
  std::string_view workload, ns, app, version, cluster, service, revision;
};

void add_side(std::string& out, std::string_view prefix, const Side& side) {
  auto label = [&](std::string_view name, std::string_view value) {
    std::string full(prefix);
    add_label(out, full.append(name), value);
  };
  label("_workload", side.workload);
  label("_workload_namespace", side.ns);
  label("_principal", "unknown");
  label("_app", side.app);
  label("_version", side.version);
  label("_cluster", side.cluster);
  label("_canonical_service", side.service);
  label("_canonical_revision", side.revision);
}

std::string flags_text(std::uint32_t bits) {
  ResponseFlags flags;
  for (std::uint32_t bit = 1; bit != 0 && bit <= bits; bit <<= 1U)
    if ((bits & bit) != 0) flags.add(static_cast<ResponseFlag>(bit));
  std::string text;
  flags.append_to(text);
  return text;
}

/// The labels that requests and connections have in common.
std::string common_labels(const LocalWorkload& local, Reporter reporter, std::string_view peer_text,
                          const ServiceLabels& service) {
  const Workload peer(peer_text);
  const Side own{local.workload,          local.ns, local.app, local.version, local.cluster, local.canonical_service,
                 local.canonical_revision};
  const Side other{peer.name, peer.ns, peer.service, peer.revision, peer.cluster, peer.service, peer.revision};
  std::string out;
  const bool is_source = reporter == Reporter::source;
  add_label(out, "reporter", is_source ? "source" : "destination");
  add_side(out, "source", is_source ? own : other);
  add_side(out, "destination", is_source ? other : own);
  add_label(out, "destination_service", service.host);
  add_label(out, "destination_service_name", service.name);
  add_label(out, "destination_service_namespace", service.ns);
  return out;
}

void add_histogram(LabelledHistogram& sum, const Histogram& histogram) {
  for (std::size_t i = 0; i < sum.buckets.size(); ++i) sum.buckets[i] += histogram.bucket(i);
  sum.sum += histogram.sum();
}

void add_requests(IstioMetrics& metrics, const LocalWorkload& local, const ClusterStats& cluster) {
  for (const RequestSeries* series : cluster.requests()) {
    const RequestKey& key = series->key;
    std::string labels = common_labels(local, key.reporter, series->workload, cluster.service());
    add_label(labels, "request_protocol", key.protocol == RequestProtocol::grpc ? "grpc" : "http");
    add_label(labels, "response_code", fmt::format("{}", key.code));
    add_label(labels, "grpc_response_status", key.grpc_status == 255 ? "" : fmt::format("{}", key.grpc_status));
    add_label(labels, "response_flags", flags_text(key.flags));
    add_label(labels, "connection_security_policy", key.reporter == Reporter::source ? "unknown" : "none");
    metrics.requests[labels] += series->requests.value();
    add_histogram(metrics.duration_ms[labels], series->duration_ms);
    add_histogram(metrics.request_bytes[labels], series->request_bytes);
    add_histogram(metrics.response_bytes[labels], series->response_bytes);
  }
}

void add_connections(IstioMetrics& metrics, const LocalWorkload& local, const ClusterStats& cluster) {
  for (const ConnectionSeries* series : cluster.connections()) {
    std::string labels = common_labels(local, series->reporter, series->workload, cluster.service());
    add_label(labels, "request_protocol", "tcp");
    add_label(labels, "response_flags", flags_text(series->flags));
    add_label(labels, "connection_security_policy", series->reporter == Reporter::source ? "unknown" : "none");
    metrics.opened[labels] += series->opened.value();
    metrics.closed[labels] += series->closed.value();
    metrics.sent_bytes[labels] += series->sent_bytes.value();
    metrics.received_bytes[labels] += series->received_bytes.value();
  }
}

}  // namespace

WorkerStats& Stats::add_worker() { return *workers_.emplace_back(std::make_unique<WorkerStats>()); }

std::vector<Sample> Stats::samples() {
  Sums clusters("cluster", kClusterFields);
  Sums http("http", kHttpFields);
  Sums listeners("listener", kListenerFields);
  Sums tcp("tcp", kTcpFields);
  Sums proxy("weir", kProxyFields);
  for (const auto& worker : workers_) {
    std::lock_guard lock(worker->mutex_);
    for (const auto& [name, stats] : worker->clusters_) clusters.add(name, *stats);
    for (const auto& [name, stats] : worker->http_) http.add(name, *stats);
    for (const auto& [name, stats] : worker->listeners_) listeners.add(name, *stats);
    for (const auto& [name, stats] : worker->tcp_) tcp.add(name, *stats);
    proxy.add("", worker->proxy);
    forget_unused(worker->clusters_);
    forget_unused(worker->http_);
    forget_unused(worker->listeners_);
    forget_unused(worker->tcp_);
  }
  std::vector<Sample> samples;
  clusters.append_to(samples);
  http.append_to(samples);
  listeners.append_to(samples);
  tcp.append_to(samples);
  proxy.append_to(samples);
  return samples;
}

IstioMetrics Stats::istio() const {
  IstioMetrics metrics;
  for (const auto& worker : workers_) {
    std::lock_guard lock(worker->mutex_);
    for (const auto& [name, cluster] : worker->clusters_) {
      add_requests(metrics, local_, *cluster);
      add_connections(metrics, local_, *cluster);
    }
  }
  return metrics;
}

std::vector<Sample> Stats::cluster_samples(std::string_view name) const {
  Sums sums("cluster", kClusterFields);
  for (const auto& worker : workers_) {
    std::lock_guard lock(worker->mutex_);
    if (auto it = worker->clusters_.find(name); it != worker->clusters_.end()) sums.add(it->first, *it->second);
  }
  std::vector<Sample> samples;
  sums.append_to(samples);
  return samples;
}

}  // namespace weir::proxy
