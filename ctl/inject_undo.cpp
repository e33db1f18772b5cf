// SPDX-License-Identifier: Apache-2.0
#include "ctl/inject_undo.h"

#include <algorithm>
#include <memory>

#include "ctl/inject_merge.h"
#include "ctl/inject_workload.h"

namespace weir::ctl {

namespace {

using Words = std::vector<std::string>;

bool has(const Words& words, std::string_view word) { return std::find(words.begin(), words.end(), word) != words.end(); }

class Remover {
 public:
  Remover(YamlEdit& edit, const Workload& workload, const Status& status) : edit_(edit), workload_(workload), status_(status) {}

  Result<> run() {
    // A container that was there before and got what it lacked stays.
    const auto own = find_own_proxy(workload_);
    const bool is_merged = own && status_.is_merged;
    if (is_merged)
      if (auto done = unmerge(edit_, own->container, status_); !done) return done;
    const Words kept = is_merged ? Words{std::string(kProxyName)} : Words{};
    Words whole;
    for (const auto& [key, names] :
         {std::pair("containers", &status_.containers), std::pair("initContainers", &status_.init_containers),
          std::pair("volumes", &status_.volumes)})
      if (auto done = take_items(key, *names, kept, whole); !done) return done;
    if (!whole.empty())
      if (auto done = edit_.remove_entries(workload_.spec, whole); !done) return done;
    return take_annotations();
  }

 private:
  Result<> take_items(const char* key, const Words& names, const Words& kept, Words& whole) {
    const auto list = workload_.spec.find(key);
    if (!list || !list->node->is_list()) return {};
    std::vector<bool> is_ours;
    for (const auto& item : list->node->items) {
      const std::string name(item->text_of("name"));
      is_ours.push_back(has(names, name) && !has(kept, name));
    }
    const auto count = static_cast<std::size_t>(std::count(is_ours.begin(), is_ours.end(), true));
    if (count == 0) return {};
    if (count == is_ours.size() && has(status_.created, key)) {
      whole.emplace_back(key);
      return {};
    }
    for (std::size_t end = is_ours.size(); end > 0; --end) {  // from the end, so that what is before keeps its number
      if (!is_ours[end - 1]) continue;
      std::size_t first = end - 1;
      while (first > 0 && is_ours[first - 1]) --first;
      if (auto done = edit_.remove_items(*list, first, end - first); !done) return done;
      end = first + 1;
    }
    return {};
  }

  Result<> take_annotations() {
    const auto metadata = workload_.pod.find("metadata");
    const auto annotations = metadata ? metadata->find("annotations") : std::nullopt;
    if (!annotations || !annotations->node->is_map()) return {};
    Words keys;
    for (const auto& entry : annotations->node->entries)
      if (entry.key == kStatus || has(status_.annotations, entry.key)) keys.push_back(entry.key);
    const bool all = keys.size() == annotations->node->entries.size();
    if (all && has(status_.created, "metadata") && metadata->node->entries.size() == 1)
      return edit_.remove_entries(workload_.pod, {"metadata"});
    if (all && has(status_.created, "annotations")) return edit_.remove_entries(*metadata, {"annotations"});
    return edit_.remove_entries(*annotations, keys);
  }

  YamlEdit& edit_;
  const Workload& workload_;
  const Status& status_;
};

}  // namespace

Undone undo(const std::string& file, const std::string& text) {
  Undone undone{text, {}, [](int line) { return line; }};
  if (text.find(kStatus) == std::string::npos) return undone;  // nothing was injected
  mesh::yaml::Documents read = mesh::yaml::read(file, text);
  undone.problems = std::move(read.problems);
  for (Problem& problem : undone.problems) problem.hint.clear();
  if (has_errors(undone.problems)) return undone;
  auto edit = std::make_shared<YamlEdit>(text, std::move(read.documents));
  bool found = false;
  std::vector<Problem> shape;  // told by whoever injects
  for (const Workload& workload : find_workloads(file, *edit, shape)) {
    const auto noted = workload.annotations.find(std::string(kStatus));
    if (noted == workload.annotations.end()) continue;
    const auto status = parse_status(noted->second.value);
    if (status && !*status) continue;  // another injector's
    Result<> removed;
    if (status) removed = Remover(*edit, workload, **status).run();
    found = true;
    const Error* error = !status ? &status.error() : !removed ? &removed.error() : nullptr;
    if (error != nullptr)
      undone.problems.push_back(workload.error(noted->second.line, fmt::format("annotation {}", kStatus), error->to_text(),
                                               "take out by hand what was injected, and this annotation"));
  }
  if (!found || has_errors(undone.problems)) return undone;
  auto edited = edit->finish();
  if (!edited) {
    undone.problems.push_back(
        {Severity::error, {file, 0}, "", "", edited.error().to_text(), "take out by hand what was injected"});
    return undone;
  }
  undone.text = std::move(*edited);
  undone.line_of = [edit](int line) { return edit->line_before(line); };
  return undone;
}

}  // namespace weir::ctl
