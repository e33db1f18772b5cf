// SPDX-License-Identifier: Apache-2.0
#include "proxy/stats.h"

#include <algorithm>

#include "proxy/stats_fields.h"

namespace weir::proxy {

namespace {

template <class T>
void count_class(T& stats, Counter T::*const (&classes)[5], std::uint16_t code) {
  if (code >= 100 && code < 600) (stats.*classes[code / 100 - 1]).add();
}

template <class T>
std::shared_ptr<T> find_or_add(std::mutex& mutex, std::map<std::string, std::shared_ptr<T>, std::less<>>& map,
                               std::string_view key) {
  std::lock_guard lock(mutex);
  if (auto it = map.find(key); it != map.end()) return it->second;
  return map.emplace(std::string(key), std::make_shared<T>()).first->second;
}

/// Finds the series that `same` accepts in items[begin, end), else makes it in the first free place; null if there is none.
template <class T, std::size_t N, class Same, class Fill>
T* find_series(std::array<std::atomic<T*>, N>& items, std::size_t begin, std::size_t end, std::size_t& last, Same same,
               Fill fill) {
  T* hit = items[last].load(std::memory_order_relaxed);
  if (hit != nullptr && same(*hit)) return hit;
  for (std::size_t i = begin; i < end; ++i) {
    T* item = items[i].load(std::memory_order_relaxed);
    if (item == nullptr) {
      auto fresh = std::make_unique<T>();
      fill(*fresh);
      item = fresh.release();
      items[i].store(item, std::memory_order_release);  // readers see a whole series or none
    } else if (!same(*item)) {
      continue;
    }
    last = i;
    return item;
  }
  return nullptr;
}

template <class T, std::size_t N>
std::vector<const T*> list_series(const std::array<std::atomic<T*>, N>& items) {
  std::vector<const T*> list;
  for (const std::atomic<T*>& item : items) {
    const T* series = item.load(std::memory_order_acquire);
    if (series != nullptr) list.push_back(series);
  }
  return list;
}

}  // namespace

void HttpStats::count_response(std::uint16_t code) {
  static constexpr Counter HttpStats::*kClasses[5] = {&HttpStats::downstream_rq_1xx, &HttpStats::downstream_rq_2xx,
                                                      &HttpStats::downstream_rq_3xx, &HttpStats::downstream_rq_4xx,
                                                      &HttpStats::downstream_rq_5xx};
  count_class(*this, kClasses, code);
}

void ClusterCounters::count_response(std::uint16_t code) {
  static constexpr Counter ClusterCounters::*kClasses[5] = {&ClusterCounters::upstream_rq_1xx, &ClusterCounters::upstream_rq_2xx,
                                                            &ClusterCounters::upstream_rq_3xx, &ClusterCounters::upstream_rq_4xx,
                                                            &ClusterCounters::upstream_rq_5xx};
  upstream_rq_completed.add();
  count_class(*this, kClasses, code);
}

void Histogram::record(double value) {
  auto at = std::lower_bound(kHistogramBounds.begin(), kHistogramBounds.end(), value);
  buckets_[static_cast<std::size_t>(at - kHistogramBounds.begin())].add();
  thousandths_.add(static_cast<std::uint64_t>(value * 1000.0));
}

ClusterStats::~ClusterStats() {
  for (std::atomic<RequestSeries*>& item : requests_.items) delete item.load(std::memory_order_relaxed);
  for (std::atomic<ConnectionSeries*>& item : connections_.items) delete item.load(std::memory_order_relaxed);
}

RequestSeries* ClusterStats::find_request(const RequestKey& key, std::string_view workload, std::size_t begin, std::size_t end) {
  return find_series(
      requests_.items, begin, end, requests_.last,
      [&](const RequestSeries& series) { return series.key == key && series.workload == workload; },
      [&](RequestSeries& series) {
        series.key = key;
        series.workload = workload;
      });
}

void ClusterStats::record_request(RequestKey key, std::string_view workload, std::chrono::nanoseconds duration,
                                  std::uint64_t request_bytes, std::uint64_t response_bytes) {
  RequestSeries* series = find_request(key, workload, 0, kMaxSeries - kReserved);
  if (series == nullptr) {
    const std::uint16_t code_class = key.code < 600 ? static_cast<std::uint16_t>(key.code / 100 * 100) : std::uint16_t{0};
    series = find_request({.reporter = key.reporter, .protocol = key.protocol, .code = code_class}, "", kMaxSeries - kReserved,
                          kMaxSeries);
  }
  series->requests.add();
  series->duration_ms.record(std::chrono::duration<double, std::milli>(duration).count());
  series->request_bytes.record(static_cast<double>(request_bytes));
  series->response_bytes.record(static_cast<double>(response_bytes));
}

ConnectionSeries& ClusterStats::connection(Reporter reporter, ResponseFlags flags, std::string_view workload) {
  auto find = [&](std::uint32_t bits, std::string_view peer, std::size_t begin, std::size_t end) {
    return find_series(
        connections_.items, begin, end, connections_.last,
        [&](const ConnectionSeries& series) {
          return series.reporter == reporter && series.flags == bits && series.workload == peer;
        },
        [&](ConnectionSeries& series) {
          series.reporter = reporter;
          series.flags = bits;
          series.workload = peer;
        });
  };
  ConnectionSeries* series = find(flags.bits(), workload, 0, kMaxSeries - kReserved);
  return series != nullptr ? *series : *find(0, "", kMaxSeries - kReserved, kMaxSeries);
}

std::vector<const RequestSeries*> ClusterStats::requests() const { return list_series(requests_.items); }
std::vector<const ConnectionSeries*> ClusterStats::connections() const { return list_series(connections_.items); }

std::shared_ptr<ListenerStats> WorkerStats::listener(std::string_view address) {
  return find_or_add(mutex_, listeners_, address);
}
std::shared_ptr<HttpStats> WorkerStats::http(std::string_view stat_prefix) { return find_or_add(mutex_, http_, stat_prefix); }
std::shared_ptr<TcpStats> WorkerStats::tcp(std::string_view stat_prefix) { return find_or_add(mutex_, tcp_, stat_prefix); }

std::shared_ptr<ClusterStats> WorkerStats::cluster(const Cluster& cluster) {
  std::lock_guard lock(mutex_);
  if (auto it = clusters_.find(cluster.name); it != clusters_.end() && it->second->service() == cluster.service)
    return it->second;
  auto stats = std::make_shared<ClusterStats>(cluster.name, cluster.service);
  clusters_.insert_or_assign(cluster.name, stats);
  return stats;
}

}  // namespace weir::proxy
