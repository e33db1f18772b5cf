// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/net_config.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "capture/annotations.h"

namespace weir::cni {

namespace {

namespace json = boost::json;

/// What only makes sense within the sandbox, or is an act instead of a policy.
constexpr std::string_view kNotForUs[] = {"dry-run",         "cleanup-only",      "force-apply",         "skip-rule-apply",
                                          "run-validation",  "probe-timeout",     "proxy-cgroups",       "exclude-cgroups",
                                          "exclude-domains", "network-namespace", "iptables-probe-port", "reconcile"};
constexpr Field kFields[] = {
    {"enrol", "injected | all", "injected",
     "which pods are enrolled if nothing of themselves says so: those whose annotations tell of a sidecar, or each one of this "
     "network (for runtimes that hand over no annotations, such as Podman)"},
    {"exclude_namespaces", "[NAMES]", "[\"kube-system\"]", "namespaces whose pods are left alone"},
    {"flags", "{FLAG: VALUE}", "{\"start-gate\": \"hold:30s\"}",
     "defaults of weir-init's flags by their long names, backend and when-proxy-down among them; a pod's annotations come first"},
    {"policy_file", "PATH", "",
     "JSON file of the node that says which pods are enrolled, where the runtime hands over no annotations"},
    {"state_dir", "PATH", "/run/weir/cni", "directory of the attachments' records"},
    {"log", "auto | journald | syslog | none | PATH", "auto",
     "where each invocation's line goes; auto: journald if it is there, else syslog"},
    {"plugin_log_level", "debug | info | warn | error", "info",
     "the least level that is logged; debug writes to standard error too"},
    {"timeout", "DURATION", "15s", "for one invocation, 1s to 5m; what takes longer fails with code 11"},
};

class Reader {
 public:
  Reader(const json::object& config, std::vector<Problem>& problems) : config_(config), problems_(problems) {}

  NetConfig read() {
    NetConfig read;
    if (auto text = string("enrol")) {
      if (*text == "injected" || *text == "all")
        read.enrol = *text == "all" ? Enrol::all : Enrol::injected;
      else
        wrong("enrol", fmt::format("\"{}\" is not known", printable(*text)), "write injected or all");
    }
    if (const json::value* list = config_.if_contains("exclude_namespaces")) read_namespaces(*list, read.exclude_namespaces);
    if (const json::value* flags = config_.if_contains("flags")) read_flags(*flags, read.flags);
    read_path("policy_file", read.policy_file);
    read_path("state_dir", read.state_dir);
    if (auto text = string("log")) {
      if (*text == "auto" || *text == "journald" || *text == "syslog" || *text == "none" || is_path(*text))
        read.log = *text;
      else
        wrong("log", fmt::format("\"{}\" is no destination", printable(*text)),
              "write auto, journald, syslog, none or the absolute path of a file");
    }
    if (auto text = string("plugin_log_level")) take("plugin_log_level", log::parse_level(*text), read.log_level);
    if (auto text = string("timeout")) read_timeout(*text, read.timeout);
    warn_of_unknown();
    check_flags(read.flags);
    return read;
  }

 private:
  void add(Severity severity, std::string_view field, std::string message, std::string hint) {
    problems_.push_back({severity, {}, "", std::string(field), std::move(message), std::move(hint)});
  }
  void wrong(std::string_view field, std::string message, std::string hint) {
    add(Severity::error, field, std::move(message), std::move(hint));
  }
  template <class T>
  void take(std::string_view field, Result<T> value, T& into) {
    if (value)
      into = std::move(*value);
    else
      wrong(field, value.error().message(), "");
  }

  std::optional<std::string> string(std::string_view field) {
    const json::value* value = config_.if_contains(field);
    if (value == nullptr) return std::nullopt;
    if (const json::string* text = value->if_string()) return std::string(*text);
    wrong(field, fmt::format("{} is no string", printable(compact_json(*value))), "");
    return std::nullopt;
  }

  static bool is_path(std::string_view text) {
    return text.starts_with('/') && text.size() < 4096 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c != 127; });
  }
  void read_path(std::string_view field, std::string& into) {
    auto text = string(field);
    if (!text) return;
    if (is_path(*text))
      into = *text;
    else
      wrong(field, fmt::format("\"{}\" is not an absolute path", printable(*text)), "write one like /run/weir/cni");
  }

