// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/test_golden.h"
#include "proxy/prometheus.h"
#include "proxy/stats.h"

using namespace weir;
using namespace weir::proxy;

namespace {

Cluster cluster_named(std::string name, ServiceLabels service = {}) {
  Cluster cluster;
  cluster.name = std::move(name);
  cluster.service = std::move(service);
  return cluster;
}

std::uint64_t total(const IstioMetrics& metrics) {
  std::uint64_t sum = 0;
  for (const auto& [labels, value] : metrics.requests) sum += value;
  return sum;
}

std::int64_t value_of(const std::vector<Sample>& samples, const std::string& dotted) {
  for (const Sample& sample : samples)
    if (dotted_name(sample) == dotted) return sample.value;
  return -1;
}

}  // namespace

TEST_CASE("a scrape sums over the workers, and a gauge may go down on another one than it went up") {
  Stats stats({});
  WorkerStats& one = stats.add_worker();
  WorkerStats& two = stats.add_worker();
  auto first = one.cluster(cluster_named("a"));
  auto second = two.cluster(cluster_named("a"));
  first->upstream_cx_total.add(2);
  second->upstream_cx_total.add(3);
  first->upstream_cx_active.add(2);
  second->upstream_cx_active.sub();
  first->count_response(204);
  first->count_response(503);
  const std::vector<Sample> samples = stats.samples();
  CHECK(value_of(samples, "cluster.a.upstream_cx_total") == 5);
  CHECK(value_of(samples, "cluster.a.upstream_cx_active") == 1);
  CHECK(value_of(samples, "cluster.a.upstream_rq_2xx") == 1);
  CHECK(value_of(samples, "cluster.a.upstream_rq_5xx") == 1);
  CHECK(value_of(samples, "cluster.a.upstream_rq_completed") == 2);
}

TEST_CASE("a cluster that nobody holds is listed a last time, then forgotten") {
  Stats stats({});
  WorkerStats& worker = stats.add_worker();
  worker.cluster(cluster_named("gone"))->upstream_rq_total.add();
  CHECK(value_of(stats.samples(), "cluster.gone.upstream_rq_total") == 1);
  CHECK(value_of(stats.samples(), "cluster.gone.upstream_rq_total") == -1);
}

TEST_CASE("series are bounded, whatever a client or upstream sends, and nothing is lost") {
  Stats stats({});
  auto cluster = stats.add_worker().cluster(cluster_named("a"));
  for (std::uint16_t code = 200; code < 600; ++code)
    for (int workload = 0; workload < 3; ++workload)
      cluster->record_request({.code = code}, fmt::format("w{};ns;s;v1;c", workload), std::chrono::milliseconds(3), 10, 20);
  CHECK(cluster->requests().size() <= ClusterStats::kMaxSeries);
  CHECK(total(stats.istio()) == 1200);
}

TEST_CASE("a histogram counts a value in the bucket that holds it") {
  Histogram histogram;
  histogram.record(0.5);
  histogram.record(0.6);
  histogram.record(1e9);
  CHECK(histogram.bucket(0) == 1);
  CHECK(histogram.bucket(1) == 1);
  CHECK(histogram.bucket(kHistogramBounds.size()) == 1);
  CHECK(histogram.sum() == doctest::Approx(1'000'000'001.1));
}

TEST_CASE("the exposition: families, escaped labels, Istio's names") {
  LocalWorkload local;
  local.workload = "productpage-v1";
  local.ns = "default";
  local.app = local.canonical_service = "productpage";
  local.version = local.canonical_revision = "v1";
  local.cluster = "Kubernetes";
  Stats stats(local);
  WorkerStats& worker = stats.add_worker();
  auto cluster = worker.cluster(cluster_named("outbound|9080||reviews.default.svc.cluster.local",
                                              {"reviews.default.svc.cluster.local", "reviews", "default"}));
  cluster->upstream_rq_total.add(7);
  cluster->count_response(200);
  ResponseFlags flags;
  flags.add(ResponseFlag::no_healthy_upstream);
  cluster->record_request({.code = 503, .flags = flags.bits()}, "", std::chrono::milliseconds(2), 0, 19);
  cluster->record_request({.code = 200}, "reviews-v1;default;reviews;v1;Kubernetes", std::chrono::milliseconds(40), 5, 4000);
  ConnectionSeries& connection = cluster->connection(Reporter::source, {}, "");
  connection.opened.add();
  connection.sent_bytes.add(11);
  auto odd = worker.http("quote\" back\\slash\nline");
  odd->downstream_rq_total.add();
  worker.proxy.loops_refused.add();
  const IstioMetrics istio = stats.istio();
  const std::vector<Sample> samples = stats.samples();
  const auto no_histogram = [](std::string_view name) { return name.find("istio_re") != 0 || name == "istio_requests_total"; };
  test::check_golden(std::filesystem::path(WEIR_TESTDATA) / "exposition.txt",
                     prometheus_text(samples, istio, {.used_only = true, .wanted = no_histogram}));
}

TEST_CASE("a histogram's buckets are cumulative, and its last is its count") {
  IstioMetrics istio;
  LabelledHistogram& histogram = istio.duration_ms["a=\"b\""];
  histogram.buckets[0] = 2;
  histogram.buckets[3] = 1;
  histogram.sum = 4.5;
  const std::string text = prometheus_text({}, istio, {});
  CHECK(text.find("# TYPE istio_request_duration_milliseconds histogram\n") == 0);
  for (const char* line : {"_bucket{a=\"b\",le=\"0.5\"} 2\n", "_bucket{a=\"b\",le=\"5\"} 2\n", "_bucket{a=\"b\",le=\"10\"} 3\n",
                           "_bucket{a=\"b\",le=\"+Inf\"} 3\n", "_sum{a=\"b\"} 4.5\n", "_count{a=\"b\"} 3\n"}) {
    CAPTURE(line);
    CHECK(text.find(line) != std::string::npos);
  }
}

TEST_CASE("text and JSON: sorted, filtered, used only") {
  const std::vector<Sample> samples = {{Sample::Type::counter, "cluster", "b", "x", 0},
                                       {Sample::Type::counter, "cluster", "a", "x", 2},
                                       {Sample::Type::gauge, "server", "", "live", 1}};
  CHECK(stats_text(samples, {}) == "cluster.a.x: 2\ncluster.b.x: 0\nserver.live: 1\n");
  CHECK(stats_text(samples, {.used_only = true, .wanted = [](std::string_view name) { return name[0] == 'c'; }}) ==
        "cluster.a.x: 2\n");
  CHECK(stats_json(samples, {.used_only = true, .wanted = {}}) ==
        "{\"stats\":[\n {\"name\":\"cluster.a.x\",\"value\":2},\n {\"name\":\"server.live\",\"value\":1}\n]}\n");
}
