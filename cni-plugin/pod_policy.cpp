// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/pod_policy.h"

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"

namespace weir::cni {

namespace {

namespace json = boost::json;

bool matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return true;
  if (pattern.ends_with('*')) return text.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == text;
}

class Reader {
 public:
  Reader(const std::string& file, std::vector<Problem>& problems) : file_(file), problems_(problems) {}

  std::vector<PodRule> read(std::string_view text) {
    std::vector<PodRule> rules;
    auto parsed = parse_json(text);
    if (!parsed) {
      wrong("", parsed.error().message(), "");
      return rules;
    }
    const json::object* top = parsed->if_object();
    const json::value* pods = top == nullptr ? nullptr : top->if_contains("pods");
    if (pods == nullptr || !pods->is_array()) {
      wrong("pods", "there is no such list", "write {\"pods\": [{\"namespace\": \"shop\", \"name\": \"cart-*\"}]}");
      return rules;
    }
    for (const auto& [key, value] : *top)
      if (key != "pods") wrong(printable(std::string_view(key)), "is not known", "write pods");
    for (std::size_t i = 0; i < pods->as_array().size(); ++i)
      rules.push_back(read_rule(pods->as_array()[i], fmt::format("pods[{}]", i)));
    return rules;
  }

 private:
  void wrong(std::string path, std::string message, std::string hint) {
    problems_.push_back({Severity::error, {file_, 0}, "", std::move(path), std::move(message), std::move(hint)});
  }

  PodRule read_rule(const json::value& value, const std::string& path) {
    PodRule rule;
    const json::object* object = value.if_object();
    if (object == nullptr) {
      wrong(path, "is no object", "");
      return rule;
    }
    for (const auto& [key, member] : *object) {
      const std::string at = fmt::format("{}.{}", path, printable(std::string_view(key)));
      if (key == "namespace")
        read_pattern(member, at, rule.name_space);
      else if (key == "name")
        read_pattern(member, at, rule.name);
      else if (key == "enrol" && member.is_bool())
        rule.enrol = member.as_bool();
      else if (key == "enrol")
        wrong(at, fmt::format("{} is neither true nor false", printable(compact_json(member))), "");
      else if (key == "annotations")
        read_annotations(member, at, rule.annotations);
      else
        wrong(at, "is not known", "known: namespace, name, enrol, annotations");
    }
    return rule;
  }

  void read_pattern(const json::value& value, const std::string& at, std::string& into) {
    if (!value.is_string() || value.as_string().empty() ||
        std::string_view(value.as_string()).find('*') < value.as_string().size() - 1)
      wrong(at, fmt::format("{} is no pattern", printable(compact_json(value))), "write a name, or its beginning and '*'");
    else
      into = std::string(value.as_string());
  }

  void read_annotations(const json::value& value, const std::string& at, Texts& into) {
    if (!value.is_object()) return wrong(at, "is no object", "");
    for (const auto& [key, member] : value.as_object())
      if (member.is_string())
        into.emplace(std::string(key), std::string(member.as_string()));
      else
        wrong(fmt::format("{}.{}", at, printable(std::string_view(key))), "is no string", "");
  }

  const std::string& file_;
  std::vector<Problem>& problems_;
};

}  // namespace

std::vector<PodRule> parse_pod_policy(std::string_view text, const std::string& file, std::vector<Problem>& problems) {
  return Reader(file, problems).read(text);
}

const PodRule* rule_for(const std::vector<PodRule>& rules, const Pod& pod) {
  for (const PodRule& rule : rules)
    if (matches(rule.name_space, pod.name_space) && matches(rule.name, pod.name)) return &rule;
  return nullptr;
}

}  // namespace weir::cni