  void read_namespaces(const json::value& list, std::vector<std::string>& into) {
    const json::array* array = list.if_array();
    if (array == nullptr)
      return wrong("exclude_namespaces", fmt::format("{} is no list", printable(compact_json(list))), "write [\"kube-system\"]");
    into.clear();
    for (std::size_t i = 0; i < array->size(); ++i) {
      const json::string* text = (*array)[i].if_string();
      if (text != nullptr && !text->empty())
        into.emplace_back(*text);
      else
        wrong(fmt::format("exclude_namespaces[{}]", i),
              fmt::format("{} is not the name of a namespace", printable(compact_json((*array)[i]))), "");
    }
  }

  void read_flags(const json::value& flags, Texts& into) {
    const json::object* object = flags.if_object();
    if (object == nullptr)
      return wrong("flags", fmt::format("{} is no object", printable(compact_json(flags))),
                   "write {\"istio-service-exclude-cidr\": \"10.96.0.0/12\"}");
    const std::vector<std::string_view> allowed = allowed_flags();
    for (const auto& [key, value] : *object) {
      const std::string_view name(key.data(), key.size());
      const std::string field = fmt::format("flags.{}", printable(name));
      if (std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
        const bool is_elsewhere = std::find(std::begin(kNotForUs), std::end(kNotForUs), name) != std::end(kNotForUs);
        const std::string_view near = nearest(name, allowed);
        wrong(field, is_elsewhere ? "cannot be set for pods from outside" : "is not a flag of weir-init",
              near.empty() || is_elsewhere ? "see weir-cni --help" : fmt::format("did you mean {}?", near));
      } else if (value.is_string()) {
        into[std::string(name)] = std::string(value.as_string());
      } else if (value.is_bool() || value.is_int64() || value.is_uint64()) {
        into[std::string(name)] = compact_json(value);
      } else {
        wrong(field, fmt::format("{} is no string, number or truth value", printable(compact_json(value))), "");
      }
    }
    // From outside a pod its resolv.conf cannot be read, so that all DNS is what can be captured.
    if (auto dns = into.find("redirect-dns"); dns != into.end() && dns->second == "true") into["capture-all-dns"] = "true";
  }

  void read_timeout(const std::string& text, Nanoseconds& into) {
    auto duration = parse_duration(text);
    if (!duration)
      wrong("timeout", duration.error().message(), "");
    else if (*duration < std::chrono::seconds(1) || *duration > std::chrono::minutes(5))
      wrong("timeout", fmt::format("{} is too short or too long", text), "write 1s to 5m");
    else
      into = *duration;
  }

  void warn_of_unknown() {
    std::vector<std::string_view> known;
    for (const Field& field : kFields) known.push_back(field.name);
    for (const auto& [key, value] : config_) {
      const std::string_view name(key.data(), key.size());
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      const std::string_view near = name == "dns" ? "" : nearest(name, known);
      if (!near.empty())
        add(Severity::warning, printable(name), "is not known, so it has no effect", fmt::format("did you mean {}?", near));
    }
  }

  /// By the parser of weir-init's flags: what is wrong here would be wrong for every pod.
  void check_flags(const Texts& flags) {
    for (Problem& problem : capture::parse_annotations({}, {}, flags).problems) {
      if (problem.severity == Severity::warning) continue;  // told for each pod
      constexpr std::string_view kFlag = "flag --";
      if (problem.object.starts_with(kFlag)) problem.object = "flags." + problem.object.substr(kFlag.size());
      problems_.push_back(std::move(problem));
    }
  }

  const json::object& config_;
  std::vector<Problem>& problems_;
};

}  // namespace

std::span<const Field> fields() { return kFields; }

NetConfig read_net_config(const json::object& config, std::vector<Problem>& problems) { return Reader(config, problems).read(); }

std::vector<std::string_view> allowed_flags() {
  std::vector<std::string_view> names;
  for (const capture::Option& option : capture::options())
    if (option.is_supported() && !option.long_name.empty() &&
        std::find(std::begin(kNotForUs), std::end(kNotForUs), option.long_name) == std::end(kNotForUs))
      names.push_back(option.long_name);
  return names;
}

}  // namespace weir::cni
