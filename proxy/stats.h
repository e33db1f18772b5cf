// SPDX-License-Identifier: Apache-2.0
// Counters of the data path and what a scrape sees of them.
//
// Invariants: (1) a Counter, Gauge or Histogram has one writer, the worker that owns it, so that adding is a plain load and store
// without a locked instruction; any thread may read. (2) Handles are looked up once (when a cluster runtime or a filter chain is
// first used) and then only incremented. (3) Only what is used exists: an unused cluster costs nothing. (4) Label sets are
// bounded: a client cannot make series by sending odd bytes.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config.h"
#include "proxy/stream_info.h"

namespace weir::proxy {

class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Goes up and down. Summed over the workers it is never negative.
class Gauge {
 public:
  void add(std::int64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void sub(std::int64_t n = 1) { add(-n); }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

/// Of one accept: names as Envoy's listener.<address>.*.
struct ListenerStats {
  Counter downstream_cx_total;
  Counter downstream_cx_destroy;
  Counter downstream_pre_cx_timeout;  ///< the limit of detection passed
  Counter no_filter_chain_match;
  Gauge downstream_cx_active;
};

/// Of one HTTP connection manager, by stat_prefix: Envoy's http.<prefix>.*.
struct HttpStats {
  Counter downstream_cx_total;
  Counter downstream_cx_http1_total;
  Counter downstream_cx_http2_total;
  Counter downstream_cx_upgrades_total;
  Counter downstream_cx_protocol_error;
  Counter downstream_cx_idle_timeout;
  Counter downstream_cx_rx_bytes_total;
  Counter downstream_cx_tx_bytes_total;
  Counter downstream_rq_total;
  Counter downstream_rq_1xx;
  Counter downstream_rq_2xx;
  Counter downstream_rq_3xx;
  Counter downstream_rq_4xx;
  Counter downstream_rq_5xx;
  Counter downstream_rq_rx_reset;  ///< the client went before the response was complete
  Counter downstream_rq_tx_reset;
  Counter downstream_rq_idle_timeout;
  Counter downstream_rq_redirect;
  Counter no_route;
  Counter no_cluster;
  Counter fault_aborts_injected;
  Counter fault_delays_injected;
  Gauge downstream_cx_active;
  Gauge downstream_cx_http1_active;
  Gauge downstream_cx_http2_active;
  Gauge downstream_cx_upgrades_active;
  Gauge downstream_rq_active;

  /// Counts the class of a response code.
  void count_response(std::uint16_t code);
};

/// Of one TCP proxy filter, by stat_prefix: Envoy's tcp.<prefix>.*.
struct TcpStats {
  Counter downstream_cx_total;
  Counter downstream_cx_no_route;
  Counter downstream_cx_rx_bytes_total;
  Counter downstream_cx_tx_bytes_total;
  Counter idle_timeout;
  Gauge downstream_cx_active;
};

/// Of one cluster: Envoy's cluster.<name>.*.
struct ClusterCounters {
  Counter upstream_cx_total;
  Counter upstream_cx_http1_total;
  Counter upstream_cx_http2_total;
  Counter upstream_cx_connect_fail;
  Counter upstream_cx_connect_timeout;
  Counter upstream_cx_idle_timeout;
  Counter upstream_cx_overflow;
  Counter upstream_cx_none_healthy;
  Counter upstream_cx_protocol_error;
  Counter upstream_cx_destroy_local;
  Counter upstream_cx_destroy_remote;
  Counter upstream_cx_destroy_remote_with_active_rq;
  Counter upstream_cx_rx_bytes_total;
  Counter upstream_cx_tx_bytes_total;
  Counter upstream_rq_total;
  Counter upstream_rq_completed;
  Counter upstream_rq_1xx;
  Counter upstream_rq_2xx;
  Counter upstream_rq_3xx;
  Counter upstream_rq_4xx;
  Counter upstream_rq_5xx;
  Counter upstream_rq_pending_total;
  Counter upstream_rq_pending_overflow;
  Counter upstream_rq_cancelled;
  Counter upstream_rq_timeout;
  Counter upstream_rq_per_try_timeout;
  Counter upstream_rq_rx_reset;
  Counter upstream_rq_tx_reset;
  Counter upstream_rq_retry;
  Counter upstream_rq_retry_success;
  Counter upstream_rq_retry_overflow;
  Counter upstream_rq_retry_limit_exceeded;
  Gauge upstream_cx_active;
  Gauge upstream_rq_active;
  Gauge upstream_rq_pending_active;

  /// Counts completed and the class of a response code.
  void count_response(std::uint16_t code);
};

/// Of the whole proxy, what no listener or cluster owns: weir.*.
struct ProxyStats {
  Counter detected_http1;
  Counter detected_http2;
  Counter detected_tls;
  Counter detected_raw;
  Counter detected_server_first;  ///< the server spoke before the client
  Counter detect_timeout;         ///< the client said nothing for too long: taken as raw
  Counter loops_refused;          ///< connections to ourselves
  Counter original_dst_failed;
  Counter config_wait_expired;  ///< connections reset because no configuration came in time
  Counter accept_failed;        ///< out of descriptors or memory
};

/// Buckets of milliseconds or bytes as Istio's Prometheus stats have them; the last is +Inf.
inline constexpr std::array<double, 19> kHistogramBounds = {
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};
class Histogram {
 public:
  void record(double value);
  std::uint64_t bucket(std::size_t i) const { return buckets_[i].value(); }  ///< not cumulative
  double sum() const { return static_cast<double>(thousandths_.value()) / 1000.0; }

 private:
  std::array<Counter, kHistogramBounds.size() + 1> buckets_;
  Counter thousandths_;
};

enum class Reporter : std::uint8_t { source, destination };
enum class RequestProtocol : std::uint8_t { http, grpc };

/// What distinguishes Istio's series within one cluster.
struct RequestKey {
  Reporter reporter = Reporter::source;
  RequestProtocol protocol = RequestProtocol::http;
  std::uint16_t code = 0;          ///< 0 = no response was sent
  std::uint8_t grpc_status = 255;  ///< 255 = none
  std::uint32_t flags = 0;         ///< ResponseFlags::bits()
  friend bool operator==(const RequestKey&, const RequestKey&) = default;
};
struct RequestSeries {
  RequestKey key;
  std::string workload;  ///< Endpoint::workload of the peer, "" if not known
  Counter requests;
  Histogram duration_ms, request_bytes, response_bytes;
};
struct ConnectionSeries {
  Reporter reporter = Reporter::source;
  std::uint32_t flags = 0;
  std::string workload;
  Counter opened, closed, sent_bytes, received_bytes;
};

/// One cluster's counters on one worker. Keep the handle as long as the cluster runtime lives.
class ClusterStats : public ClusterCounters {
 public:
  ClusterStats(std::string name, ServiceLabels service) : name_(std::move(name)), service_(std::move(service)) {}
  ~ClusterStats();

  /// istio_requests_total and its histograms, once per finished request. `workload` is the chosen endpoint's
  /// (Endpoint::workload). About 20 ns when the series exists. At most kMaxSeries per cluster; beyond that codes fall into their
  /// class (code 500) and flags and workload are dropped.
  void record_request(RequestKey key, std::string_view workload, std::chrono::nanoseconds duration, std::uint64_t request_bytes,
                      std::uint64_t response_bytes);
  /// istio_tcp_*: call opened() at the start and keep the series for the bytes and the close.
  ConnectionSeries& connection(Reporter reporter, ResponseFlags flags, std::string_view workload);

  const std::string& name() const { return name_; }
  const ServiceLabels& service() const { return service_; }
  static constexpr std::size_t kMaxSeries = 128;
  static constexpr std::size_t kReserved = 32;  ///< of them for what falls into a class
  /// Any thread: what exists so far.
  std::vector<const RequestSeries*> requests() const;
  std::vector<const ConnectionSeries*> connections() const;

 private:
  template <class T>
  struct Series {
    std::array<std::atomic<T*>, kMaxSeries> items{};
    std::size_t last = 0;  // the one found last: mostly the next one too
  };
  RequestSeries* find_request(const RequestKey& key, std::string_view workload, std::size_t begin, std::size_t end);

  std::string name_;
  ServiceLabels service_;
  Series<RequestSeries> requests_;
  Series<ConnectionSeries> connections_;
};

/// One worker's side. The look-ups take a lock that only a scrape shares; use them off the request path.
class WorkerStats {
 public:
  std::shared_ptr<ListenerStats> listener(std::string_view address);
  std::shared_ptr<HttpStats> http(std::string_view stat_prefix);
  std::shared_ptr<TcpStats> tcp(std::string_view stat_prefix);
  std::shared_ptr<ClusterStats> cluster(const Cluster& cluster);
  ProxyStats proxy;

 private:
  friend class Stats;
  template <class T>
  using Map = std::map<std::string, std::shared_ptr<T>, std::less<>>;
  mutable std::mutex mutex_;
  Map<ListenerStats> listeners_;
  Map<HttpStats> http_;
  Map<TcpStats> tcp_;
  Map<ClusterStats> clusters_;
};

/// One value of a scrape. Text form: "<scope>.<instance>.<name>"; Prometheus form: <prefix>_<scope>_<name>{label="instance"}.
struct Sample {
  enum class Type : std::uint8_t { counter, gauge } type = Type::counter;
  std::string scope;     ///< "cluster", "listener", "http", "tcp", "server" …
  std::string instance;  ///< "" if the scope has only one
  std::string name;
  std::int64_t value = 0;
};

struct LabelledHistogram {
  std::array<std::uint64_t, kHistogramBounds.size() + 1> buckets{};
  double sum = 0;
};
/// Istio's series summed over the workers. `labels` is the text between the braces, without a leading or trailing comma.
struct IstioMetrics {
  std::map<std::string, std::uint64_t> requests, opened, closed, sent_bytes, received_bytes;
  std::map<std::string, LabelledHistogram> duration_ms, request_bytes, response_bytes;
};

/// Who we are in Istio's labels.
struct LocalWorkload {
  std::string workload = "unknown", ns = "unknown", app = "unknown", version = "unknown", cluster = "unknown";
  std::string canonical_service = "unknown", canonical_revision = "latest";
};

class Stats {
 public:
  explicit Stats(LocalWorkload local) : local_(std::move(local)) {}
  /// Main thread, before the worker runs. The reference stays valid as long as this.
  WorkerStats& add_worker();

  /// Sums over all workers. Main thread. Handles that no worker holds any more are listed a last time and then forgotten.
  std::vector<Sample> samples();
  IstioMetrics istio() const;
  /// The sum of one cluster's counters, for /clusters.
  std::vector<Sample> cluster_samples(std::string_view name) const;

 private:
  LocalWorkload local_;
  std::vector<std::unique_ptr<WorkerStats>> workers_;
};

}  // namespace weir::proxy
