// SPDX-License-Identifier: Apache-2.0
// The annotation proxy.istio.io/config.
#include <algorithm>

#include "base/duration.h"
#include "base/text.h"
#include "capture/option_values.h"
#include "ctl/inject_wish.h"

namespace weir::ctl {

namespace {

using mesh::yaml::Node;
constexpr std::string_view kAnnotation = "proxy.istio.io/config";

struct Reader {
  const Workload& workload;
  int line;
  Wish& wish;
  std::vector<Problem>& problems;

  void add(Severity severity, std::string_view field, std::string message, std::string hint) {
    problems.push_back(workload.problem(
        severity, line, fmt::format("annotation {}{}{}", kAnnotation, field.empty() ? "" : ": ", printable(field)),
        std::move(message), std::move(hint)));
  }
  void error(std::string_view field, std::string message, std::string hint) {
    add(Severity::error, field, std::move(message), std::move(hint));
  }
  static std::string shown(const Node& value) {
    return value.is_scalar() ? "\"" + printable(value.text) + "\""
           : value.is_null() ? "nothing"
           : value.is_list() ? "a list"
                             : "a map";
  }

  void read_hold(const Node& value) {
    if (value.text == "true" || value.text == "false")
      wish.hold_application = value.text == "true";
    else
      error("holdApplicationUntilProxyStarts", shown(value) + " is neither true nor false", "write true or false");
  }
  void read_concurrency(const Node& value) {
    const auto number = parse_uint(value.text, 1024);
    if (number)
      wish.concurrency = static_cast<unsigned>(*number);
    else
      error("concurrency", shown(value) + " is no number of threads", "write 1 to 1024, or 0 for as many as its CPUs");
  }
  void read_drain(const Node& value) {
    const auto duration = parse_duration(value.text);
    if (duration && *duration >= Nanoseconds::zero())
      wish.drain_time = to_text(*duration);
    else
      error("terminationDrainDuration", shown(value) + " is no duration", "write one like 5s");
  }
  void read_mode(const Node& value) {
    if (value.text == "TPROXY")
      wish.tproxy = true;
    else if (value.text != "REDIRECT")
      error("interceptionMode", shown(value) + " is no interception mode", "write REDIRECT or TPROXY");
  }
  void read_admin_port(const Node& value) {
    const auto port = parse_uint(value.text, 65535);
    if (port && *port > 0)
      wish.admin_port = value.text;
    else
      error("proxyAdminPort", shown(value) + " is no port", "write 1 to 65535");
  }
  void read_metadata(const Node& map) {
    if (!map.is_map()) return error("proxyMetadata", shown(map) + " is no map", "write NAME: \"value\"");
    for (const auto& entry : map.entries) {
      const std::string field = "proxyMetadata." + entry.key;
      const bool is_name = !entry.key.empty() && std::all_of(entry.key.begin(), entry.key.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
      });
      if (!is_name || !entry.value->is_scalar())
        error(field, shown(*entry.value) + " is no environment variable's text", "write NAME: \"value\"");
      else if (entry.key == "ISTIO_META_DNS_CAPTURE" && capture::parse_bool(entry.value->text) != false)
        error(field, "weir-proxy does not serve captured DNS yet, so names would not be resolved", "leave it out");
      else
        wish.environment[entry.key] = entry.value->text;
    }
  }
};

struct Row {
  std::string_view field;
  void (*read)(Reader&, const Node&);  ///< null: without effect here, told
};
constexpr Row kRows[] = {
    {"holdApplicationUntilProxyStarts", [](Reader& r, const Node& v) { r.read_hold(v); }},
    {"concurrency", [](Reader& r, const Node& v) { r.read_concurrency(v); }},
    {"terminationDrainDuration", [](Reader& r, const Node& v) { r.read_drain(v); }},
    {"interceptionMode", [](Reader& r, const Node& v) { r.read_mode(v); }},
    {"proxyAdminPort", [](Reader& r, const Node& v) { r.read_admin_port(v); }},
    {"proxyMetadata", [](Reader& r, const Node& v) { r.read_metadata(v); }},
    {"availabilityZone", nullptr},
    {"binaryPath", nullptr},
    {"caCertificatesPem", nullptr},
    {"configPath", nullptr},
    {"controlPlaneAuthPolicy", nullptr},
    {"customConfigFile", nullptr},
    {"discoveryAddress", nullptr},
    {"discoveryRefreshDelay", nullptr},
    {"drainDuration", nullptr},
    {"envoyAccessLogService", nullptr},
    {"envoyMetricsService", nullptr},
    {"envoyMetricsServiceAddress", nullptr},
    {"extraStatTags", nullptr},
    {"fileFlushInterval", nullptr},
    {"fileFlushMinSizeKb", nullptr},
    {"gatewayTopology", nullptr},
    {"image", nullptr},
    {"meshId", nullptr},
    {"parentShutdownDuration", nullptr},
    {"privateKeyProvider", nullptr},
    {"proxyBootstrapTemplatePath", nullptr},
    {"proxyHeaders", nullptr},
    {"proxyStatsMatcher", nullptr},
    {"readinessProbe", nullptr},
    {"runtimeValues", nullptr},
    {"sds", nullptr},
    {"serviceCluster", nullptr},
    {"statNameLength", nullptr},
    {"statsCompression", nullptr},
    {"statsdUdpAddress", nullptr},
    {"statusPort", nullptr},
    {"tracing", nullptr},
    {"tracingServiceName", nullptr},
    {"zipkinAddress", nullptr},
};

void read_field(Reader& reader, const mesh::yaml::Entry& entry) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& known) { return known.field == entry.key; });
  if (row == std::end(kRows)) {
    std::vector<std::string_view> names;
    for (const Row& known : kRows) names.push_back(known.field);
    const std::string_view near = nearest(entry.key, names);
    return reader.error(entry.key, "is not a field of ProxyConfig",
                        near.empty() ? "leave it out" : fmt::format("did you mean {}?", near));
  }
  if (row->read == nullptr)
    reader.add(Severity::warning, entry.key, "has no effect with weir", "leave it out, or see docs/inject.md");
  else if (!entry.value->is_null())
    row->read(reader, *entry.value);
}

}  // namespace

void read_proxy_config(const Workload& workload, Wish& wish, std::vector<Problem>& problems) {
  const auto found = workload.annotations.find(std::string(kAnnotation));
  if (found == workload.annotations.end()) return;
  Reader reader{workload, found->second.line, wish, problems};
  const auto read = mesh::yaml::read("", found->second.value);
  for (const Problem& problem : read.problems) reader.error("", problem.message, "write a ProxyConfig as YAML");
  if (!read.problems.empty() || read.documents.empty()) return;
  const Node& config = *read.documents.front();
  if (!config.is_map() || read.documents.size() > 1) return reader.error("", "is not one map", "write a ProxyConfig as YAML");
  for (const auto& again : mesh::yaml::duplicates(config)) reader.error(again.path, "is given twice", "keep one of them");
  for (const auto& entry : config.entries) read_field(reader, entry);
}

}  // namespace weir::ctl
