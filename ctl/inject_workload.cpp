// SPDX-License-Identifier: Apache-2.0
#include "ctl/inject_workload.h"

#include <optional>

#include "base/text.h"

namespace weir::ctl {

namespace {

using mesh::yaml::Plain;

struct Kind {
  std::string_view kind;
  std::vector<std::string> pod;  ///< from the object to what has the pods' metadata and spec
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
      {"Pod", {}},
      {"Deployment", {"spec", "template"}},
      {"StatefulSet", {"spec", "template"}},
      {"DaemonSet", {"spec", "template"}},
      {"ReplicaSet", {"spec", "template"}},
      {"ReplicationController", {"spec", "template"}},
      {"Job", {"spec", "template"}},
      {"CronJob", {"spec", "jobTemplate", "spec", "template"}},
  };
  return all;
}

class Finder {
 public:
  Finder(const std::string& file, std::vector<Workload>& found, std::vector<Problem>& problems)
      : file_(file), found_(found), problems_(problems) {}

  void look(const Place& object) {
    if (!object.node->is_map()) return;
    const std::string kind(object.node->text_of("kind"));
    if (kind == "List") {
      const auto items = object.find("items");
      for (std::size_t i = 0; items && i < items->node->items.size(); ++i) look(items->item(i));
      return;
    }
    for (const Kind& row : kinds())
      if (row.kind == kind) read(object, row);
  }

 private:
  void read(const Place& object, const Kind& row) {
    Workload workload{.file = file_,
                      .kind = std::string(row.kind),
                      .api_version = std::string(object.node->text_of("apiVersion")),
                      .line = object.node->line,
                      .object = object,
                      .pod = object};
    if (const auto* metadata = object.node->find("metadata")) {
      workload.name = metadata->text_of("name");
      if (workload.name.empty()) workload.name = metadata->text_of("generateName");
      workload.ns = metadata->text_of("namespace");
    }
    const std::size_t before = problems_.size();
    if (const auto repeated = mesh::yaml::duplicates(*object.node); !repeated.empty())
      for (const auto& again : repeated)
        complain(workload, again.line, again.path, fmt::format("the key was given in line {} already", again.first_line),
                 "keep one of them");
    std::optional<Place> pod = object, spec;
    std::string path;
    for (const std::string& key : row.pod) {
      path += (path.empty() ? "" : ".") + key;
      pod = child(workload, *pod, key, path);
      if (!pod) return;
    }
    workload.pod = *pod;
    spec = child(workload, *pod, "spec", path.empty() ? "spec" : path + ".spec");
    if (!spec) return;
    workload.spec = *spec;
    if (const auto metadata = pod->find("metadata")) {
      check_merge(workload, *metadata);
      read_texts(workload, *metadata, "labels", workload.labels);
      read_texts(workload, *metadata, "annotations", workload.annotations);
    }
    check_lists(workload);
    if (problems_.size() == before) found_.push_back(std::move(workload));
  }

  void complain(const Workload& workload, int line, const std::string& path, std::string message, std::string hint) {
    problems_.push_back(workload.error(line, path, std::move(message), std::move(hint)));
  }

  std::optional<Place> child(const Workload& workload, const Place& parent, const std::string& key, const std::string& path) {
    auto found = parent.find(key);
    check_merge(workload, parent);
    if (found && found->node->is_map()) return found;
    complain(workload, found ? found->line : workload.line, path, found ? "is not a map" : "is missing",
             "without it there are no pods to inject");
    return std::nullopt;
  }

  /// "<<: *base" brings keys that we would not see.
  void check_merge(const Workload& workload, const Place& map) {
    if (const auto merged = map.find("<<"))
      complain(workload, merged->line, merged->to_text(), "a merge key is not resolved here", "write its entries out");
  }

  void check_lists(const Workload& workload) {
    check_merge(workload, workload.spec);
    for (const char* key : {"containers", "initContainers", "volumes"}) {
      const auto list = workload.spec.find(key);
      if (!list || list->node->is_null()) {
        if (std::string_view(key) == "containers")
          complain(workload, list ? list->line : workload.spec.node->line, "spec.containers", "is missing",
                   "a pod has at least one container");
        continue;
      }
      if (!list->node->is_list()) {
        complain(workload, list->line, list->to_text(), "is not a list", "write an item for each");
        continue;
      }
      for (std::size_t i = 0; i < list->node->items.size(); ++i) {
        const Place item = list->item(i);
        if (!item.node->is_map()) complain(workload, item.line, item.to_text(), "is not a map", "write at least its name");
      }
    }
  }

  void read_texts(const Workload& workload, const Place& metadata, const char* key, std::map<std::string, Noted>& into) {
    const auto map = metadata.find(key);
    if (!map || map->node->is_null()) return;
    if (!map->node->is_map()) return complain(workload, map->line, map->to_text(), "is not a map", "write NAME: \"value\"");
    check_merge(workload, *map);
    for (const auto& entry : map->node->entries) {
      const auto& value = *entry.value;
      const std::string path = fmt::format("{}[{}]", map->to_text(), printable(entry.key));
      if (!value.is_scalar())
        complain(workload, entry.line, path, "is not a text", "write it in quotes");
      else if (const Plain plain = mesh::yaml::meaning(value); plain != Plain::string)
        complain(workload, entry.line, path,
                 fmt::format("{} is a {}, which Kubernetes refuses here", printable(value.text),
                             plain == Plain::boolean ? "boolean" : "number"),
                 fmt::format("write \"{}\"", printable(value.text)));
      else
        into[entry.key] = {value.text, entry.line};
    }
  }

  const std::string& file_;
  std::vector<Workload>& found_;
  std::vector<Problem>& problems_;
};

}  // namespace

std::string Workload::title() const {
  return fmt::format("{} {}", kind, printable(ns.empty() ? name : fmt::format("{}/{}", ns, name)));
}

Problem Workload::problem(Severity severity, int at, std::string path, std::string message, std::string hint) const {
  return {severity, {file, at}, title(), std::move(path), std::move(message), std::move(hint)};
}

std::vector<Workload> find_workloads(const std::string& file, const YamlEdit& edit, std::vector<Problem>& problems) {
  std::vector<Workload> found;
  Finder finder(file, found, problems);
  for (std::size_t i = 0; i < edit.size(); ++i) finder.look(edit.document(i));
  return found;
}

std::map<std::string, std::size_t> by_name(const Place& list, std::string_view key) {
  std::map<std::string, std::size_t> found;
  for (std::size_t i = 0; i < list.node->items.size(); ++i)
    if (const auto name = list.node->items[i]->text_of(key); !name.empty()) found.emplace(name, i);
  return found;
}

}  // namespace weir::ctl
