// SPDX-License-Identifier: Apache-2.0
#include "ctl/inject_wish.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "capture/annotations.h"

namespace weir::ctl {

namespace {

constexpr std::string_view kInject = "sidecar.istio.io/inject";
constexpr std::string_view kRevision = "istio.io/rev";
constexpr std::string_view kMode = "sidecar.istio.io/interceptionMode";
constexpr std::string_view kKubernetesOwn[] = {"kube-system", "kube-public", "kube-node-lease", "local-path-storage"};

/// As Istio's webhook reads it, but for words that it takes for "no" silently.
std::optional<bool> parse_yes(std::string_view text) {
  const std::string word = to_lower(text);
  if (word == "y" || word == "yes" || word == "true" || word == "on") return true;
  if (word == "n" || word == "no" || word == "false" || word == "off") return false;
  return std::nullopt;
}

struct Reader {
  const Workload& workload;
  Wish& wish;
  std::vector<Problem>& problems;

  void error(const std::string& name, const Noted& noted, std::string message, std::string hint) {
    problems.push_back(workload.error(noted.line, "annotation " + name, std::move(message), std::move(hint)));
  }
  void warn(const std::string& name, const Noted& noted, std::string message, std::string hint) {
    problems.push_back(
        workload.problem(Severity::warning, noted.line, "annotation " + name, std::move(message), std::move(hint)));
  }
  std::string shown(const Noted& noted) const { return "\"" + printable(noted.value) + "\""; }

