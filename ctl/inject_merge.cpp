// SPDX-License-Identifier: Apache-2.0
#include "ctl/inject_merge.h"

#include <algorithm>
#include <map>

#include <boost/json.hpp>

#include "base/text.h"
#include "ctl/yaml_render.h"

namespace weir::ctl {

namespace json = boost::json;

namespace {

using Way = std::vector<std::string>;

/// Of which one half is never meant to be completed by ours.
constexpr std::string_view kWhole[] = {"startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "capabilities"};
/// By what items of a list are known.
std::string_view key_of(std::string_view list) {
  return list == "volumeMounts" ? "mountPath" : list == "ports" ? "containerPort" : "name";
}

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.get_string().data(), value.get_string().size()) : json::serialize(value);
}

class Merger {
 public:
  Merger(YamlEdit& edit, Status& status) : edit_(edit), status_(status) {}

  Result<> run(const Place& map, const json::object& ours, const Way& way) {
    json::object added;
    for (const auto& [key_view, value] : ours) {
      const std::string key(key_view);
      Way below = way;
      below.push_back(key);
      const auto theirs = map.find(key);
      if (!theirs) {
        added[key] = value;
        status_.merged.push_back(below);
        continue;
      }
      if (std::find(std::begin(kWhole), std::end(kWhole), key) != std::end(kWhole)) continue;
      Result<> done;
      if (theirs->node->is_null())
        done = edit_.refuse(*theirs, "has no value; leave it out, or give it one");
      else if (value.is_object() && theirs->node->is_map())
        done = run(*theirs, value.get_object(), below);
      else if (value.is_array() && value.get_array().front().is_object() && theirs->node->is_list())
        done = add_items(*theirs, value.get_array(), key_of(key), below);
      if (!done) return done;
    }
    if (added.empty()) return {};
    return edit_.append(map, added);
  }

 private:
  Result<> add_items(const Place& list, const json::array& ours, std::string_view key, const Way& way) {
    const auto theirs = by_name(list, key);
    json::array added;
    for (const json::value& item : ours) {
      const std::string name = text_of(item.at(key));
      if (theirs.contains(name)) continue;
      added.push_back(item);
      Way below = way;
      below.push_back(name);
      status_.merged.push_back(std::move(below));
    }
    return added.empty() ? Result<>() : edit_.insert(list, false, added);
  }

  YamlEdit& edit_;
  Status& status_;
};

/// nullopt: not there any more.
std::optional<Place> follow(const Place& from, const Way& way) {
  std::optional<Place> at = from;
  for (const std::string& word : way)
    if (at) at = at->find(word);
  return at;
}

Result<> remove_from_list(YamlEdit& edit, const Place& list, std::string_view key, const std::vector<std::string>& names) {
  std::vector<std::size_t> indices;
  for (const auto& [name, index] : by_name(list, key))
    if (std::find(names.begin(), names.end(), name) != names.end()) indices.push_back(index);
  std::sort(indices.rbegin(), indices.rend());  // from the end, so that what is before keeps its number
  for (std::size_t i = 0; i < indices.size();) {
    std::size_t count = 1;
    while (i + count < indices.size() && indices[i + count] + count == indices[i]) ++count;
    if (auto removed = edit.remove_items(list, indices[i + count - 1], count); !removed) return removed;
    i += count;
  }
  return {};
}

}  // namespace

std::optional<OwnProxy> find_own_proxy(const Workload& workload) {
  for (const bool native : {false, true}) {
    const auto list = workload.spec.find(native ? "initContainers" : "containers");
    if (!list || !list->node->is_list()) continue;
    const auto names = by_name(*list);
    if (auto found = names.find(std::string(kProxyName)); found != names.end())
      return OwnProxy{list->item(found->second), native};
  }
  return std::nullopt;
}

ProxyIds ids_of(const OwnProxy& own) {
  const auto security = own.container.find("securityContext");
  auto id = [&](std::string_view key) {
    const auto value = security ? security->find(key) : std::nullopt;
    return static_cast<std::uint32_t>(value ? parse_uint(value->node->text, UINT32_MAX).value_or(0) : 0);
  };
  return {id("runAsUser"), id("runAsGroup")};
}

Result<> merge(YamlEdit& edit, const OwnProxy& own, const json::object& proxy, Status& status) {
  status.is_merged = true;
  if (const auto image = own.container.find("image"); image && image->node->text == "auto") {
    auto written = edit.replace(*image, render_scalar(proxy.at("image")));
    if (!written) return pass(written.error());
    status.image = *written;
  }
  return Merger(edit, status).run(own.container, proxy, {});
}

Result<> unmerge(YamlEdit& edit, const Place& container, const Status& status) {
  if (!status.image.empty())
    if (const auto image = container.find("image"); image && image->node->is_scalar())
      if (auto put = edit.replace(*image, status.image); !put) return pass(put.error());
  std::map<Way, std::vector<std::string>> by_parent;
  for (Way way : status.merged) {
    std::string last = std::move(way.back());
    way.pop_back();
    by_parent[std::move(way)].push_back(std::move(last));
  }
  for (const auto& [way, names] : by_parent) {
    const auto parent = follow(container, way);
    if (!parent) continue;
    Result<> removed;
    if (parent->node->is_list())
      removed = remove_from_list(edit, *parent, key_of(way.back()), names);
    else if (parent->node->is_map())
      removed = edit.remove_entries(*parent, names);
    if (!removed) return removed;
  }
  return {};
}

}  // namespace weir::ctl
