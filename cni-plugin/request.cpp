// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/request.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "cni-plugin/json_span.h"

namespace weir::cni {

namespace {

namespace json = boost::json;
using Environment = std::map<std::string, std::string>;

constexpr std::string_view kAnnotations = "io.kubernetes.cri.pod-annotations";
/// libcni before 1.2 called it otherwise.
constexpr std::string_view kValid[] = {"cni.dev/valid-attachments", "cni.dev/attachments"};

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_yes(std::string_view text) { return text == "1" || equals_ignore_case(text, "true"); }

class Parser {
 public:
  Parser(const Environment& environment, std::string_view input) : environment_(environment), input_(input) {}

  tl::expected<Request, Refused> parse() {
    read_environment();
    if (verb_known_ && request_.verb == Verb::version) {
      read_version_input();
    } else if (verb_known_) {
      read_config();
    }
    if (auto failure = refusal()) return tl::unexpected(Refused{std::move(request_), std::move(*failure)});
    return std::move(request_);
  }

 private:
  std::string variable(const std::string& name) const {
    auto found = environment_.find(name);
    return found == environment_.end() ? std::string() : found->second;
  }
  void bad_variable(std::string name, std::string what) {
    bad_details_.push_back(fmt::format("{} {}", name, what));
    bad_variables_.push_back(std::move(name));
  }

  void read_environment() {
    const std::string command = variable("CNI_COMMAND");
    const auto verb = verb_of(command);
    verb_known_ = verb.has_value();
    if (!verb) {
      bad_variable("CNI_COMMAND", fmt::format("is \"{}\"; known: ADD, CHECK, DEL, GC, STATUS, VERSION", printable(command)));
      return;
    }
    request_.verb = *verb;
    request_.trace = trace_id(variable("TRACEPARENT"));
    if (*verb == Verb::version) return;
    if (*verb == Verb::gc && variable("CNI_PATH").empty()) bad_variable("CNI_PATH", "is missing");
    if (*verb == Verb::gc || *verb == Verb::status) return;
    request_.attachment = {variable("CNI_CONTAINERID"), variable("CNI_IFNAME")};
    request_.netns = variable("CNI_NETNS");
    request_.may_be_own_netns = is_yes(variable("CNI_NETNS_OVERRIDE"));
    if (request_.attachment.container.empty())
      bad_variable("CNI_CONTAINERID", "is missing");
    else if (!is_cni_name(request_.attachment.container))
      bad_variable("CNI_CONTAINERID",
                   fmt::format("is \"{}\", which is no container's id: a letter or digit, then letters, digits, _ . -",
                               printable(request_.attachment.container)));
    if (request_.netns.empty() && *verb != Verb::del) bad_variable("CNI_NETNS", "is missing");
    if (request_.attachment.interface.empty())
      bad_variable("CNI_IFNAME", "is missing");
    else if (!is_interface_name(request_.attachment.interface))
      bad_variable("CNI_IFNAME",
                   fmt::format("is \"{}\", which is no interface's name: at most 15 bytes, not . or .., without / : and blanks",
                               printable(request_.attachment.interface)));
    read_args(variable("CNI_ARGS"));
  }

  void read_args(std::string_view args) {
    bool ignores_unknown = false;
    std::vector<std::string> unknown;
    for (std::string_view pair : split(args, ';')) {
      if (pair.empty()) continue;
      const std::size_t equals = pair.find('=');
      if (equals == std::string_view::npos) {
        bad_variable("CNI_ARGS", fmt::format("holds \"{}\", which is no KEY=VALUE", printable(pair)));
        continue;
      }
      const std::string_view key = pair.substr(0, equals), value = pair.substr(equals + 1);
      if (key == "IgnoreUnknown")
        ignores_unknown = is_yes(value);
      else if (key == "K8S_POD_NAME")
        request_.pod.name = value;
      else if (key == "K8S_POD_NAMESPACE")
        request_.pod.name_space = value;
      else if (key == "K8S_POD_UID")
        request_.pod.uid = value;
      else if (key != "K8S_POD_INFRA_CONTAINER_ID")
        unknown.emplace_back(printable(key));
    }
    if (!unknown.empty() && !ignores_unknown)
      bad_variable("CNI_ARGS", fmt::format("holds {}, which nobody here knows; add IgnoreUnknown=1", join(unknown, ", ")));
  }

