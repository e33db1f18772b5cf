// SPDX-License-Identifier: Apache-2.0
#include "ctl/inject_sidecar.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/duration.h"
#include "base/json.h"
#include "base/text.h"
#include "base/well_known.h"
#include "capture/annotations.h"

namespace weir::ctl {

namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view kUnix = "unix:";

json::object http_probe(int period, int failures) {
  return {{"httpGet", {{"path", "/healthz/ready"}, {"port", well_known::kHealthPort}}},
          {"periodSeconds", period},
          {"timeoutSeconds", 3},
          {"failureThreshold", failures}};
}

json::object field_variable(std::string_view name, std::string_view path) {
  return {{"name", name}, {"valueFrom", {{"fieldRef", {{"fieldPath", path}}}}}};
}

json::object variable(std::string_view name, std::string_view value) { return {{"name", name}, {"value", value}}; }

class Maker {
 public:
  Maker(const Workload& workload, const Wish& wish, const InjectOptions& options, ProxyIds ids, std::vector<Problem>& problems)
      : workload_(workload), wish_(wish), options_(options), ids_(ids), problems_(problems) {}

  Sidecar run(bool native) {
    Sidecar sidecar{.native = native, .first = wish_.hold_application && !native};
    if (native && options_.podman)
      error("", "a native sidecar is needed, and podman play kube has none: it runs init containers to their end",
            workload_.is_job() ? "set the annotation sidecar.istio.io/nativeSidecar: \"false\"" : "leave --native-sidecars out");
    if (options_.cni && wish_.tproxy && !workload_.annotations.contains("sidecar.istio.io/interceptionMode"))
      error("annotation proxy.istio.io/config: interceptionMode", "TPROXY is not seen by weir-cni here",
            "write the annotation sidecar.istio.io/interceptionMode: TPROXY");
    sidecar.proxy = proxy(native);
    if (!options_.cni) sidecar.init = init();
    sidecar.volumes = volumes();
    check_names(sidecar.volumes);
    if (wish_.hold_application && !native && options_.start_gate == "off")
      warn("annotation proxy.istio.io/config: holdApplicationUntilProxyStarts",
           "only puts the proxy first: the start gate, which holds the connections, is off", "use --start-gate=hold:30s");
    return sidecar;
  }

 private:
  void error(std::string path, std::string message, std::string hint) {
    problems_.push_back(workload_.error(workload_.line, std::move(path), std::move(message), std::move(hint)));
  }
  void warn(std::string path, std::string message, std::string hint) {
    problems_.push_back(
        workload_.problem(Severity::warning, workload_.line, std::move(path), std::move(message), std::move(hint)));
  }

  json::object proxy(bool native) {
    json::object container = {{"name", kProxyName}, {"image", wish_.image.empty() ? options_.image : wish_.image}};
    if (native) container["restartPolicy"] = "Always";
    container["args"] = proxy_args();
    container["env"] = environment();
    container["ports"] =
        json::array{{{"name", "http-envoy-prom"}, {"containerPort", well_known::kPrometheusPort}, {"protocol", "TCP"}}};
    if (wish_.readiness_probe || native) container["startupProbe"] = http_probe(1, 600);
    if (wish_.readiness_probe) {
      json::object probe = http_probe(wish_.readiness.period, wish_.readiness.failures);
      if (wish_.readiness.initial_delay > 0) probe["initialDelaySeconds"] = wish_.readiness.initial_delay;
      container["readinessProbe"] = std::move(probe);
    }
    if (json::object asked = resources(); !asked.empty()) container["resources"] = std::move(asked);
    container["securityContext"] = proxy_security();
    if (json::array mounts = volume_mounts(); !mounts.empty()) container["volumeMounts"] = std::move(mounts);
    return container;
  }

