// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/store.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace weir::mesh {

const Meta& meta(const Object& object) {
  return std::visit([](const auto& pointer) -> const Meta& { return pointer->meta; }, object);
}

void sort_problems(std::vector<Problem>& problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.where.file, a.where.line, a.path) < std::tie(b.where.file, b.where.line, b.path);
  });
}

void Store::add(const ObjectKey& key, const Object& object) { objects_.emplace(key, object); }

void Store::index() {
  struct Sorter {
    Store& store;
    void operator()(const std::shared_ptr<const Service>& o) const { store.services_.push_back(o); }
    void operator()(const std::shared_ptr<const EndpointSlice>& o) const { store.endpoint_slices_.push_back(o); }
    void operator()(const std::shared_ptr<const Endpoints>& o) const { store.endpoints_.push_back(o); }
    void operator()(const std::shared_ptr<const Pod>& o) const { store.pods_.push_back(o); }
    void operator()(const std::shared_ptr<const VirtualService>& o) const { store.virtual_services_.push_back(o); }
    void operator()(const std::shared_ptr<const DestinationRule>& o) const { store.destination_rules_.push_back(o); }
  };
  for (const auto& [key, object] : objects_) std::visit(Sorter{*this}, object);
}

std::shared_ptr<const Store> Store::build(const Store* previous, const std::vector<std::shared_ptr<const ParsedFile>>& files,
                                          std::vector<Problem>& problems) {
  std::vector<const ParsedFile*> sorted;
  for (const auto& file : files) sorted.push_back(file.get());
  std::stable_sort(sorted.begin(), sorted.end(), [](const ParsedFile* a, const ParsedFile* b) { return a->file < b->file; });

  auto store = std::make_shared<Store>();
  for (const ParsedFile* file : sorted) {
    problems.insert(problems.end(), file->problems.begin(), file->problems.end());
    for (const Object& object : file->objects) {
      const Meta& own = meta(object);
      auto [at, fresh] = store->objects_.emplace(own.key, object);
      if (fresh) continue;
      const SourceRef& first = meta(at->second).where;
      problems.push_back({Severity::error, own.where, own.key.to_text(), "",
                          fmt::format("is defined already in {}:{}, which counts", first.file, first.line),
                          "remove or rename one of them"});
    }
  }
  if (previous != nullptr) {
    std::set<std::string_view> damaged;
    for (const ParsedFile* file : sorted) {
      if (file->damaged) damaged.insert(file->file);
      for (const ObjectKey& key : file->broken) {
        auto last = previous->objects_.find(key);
        if (last != previous->objects_.end()) store->add(key, last->second);
      }
    }
    for (const auto& [key, object] : previous->objects_) {
      if (damaged.contains(meta(object).where.file)) store->add(key, object);
    }
  }
  store->index();
  sort_problems(problems);
  return store;
}

}  // namespace weir::mesh
