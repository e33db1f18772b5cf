// SPDX-License-Identifier: Apache-2.0
#include "ctl/inject_status.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "ctl/inject_sidecar.h"

namespace weir::ctl {

namespace json = boost::json;

namespace {

constexpr std::string_view kShort = "weir:";
struct Word {
  std::string_view word, meaning;
};
constexpr Word kCreated[] = {
    {"init", "initContainers"}, {"volumes", "volumes"}, {"annotations", "annotations"}, {"metadata", "metadata"}};
constexpr Word kAdded[] = {{"podman", kPodmanInitType}, {"kubectl", kDefaultContainer}};

Result<Status> parse_short(std::string_view text) {
  Status status{.init_containers = {std::string(kInitName)},
                .containers = {std::string(kProxyName)},
                .volumes = {std::string(kStateVolume), std::string(kAgentVolume)},
                .annotations = {std::string(kStatus)}};
  for (std::string_view word : split(text, ' ')) {
    bool known = word.empty();
    for (const Word& row : kCreated)
      if (row.word == word) status.created.emplace_back(row.meaning), known = true;
    for (const Word& row : kAdded)
      if (row.word == word) status.annotations.emplace_back(row.meaning), known = true;
    if (!known) return fail(ErrorCode::usage, "\"{}\" is not what weirctl inject writes", printable(word));
  }
  return status;
}

json::array to_array(const std::vector<std::string>& words) {
  json::array list;
  for (const std::string& word : words) list.push_back(json::string(word));
  return list;
}

/// False: there is something else than a list of strings.
bool read(const json::object& object, std::string_view key, std::vector<std::string>& into) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || value->is_null()) return true;
  if (!value->is_array()) return false;
  for (const json::value& word : value->get_array()) {
    if (!word.is_string()) return false;
    into.emplace_back(word.get_string().data(), word.get_string().size());
  }
  return true;
}

bool read_weir(const json::object& weir, Status& status) {
  if (!read(weir, "created", status.created) || !read(weir, "annotations", status.annotations)) return false;
  if (const json::value* image = weir.if_contains("image")) {
    if (!image->is_string()) return false;
    status.image.assign(image->get_string().data(), image->get_string().size());
  }
  const json::value* merged = weir.if_contains("merged");
  if (merged == nullptr) return true;
  if (!merged->is_array()) return false;
  status.is_merged = true;
  for (const json::value& way : merged->get_array()) {
    std::vector<std::string> words;
    if (!read(json::object{{"way", way}}, "way", words) || words.empty()) return false;
    status.merged.push_back(std::move(words));
  }
  return true;
}

}  // namespace

std::string to_text(const Status& status) {
  json::object weir = {{"created", to_array(status.created)}, {"annotations", to_array(status.annotations)}};
  json::array merged;
  for (const auto& way : status.merged) merged.push_back(to_array(way));
  if (status.is_merged) weir["merged"] = std::move(merged);
  if (!status.image.empty()) weir["image"] = status.image;
  return compact_json(json::object{{"initContainers", to_array(status.init_containers)},
                                   {"containers", to_array(status.containers)},
                                   {"volumes", to_array(status.volumes)},
                                   {"imagePullSecrets", nullptr},
                                   {"revision", status.revision},
                                   {"weir", std::move(weir)}});
}

std::optional<std::string> to_short_text(const Status& status) {
  if (status.is_merged) return std::nullopt;
  std::string text(kShort);
  auto add = [&](const Word& row, const std::vector<std::string>& words) {
    if (std::find(words.begin(), words.end(), row.meaning) != words.end()) text += fmt::format(" {}", row.word);
  };
  for (const Word& row : kCreated) add(row, status.created);
  for (const Word& row : kAdded) add(row, status.annotations);
  return text;
}

Result<std::optional<Status>> parse_status(std::string_view text) {
  if (text.starts_with(kShort)) {
    auto status = parse_short(text.substr(kShort.size()));
    if (!status) return pass(status.error());
    return std::optional(std::move(*status));
  }
  const auto value = parse_json(text);
  const json::object* object = value ? value->if_object() : nullptr;
  const json::value* weir = object == nullptr ? nullptr : object->if_contains("weir");
  if (weir == nullptr) return std::nullopt;
  Status status;
  if (!weir->is_object() || !read_weir(weir->get_object(), status) || !read(*object, "initContainers", status.init_containers) ||
      !read(*object, "containers", status.containers) || !read(*object, "volumes", status.volumes))
    return fail(ErrorCode::usage, "is not what weirctl inject writes");
  return std::optional(std::move(status));
}

}  // namespace weir::ctl