  json::array proxy_args() {
    json::array args = {"proxy", "sidecar", "--agent=" + options_.agent, "--log-level=" + wish_.log_level};
    if (!options_.state_dir.empty()) args.push_back(json::string(fmt::format("--state-dir={}/proxy", options_.state_dir)));
    add_drain(args);
    if (wish_.concurrency > 0) args.push_back(json::string(fmt::format("--concurrency={}", wish_.concurrency)));
    if (!wish_.admin_port.empty()) args.push_back(json::string("--admin-port=" + wish_.admin_port));
    if (!wish_.status_port.empty()) args.push_back(json::string("--status-port=" + wish_.status_port));
    return args;
  }

  /// The proxy must have gone before it is killed.
  void add_drain(json::array& args) {
    const auto given = parse_uint(workload_.spec.node->text_of("terminationGracePeriodSeconds"), 86'400);
    const auto grace = std::chrono::seconds(given ? *given : options_.podman ? 10U : 30U);
    const auto limit = std::max<std::chrono::seconds>(grace > 10s ? grace - 5s : grace - 1s, 1s);
    Nanoseconds time = std::min<std::chrono::seconds>(5s, limit);
    if (!wish_.drain_time.empty()) {
      time = parse_duration(wish_.drain_time).value_or(time);
      if (time > limit)
        error("annotation proxy.istio.io/config: terminationDrainDuration",
              fmt::format("{} is more than the pod's end leaves, {} of {}", wish_.drain_time, to_text(limit), to_text(grace)),
              "raise terminationGracePeriodSeconds");
    }
    args.push_back(json::string("--drain-time=" + to_text(time)));
    args.push_back(json::string("--drain-limit=" + to_text(limit)));
  }

  json::array environment() {
    json::array list;
    list.push_back(field_variable("POD_NAME", "metadata.name"));
    if (options_.podman) {  // it knows no other fields
      list.push_back(variable("POD_NAMESPACE", workload_.ns.empty() ? "default" : workload_.ns));
    } else {
      list.push_back(field_variable("POD_NAMESPACE", "metadata.namespace"));
      list.push_back(field_variable("INSTANCE_IP", "status.podIP"));
      list.push_back(field_variable("ISTIO_META_INSTANCE_IPS", "status.podIPs"));
    }
    list.push_back(variable("ISTIO_META_INTERCEPTION_MODE", wish_.tproxy ? "TPROXY" : "REDIRECT"));
    if (workload_.kind != "Pod" && !workload_.name.empty()) list.push_back(variable("ISTIO_META_WORKLOAD_NAME", workload_.name));
    json::object labels;
    for (const auto& [name, noted] : workload_.labels) labels[name] = noted.value;
    if (!labels.empty()) list.push_back(variable("ISTIO_METAJSON_LABELS", compact_json(labels)));
    for (const auto& [name, value] : wish_.environment) {
      const auto same = std::find_if(list.begin(), list.end(),
                                     [&name = name](const json::value& v) { return v.at("name").as_string() == name; });
      if (same != list.end())
        *same = variable(name, value);
      else
        list.push_back(variable(name, value));
    }
    return list;
  }

  /// As Istio has it: who says something says all.
  json::object resources() const {
    const bool is_default = wish_.resources.empty();
    const std::string& cpu = wish_.resources.cpu;
    json::object requests, limits, all;
    if (is_default || !cpu.empty()) requests["cpu"] = is_default ? "100m" : cpu;
    if (is_default || !wish_.resources.memory.empty()) requests["memory"] = is_default ? "64Mi" : wish_.resources.memory;
    if (!wish_.resources.cpu_limit.empty()) limits["cpu"] = wish_.resources.cpu_limit;
    if (!wish_.resources.memory_limit.empty()) limits["memory"] = wish_.resources.memory_limit;
    if (!requests.empty()) all["requests"] = std::move(requests);
    if (!limits.empty()) all["limits"] = std::move(limits);
    return all;
  }

  json::object proxy_security() const {
    json::object capabilities = {{"drop", json::array{"ALL"}}};
    // It becomes uid 1337 by itself and keeps NET_ADMIN alone, for sockets with the client's address.
    if (wish_.tproxy) capabilities["add"] = json::array{"NET_ADMIN", "SETGID", "SETUID"};
    return {{"runAsUser", wish_.tproxy ? 0 : well_known::kProxyUid},
            {"runAsGroup", well_known::kProxyGid},
            {"runAsNonRoot", !wish_.tproxy},
            {"readOnlyRootFilesystem", true},
            {"allowPrivilegeEscalation", false},
            {"capabilities", std::move(capabilities)}};
  }

  /// "" if it is no unix socket.
  std::string agent_directory() const {
    if (!options_.agent.starts_with(kUnix)) return "";
    const std::string path = options_.agent.substr(kUnix.size());
    const std::size_t slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
  }

  json::array volume_mounts() const {
    json::array mounts;
    if (!options_.state_dir.empty()) mounts.push_back({{"name", kStateVolume}, {"mountPath", options_.state_dir}});
    if (const std::string directory = agent_directory(); !directory.empty())
      mounts.push_back({{"name", kAgentVolume}, {"mountPath", directory}, {"readOnly", true}});
    return mounts;
  }

  json::array volumes() const {
    json::array list;
    if (!options_.state_dir.empty()) list.push_back({{"name", kStateVolume}, {"emptyDir", json::object()}});
    if (const std::string directory = agent_directory(); !directory.empty())
      list.push_back({{"name", kAgentVolume}, {"hostPath", {{"path", directory}, {"type", "Directory"}}}});
    return list;
  }

  json::object init() const {
    json::array args;
    for (const auto& [flag, value] : capture::annotation_flags(wish_.capture, {ids_.uid, ids_.gid, wish_.environment}))
      args.push_back(json::string(fmt::format("--{}={}", flag, value)));
    args.push_back(json::string("--start-gate=" + options_.start_gate));
    if (!options_.backend.empty()) args.push_back(json::string("--backend=" + options_.backend));
    json::array capabilities = {"NET_ADMIN"};
    if (options_.backend.starts_with("iptables")) capabilities.push_back("NET_RAW");
    return {{"name", kInitName},
            {"image", options_.init_image},
            {"args", std::move(args)},
            {"resources", {{"requests", {{"cpu", "10m"}, {"memory", "16Mi"}}}}},
            {"securityContext",
             {{"runAsUser", 0},
              {"runAsGroup", 0},
              {"runAsNonRoot", false},
              {"readOnlyRootFilesystem", true},
              {"allowPrivilegeEscalation", false},
              {"capabilities", {{"drop", json::array{"ALL"}}, {"add", std::move(capabilities)}}}}}};
  }

  /// Names that others have taken.
  void check_names(const json::array& volumes) {
    auto taken = [&](const char* list_name, std::string_view name) {
      const auto list = workload_.spec.find(list_name);
      if (!list || !list->node->is_list()) return;
      const auto names = by_name(*list);
      const auto found = names.find(std::string(name));
      if (found == names.end()) return;
      const Place item = list->item(found->second);
      problems_.push_back(
          workload_.error(item.line, item.to_text(), fmt::format("the name {} is taken", name),
                          "what is injected bears it; rename this one, or remove it if another injector put it in"));
    };
    for (const json::value& volume : volumes) taken("volumes", volume.at("name").as_string());
    if (options_.cni) return;
    taken("initContainers", kInitName);
    taken("containers", kInitName);
  }

  const Workload& workload_;
  const Wish& wish_;
  const InjectOptions& options_;
  ProxyIds ids_;
  std::vector<Problem>& problems_;
};

}  // namespace

Sidecar make_sidecar(const Workload& workload, const Wish& wish, const InjectOptions& options, bool native, ProxyIds ids,
                     std::vector<Problem>& problems) {
  return Maker(workload, wish, options, ids, problems).run(native);
}

}  // namespace weir::ctl