  /// SPEC, VERSION: the answer bears the version of the question.
  void read_version_input() {
    auto asked = parse_json(input_);
    if (!asked || !asked->is_object()) return;
    const json::value* version = asked->as_object().if_contains("cniVersion");
    if (version != nullptr && version->is_string() && is_supported(version->as_string()))
      request_.version = std::string(version->as_string());
  }

  void read_config() {
    auto parsed = parse_json(input_);
    if (!parsed) {
      decoding_ = fmt::format("standard input: {}", parsed.error().message());
      return;
    }
    const json::object* config = parsed->if_object();
    if (config == nullptr) {
      decoding_ = "standard input is no JSON object";
      return;
    }
    read_version(*config);
    read_name(*config);
    read_prev_result(*config);
    if (request_.verb == Verb::gc) read_valid(*config);
    read_runtime_config(*config);
    std::vector<Problem> own;
    request_.config = read_net_config(*config, own);
    const bool must_be_right = request_.verb == Verb::add || request_.verb == Verb::status;
    for (Problem& problem : own)
      (must_be_right && problem.severity == Severity::error ? problems_ : request_.remarks).push_back(std::move(problem));
  }

  void wrong(std::string_view field, std::string message, std::string hint = "") {
    problems_.push_back({Severity::error, {}, "", std::string(field), std::move(message), std::move(hint)});
  }

  void read_version(const json::object& config) {
    const json::value* version = config.if_contains("cniVersion");
    request_.version = kOldestVersion;
    if (version == nullptr || (version->is_string() && version->as_string().empty())) {
    } else if (!version->is_string()) {
      decoding_ = fmt::format("cniVersion: {} is no string", printable(compact_json(*version)));
      request_.version = kNewestVersion;
    } else if (is_supported(version->as_string())) {
      request_.version = std::string(version->as_string());
    } else {
      std::string all;
      for (std::string_view supported : supported_versions()) all += fmt::format("{}{}", all.empty() ? "" : ", ", supported);
      incompatible_ = fmt::format("the configuration is of \"{}\", this plugin knows {}", printable(version->as_string()), all);
      request_.version = kNewestVersion;
    }
    if (decoding_.empty() && incompatible_.empty() && !is_at_least(request_.version, first_version_with(request_.verb)))
      incompatible_ = fmt::format("the configuration is of {}, and {} came with {}", request_.version, name(request_.verb),
                                  first_version_with(request_.verb));
  }

  void read_name(const json::object& config) {
    const json::value* name = config.if_contains("name");
    if (name == nullptr || (name->is_string() && name->as_string().empty()))
      wrong("name", "the network's name is missing");
    else if (!name->is_string() || !is_cni_name(name->as_string()))
      wrong("name", fmt::format("{} is no network's name", printable(compact_json(*name))),
            "write a letter or digit, then letters, digits, _ . -");
    else
      request_.network = std::string(name->as_string());
  }

  void read_prev_result(const json::object& config) {
    const json::value* result = config.if_contains("prevResult");
    if (result != nullptr && !result->is_null()) {
      if (!result->is_object()) return wrong("prevResult", "is no object");
      // As it was written, unless its name was written otherwise too.
      const auto raw = member(input_, "prevResult").value_or(Span()).in(input_);
      const auto again = parse_json(raw);
      request_.prev_result = again && *again == *result ? std::string(raw) : compact_json(*result);
    } else if (request_.verb == Verb::check) {
      wrong("prevResult", "is missing, and CHECK needs it");
    }
  }