  void read_bool(const std::string& name, const Noted& noted, bool& into) {
    if (noted.value == "true" || noted.value == "false")
      into = noted.value == "true";
    else
      error(name, noted, shown(noted) + " is neither true nor false", "write \"true\" or \"false\"");
  }
  void read_number(const std::string& name, const Noted& noted, int least, int& into) {
    const auto number = parse_uint(noted.value, 86'400);
    if (number && *number >= static_cast<unsigned>(least))
      into = static_cast<int>(*number);
    else
      error(name, noted, fmt::format("{} is no number from {} to 86400", shown(noted), least), "");
  }
  void read_amount(const std::string& name, const Noted& noted, std::string& into) {
    if (parse_quantity(noted.value))
      into = noted.value;
    else
      error(name, noted, shown(noted) + " is no amount", "write one like 100m or 0.5 (CPU), 128Mi or 1Gi (memory)");
  }
  void read_image(const std::string& name, const Noted& noted) {
    const bool is_word = !noted.value.empty() && std::all_of(noted.value.begin(), noted.value.end(),
                                                             [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\''; });
    if (is_word)
      wish.image = noted.value;
    else
      error(name, noted, shown(noted) + " is no image", "write one like registry.example/weir/proxy:1");
  }
  void read_level(const std::string& name, const Noted& noted) {
    static constexpr std::string_view kLevels[][2] = {{"trace", "debug"},    {"debug", "debug"}, {"info", "info"},
                                                      {"warning", "warn"},   {"warn", "warn"},   {"error", "error"},
                                                      {"critical", "error"}, {"off", "error"}};
    for (const auto& [theirs, ours] : kLevels)
      if (noted.value == theirs) {
        wish.log_level = ours;
        return;
      }
    error(name, noted, shown(noted) + " is no level", "write trace, debug, info, warning, error, critical or off");
  }
  void read_native(const std::string& name, const Noted& noted) {
    bool value = false;
    read_bool(name, noted, value);
    wish.native = value;
  }
  /// Kubelet's own probes come to the workload through the proxy as they are: nothing is to be rewritten.
  void read_rewrite(const std::string& name, const Noted& noted) {
    bool value = false;
    read_bool(name, noted, value);
    if (noted.value == "true")
      warn(name, noted, "has no effect: probes are not rewritten", "they reach the workload through the proxy as they are");
  }
  void read_status_port(const std::string& name, const Noted& noted) {
    if (!parse_uint(noted.value, 65535))
      return error(name, noted, shown(noted) + " is not a port", "write a number from 1 to 65535, or 0 for none");
    wish.status_port = noted.value == "0" ? "off" : noted.value;
    wish.readiness_probe = noted.value != "0";
  }
  void read_templates(const std::string& name, const Noted& noted) {
    if (noted.value != "sidecar") wish.skip = fmt::format("{} asks for the template {}, not for a sidecar", name, shown(noted));
  }
};

struct Row {
  std::string_view name;
  void (*read)(Reader&, const std::string& name, const Noted&);  ///< null: known to Istio, without effect here
};

const std::vector<Row>& rows() {
  using R = Reader;
  using N = const std::string;
  using V = const Noted;
  static const std::vector<Row> all = {
      {"sidecar.istio.io/proxyImage", [](R& r, N& n, V& v) { r.read_image(n, v); }},
      {"sidecar.istio.io/proxyCPU", [](R& r, N& n, V& v) { r.read_amount(n, v, r.wish.resources.cpu); }},
      {"sidecar.istio.io/proxyCPULimit", [](R& r, N& n, V& v) { r.read_amount(n, v, r.wish.resources.cpu_limit); }},
      {"sidecar.istio.io/proxyMemory", [](R& r, N& n, V& v) { r.read_amount(n, v, r.wish.resources.memory); }},
      {"sidecar.istio.io/proxyMemoryLimit", [](R& r, N& n, V& v) { r.read_amount(n, v, r.wish.resources.memory_limit); }},
      {"sidecar.istio.io/logLevel", [](R& r, N& n, V& v) { r.read_level(n, v); }},
      {"sidecar.istio.io/nativeSidecar", [](R& r, N& n, V& v) { r.read_native(n, v); }},
      {"sidecar.istio.io/rewriteAppHTTPProbers", [](R& r, N& n, V& v) { r.read_rewrite(n, v); }},
      {"readiness.status.sidecar.istio.io/initialDelaySeconds",
       [](R& r, N& n, V& v) { r.read_number(n, v, 0, r.wish.readiness.initial_delay); }},
      {"readiness.status.sidecar.istio.io/periodSeconds",
       [](R& r, N& n, V& v) { r.read_number(n, v, 1, r.wish.readiness.period); }},
      {"readiness.status.sidecar.istio.io/failureThreshold",
       [](R& r, N& n, V& v) { r.read_number(n, v, 1, r.wish.readiness.failures); }},
      {"status.sidecar.istio.io/port", [](R& r, N& n, V& v) { r.read_status_port(n, v); }},
      {"inject.istio.io/templates", [](R& r, N& n, V& v) { r.read_templates(n, v); }},
      // Read elsewhere.
      {kInject, [](R&, N&, V&) {}},
      {kMode, [](R&, N&, V&) {}},
      {"sidecar.istio.io/status", [](R&, N&, V&) {}},
      {"proxy.istio.io/config", [](R&, N&, V&) {}},
      // Istio's, not ours.
      {"proxy.istio.io/overrides", nullptr},
      {"sidecar.istio.io/agentLogLevel", nullptr},
      {"sidecar.istio.io/bootstrapOverride", nullptr},
      {"sidecar.istio.io/componentLogLevel", nullptr},
      {"sidecar.istio.io/controlPlaneAuthPolicy", nullptr},
      {"sidecar.istio.io/discoveryAddress", nullptr},
      {"sidecar.istio.io/enableCoreDump", nullptr},
      {"sidecar.istio.io/extraStatTags", nullptr},
      {"sidecar.istio.io/proxyImageType", nullptr},
      {"sidecar.istio.io/statsCompression", nullptr},
      {"sidecar.istio.io/statsHistogramBuckets", nullptr},
      {"sidecar.istio.io/statsInclusionPrefixes", nullptr},
      {"sidecar.istio.io/statsInclusionRegexps", nullptr},
      {"sidecar.istio.io/statsInclusionSuffixes", nullptr},
      {"sidecar.istio.io/userVolume", nullptr},
      {"sidecar.istio.io/userVolumeMount", nullptr},
      {"readiness.status.sidecar.istio.io/applicationPorts", nullptr},
  };
  return all;
}

bool is_ours(std::string_view name) {
  return name.starts_with("sidecar.istio.io/") || name.starts_with("proxy.istio.io/") || name.starts_with("inject.istio.io/") ||
         name.starts_with("status.sidecar.istio.io/") || name.starts_with("readiness.status.sidecar.istio.io/");
}

void read_annotation(Reader& reader, const std::string& name, const Noted& noted) {
  const auto row = std::find_if(rows().begin(), rows().end(), [&](const Row& known) { return known.name == name; });
  if (row == rows().end()) {
    if (!is_ours(name)) return;
    std::vector<std::string_view> names;
    for (const Row& known : rows()) names.push_back(known.name);
    const std::string_view near = nearest(name, names);
    return reader.warn(printable(name), noted, "is not known, so it has no effect",
                       near.empty() ? "docs/inject.md lists those that have one" : fmt::format("did you mean {}?", near));
  }
  if (row->read != nullptr)
    row->read(reader, name, noted);
  else
    reader.warn(name, noted, "has no effect with weir", "leave it out, or see docs/inject.md");
}

/// The label beats the annotation; without either a revision's label asks too.
void read_inject(Reader& reader, const InjectOptions& options) {
  const Workload& workload = reader.workload;
  for (const auto* texts : {&workload.labels, &workload.annotations}) {
    const auto found = texts->find(std::string(kInject));
    if (found == texts->end()) continue;
    const char* what = texts == &workload.labels ? "label" : "annotation";
    const auto wanted = parse_yes(found->second.value);
    if (!wanted)
      reader.problems.push_back(workload.error(found->second.line, fmt::format("{} {}", what, kInject),
                                               reader.shown(found->second) + " is neither true nor false",
                                               "write \"true\" or \"false\""));
    else if (!*wanted)
      reader.wish.skip = fmt::format("its {} {} is {}", what, kInject, found->second.value);
    break;
  }
  if (const auto found = workload.labels.find(std::string(kRevision)); found != workload.labels.end()) {
    reader.wish.revision = found->second.value;
    if (!options.revision.empty() && options.revision != found->second.value)
      reader.wish.skip = fmt::format("its label {} is {}, not {}", kRevision, printable(found->second.value), options.revision);
  } else if (!options.revision.empty()) {
    reader.wish.revision = options.revision;
  }
}

/// Whatever its annotations say.
std::string reason_to_skip(const Workload& workload) {
  const auto& spec = *workload.spec.node;
  if (spec.text_of("hostNetwork") == "true") return "it uses the host's network, which nobody may capture for one pod";
  if (std::find(std::begin(kKubernetesOwn), std::end(kKubernetesOwn), workload.ns) != std::end(kKubernetesOwn))
    return fmt::format("namespace {} is Kubernetes' own", workload.ns);
  if (workload.annotations.contains("sidecar.istio.io/status"))
    return "its annotation sidecar.istio.io/status says that another injector was here";
  return "";
}

void read_capture(Reader& reader, bool by_config) {
  Wish& wish = reader.wish;
  for (const auto& [name, noted] : reader.workload.annotations) wish.capture[name] = noted.value;
  if (by_config) wish.capture.try_emplace(std::string(kMode), "TPROXY");
  const auto outcome = capture::parse_annotations(wish.capture, {0, 0, wish.environment});
  for (const Problem& problem : outcome.problems) {
    if (problem.object == "annotation status.sidecar.istio.io/port") continue;  // told already
    std::string name = problem.object.starts_with("annotation ") ? problem.object.substr(11) : "";
    const auto found = reader.workload.annotations.find(name);
    Problem placed = reader.workload.problem(
        problem.severity, found == reader.workload.annotations.end() ? reader.workload.line : found->second.line, problem.object,
        problem.message, problem.hint);
    reader.problems.push_back(std::move(placed));
  }
  if (outcome.parsed.policy.mode == capture::Mode::none) wish.skip = fmt::format("its annotation {} is NONE", kMode);
  wish.tproxy = outcome.parsed.policy.mode == capture::Mode::tproxy;
}

void check_resources(Reader& reader) {
  const Resources& asked = reader.wish.resources;
  for (const auto& [request, limit, name] :
       {std::tuple(&asked.cpu, &asked.cpu_limit, "sidecar.istio.io/proxyCPULimit"),
        std::tuple(&asked.memory, &asked.memory_limit, "sidecar.istio.io/proxyMemoryLimit")}) {
    const auto least = parse_quantity(*request), most = parse_quantity(*limit);
    if (!least || !most || *least <= *most) continue;
    const Noted& noted = reader.workload.annotations.at(name);
    reader.error(name, noted, fmt::format("{} is less than what is requested, {}", reader.shown(noted), *request),
                 "make it at least as much");
  }
}

/// What stands at the Deployment, or another object above the pods, is not seen by anybody.
void warn_of_misplaced(Reader& reader) {
  const Workload& workload = reader.workload;
  if (workload.object.node == workload.pod.node) return;
  const auto metadata = workload.object.find("metadata");
  const auto annotations = metadata ? metadata->find("annotations") : std::nullopt;
  if (!annotations || !annotations->node->is_map()) return;
  for (const auto& entry : annotations->node->entries)
    if (is_ours(entry.key) || entry.key.starts_with("traffic.sidecar.istio.io/"))
      reader.problems.push_back(
          workload.problem(Severity::warning, entry.line, fmt::format("metadata.annotations[{}]", printable(entry.key)),
                           "has no effect here", fmt::format("move it to {}.metadata.annotations", workload.pod.to_text())));
}

}  // namespace

std::optional<double> parse_quantity(std::string_view text) {
  double number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (failed != std::errc() || text.front() < '0' || text.front() > '9' || number <= 0) return std::nullopt;
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  static constexpr std::pair<std::string_view, double> kSuffixes[] = {
      {"", 1},     {"m", 1e-3},  {"k", 1e3},      {"M", 1e6},           {"G", 1e9},
      {"T", 1e12}, {"Ki", 1024}, {"Mi", 1048576}, {"Gi", 1073741824.0}, {"Ti", 1099511627776.0},
  };
  for (const auto& [name, factor] : kSuffixes)
    if (name == suffix) return number * factor;
  return std::nullopt;
}

Wish read_wish(const Workload& workload, const InjectOptions& options, std::vector<Problem>& problems) {
  Wish wish;
  wish.skip = reason_to_skip(workload);
  if (!wish.skip.empty()) return wish;
  Reader reader{workload, wish, problems};
  read_inject(reader, options);
  if (!wish.skip.empty()) return wish;
  for (const auto& [name, noted] : workload.annotations) read_annotation(reader, name, noted);
  read_proxy_config(workload, wish, problems);
  read_capture(reader, wish.tproxy);
  check_resources(reader);
  warn_of_misplaced(reader);
  return wish;
}

}  // namespace weir::ctl
