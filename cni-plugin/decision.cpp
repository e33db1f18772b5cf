// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/decision.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "capture/annotations.h"

namespace weir::cni {

namespace {

constexpr std::string_view kInject = "sidecar.istio.io/inject";
constexpr std::string_view kStatus = "sidecar.istio.io/status";
constexpr std::string_view kTemplates = "inject.istio.io/templates";
/// Injected templates whose proxy takes no captured traffic, or which have none.
constexpr std::string_view kOtherTemplates[] = {"gateway", "grpc-agent", "grpc-simple"};
/// Init containers that program the rules themselves.
constexpr std::string_view kInitContainers[] = {"istio-init", "weir-init"};

const std::string* find(const Texts& annotations, std::string_view name) {
  auto found = annotations.find(std::string(name));
  return found == annotations.end() ? nullptr : &found->second;
}

bool says_what_is_captured(std::string_view annotation) {
  return annotation.starts_with("traffic.sidecar.istio.io/") || annotation == "sidecar.istio.io/interceptionMode" ||
         annotation == "istio.io/reroute-virtual-interfaces" || annotation == "status.sidecar.istio.io/port";
}

class Decider {
 public:
  Decider(const Request& request, const std::vector<PodRule>& rules) : request_(request), rules_(rules) {}

  Decision decide() {
    look_at_pod();
    if (decision_.skip || has_errors(decision_.problems)) return std::move(decision_);
    decision_.input.flags = request_.config.flags;
    for (const auto& [annotation, value] : annotations_)
      if (says_what_is_captured(annotation)) decision_.input.annotations.emplace(annotation, value);
    capture::ParseOutcome outcome = policy_of(decision_.input);
    const bool is_none = outcome.parsed.policy.mode == capture::Mode::none && !has_errors(outcome.problems);
    for (Problem& problem : outcome.problems) decision_.problems.push_back(std::move(problem));
    if (is_none) skip(Skip::mode_none, "interception mode NONE");
    return std::move(decision_);
  }

 private:
  void skip(Skip reason, std::string why) {
    decision_.skip = reason;
    decision_.why = std::move(why);
  }

  void look_at_pod() {
    const auto& excluded = request_.config.exclude_namespaces;
    if (std::find(excluded.begin(), excluded.end(), request_.pod.name_space) != excluded.end())
      return skip(Skip::excluded_namespace, fmt::format("namespace {} is in exclude_namespaces", request_.pod.name_space));
    bool is_wanted = request_.config.enrol == Enrol::all;
    decision_.why = "every pod of this network is enrolled";
    if (request_.annotations) {
      annotations_ = *request_.annotations;
    } else if (const PodRule* rule = rule_for(rules_, request_.pod)) {
      annotations_ = rule->annotations;
      is_wanted = rule->enrol;
      decision_.why =
          fmt::format("the policy file says so for namespace {}, name {}", shown(rule->name_space), shown(rule->name));
      if (!is_wanted) return skip(Skip::not_enrolled, std::move(decision_.why));
    }
    look_at_annotations(is_wanted);
  }

  static std::string shown(const std::string& pattern) { return pattern.empty() ? "*" : pattern; }

  void look_at_annotations(bool is_wanted) {
    if (const std::string* inject = find(annotations_, kInject)) {
      const std::string value = to_lower(*inject);
      constexpr std::string_view kYes[] = {"true", "yes", "y", "on", "1", ""}, kNo[] = {"false", "no", "n", "off", "0"};
      if (std::find(std::begin(kNo), std::end(kNo), value) != std::end(kNo))
        return skip(Skip::inject_false, fmt::format("annotation {} is {}", kInject, value));
      if (std::find(std::begin(kYes), std::end(kYes), value) == std::end(kYes))
        decision_.problems.push_back({Severity::error,
                                      {},
                                      fmt::format("annotation {}", kInject),
                                      "",
                                      fmt::format("\"{}\" is neither true nor false", printable(*inject)),
                                      "write true or false"});
    }
    const std::string* status = find(annotations_, kStatus);
    if (status != nullptr) {
      decision_.why = fmt::format("annotation {} tells of a sidecar", kStatus);
      is_wanted = true;
    }
    if (!is_wanted)
      return skip(Skip::not_enrolled,
                  request_.annotations || !annotations_.empty()
                      ? fmt::format("no annotation {}, so that no sidecar was injected", kStatus)
                      : "the runtime hands over no annotations, no rule of the policy file names the pod, and "
                        "enrol is not \"all\"");
    if (const std::string* templates = find(annotations_, kTemplates))
      for (std::string_view item : split(*templates, ','))
        if (std::find(std::begin(kOtherTemplates), std::end(kOtherTemplates), trim(item)) != std::end(kOtherTemplates))
          return skip(Skip::not_a_sidecar, fmt::format("annotation {} names {}", kTemplates, trim(item)));
    if (status != nullptr) look_at_status(*status);
  }

  void look_at_status(const std::string& status) {
    auto parsed = parse_json(status);
    const boost::json::value* list = parsed && parsed->is_object() ? parsed->as_object().if_contains("initContainers") : nullptr;
    if (!parsed) decision_.notes.push_back(fmt::format("annotation {} is not JSON: taken for a sidecar's all the same", kStatus));
    if (list == nullptr || !list->is_array()) return;
    for (const boost::json::value& entry : list->as_array())
      for (std::string_view container : kInitContainers)
        if (entry.is_string() && entry.as_string() == boost::json::string_view(container.data(), container.size()))
          return skip(Skip::init_container, fmt::format("its init container {} captures it", container));
  }

  const Request& request_;
  const std::vector<PodRule>& rules_;
  Texts annotations_;
  Decision decision_;
};

}  // namespace

std::string_view name(Skip reason) {
  switch (reason) {
    case Skip::excluded_namespace: return "excluded-namespace";
    case Skip::not_enrolled: return "not-enrolled";
    case Skip::inject_false: return "inject-false";
    case Skip::not_a_sidecar: return "not-a-sidecar";
    case Skip::init_container: return "init-container";
    case Skip::mode_none: return "mode-none";
  }
  return "";
}

Decision decide(const Request& request, const std::vector<PodRule>& rules) { return Decider(request, rules).decide(); }

capture::ParseOutcome policy_of(const PolicyInput& input) {
  return capture::parse_annotations(input.annotations, {}, input.flags);
}

}  // namespace weir::cni