  void read_valid(const json::object& config) {
    for (std::string_view field : kValid) {
      const json::value* list = config.if_contains(field);
      if (list == nullptr) continue;
      const json::array* array = list->if_array();
      if (array == nullptr) return wrong(field, "is no list");
      for (std::size_t i = 0; i < array->size(); ++i) {
        const json::object* entry = (*array)[i].if_object();
        const json::value* container = entry == nullptr ? nullptr : entry->if_contains("containerID");
        const json::value* interface = entry == nullptr ? nullptr : entry->if_contains("ifname");
        if (container != nullptr && container->is_string() && interface != nullptr && interface->is_string())
          request_.valid.push_back({std::string(container->as_string()), std::string(interface->as_string())});
        else
          wrong(fmt::format("{}[{}]", field, i), "has no containerID and ifname");
      }
      return;
    }
    wrong(kValid[0], "is missing, so that nobody knows what is valid");
  }

  void read_runtime_config(const json::object& config) {
    const json::value* runtime = config.if_contains("runtimeConfig");
    if (runtime == nullptr || runtime->is_null()) return;
    if (!runtime->is_object()) return wrong("runtimeConfig", "is no object");
    const json::value* annotations = runtime->as_object().if_contains(kAnnotations);
    if (annotations == nullptr) return;
    const std::string field = fmt::format("runtimeConfig.{}", kAnnotations);
    request_.annotations.emplace();  // null is what a pod without any comes to
    if (annotations->is_null()) return;
    if (!annotations->is_object()) return wrong(field, "is no object");
    for (const auto& [key, value] : annotations->as_object()) {
      if (value.is_string())
        request_.annotations->emplace(std::string(key), std::string(value.as_string()));
      else
        wrong(field + "." + printable(std::string_view(key.data(), key.size())), "is no string");
    }
  }

  std::optional<Failure> refusal() const {
    std::vector<std::string> all = bad_details_;
    if (!decoding_.empty()) all.push_back(decoding_);
    if (!incompatible_.empty()) all.push_back(incompatible_);
    std::vector<std::string> fields;
    for (const Problem& problem : problems_) {
      all.push_back(to_text(problem));
      if (fields.empty() || fields.back() != problem.path) fields.push_back(problem.path);
    }
    if (all.empty()) return std::nullopt;
    Failure failure;
    failure.details = join(all, "; ");
    if (!bad_variables_.empty())
      failure.code = Code::bad_environment, failure.message = "invalid environment variables: " + join(bad_variables_, ", ");
    else if (!decoding_.empty())
      failure.code = Code::decoding, failure.message = "the network configuration cannot be decoded";
    else if (!incompatible_.empty())
      failure.code = Code::incompatible_version, failure.message = "incompatible CNI versions";
    else
      failure.code = Code::bad_config, failure.message = "invalid network configuration: " + join(fields, ", ");
    return failure;
  }

  const Environment& environment_;
  std::string_view input_;
  Request request_;
  bool verb_known_ = false;
  std::vector<std::string> bad_variables_, bad_details_;
  std::string decoding_, incompatible_;
  std::vector<Problem> problems_;
};

}  // namespace

tl::expected<Request, Refused> parse_request(const Environment& environment, std::string_view input) {
  return Parser(environment, input).parse();
}

bool is_cni_name(std::string_view text) {
  return !text.empty() && is_alphanumeric(text.front()) &&
         std::all_of(text.begin(), text.end(), [](char c) { return is_alphanumeric(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_interface_name(std::string_view text) {
  return !text.empty() && text.size() <= 15 && text != "." && text != ".." &&
         text.find_first_of("/: \t\n\v\f\r") == std::string_view::npos;
}

std::string trace_id(std::string_view traceparent) {
  const std::vector<std::string_view> parts = split(traceparent, '-');
  if (parts.size() < 4 || parts[0].size() != 2 || parts[1].size() != 32 || parts[2].size() != 16) return "";
  const bool is_hex =
      std::all_of(parts[1].begin(), parts[1].end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  const bool is_zero = parts[1].find_first_not_of('0') == std::string_view::npos;
  return is_hex && !is_zero ? std::string(parts[1]) : "";
}

}  // namespace weir::cni
