// SPDX-License-Identifier: Apache-2.0
#include "xds/snapshot.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "xds/resource_set.h"

namespace weir::xds {

namespace {

template <class List>
void add_all(ResourceType type, const List& messages, const ResourceMap* previous, ResourceMap& into) {
  for (const auto& message : messages) {
    ResourcePtr resource = make_resource(type, message);
    if (previous != nullptr) {
      auto it = previous->find(resource->name);
      if (it != previous->end() && it->second->hash == resource->hash && it->second->body == resource->body)
        resource = it->second;
    }
    into.emplace(resource->name, resource);
  }
}

std::string version_of(const ResourceMap& resources) {
  std::string hashes;
  for (const auto& [name, resource] : resources) {
    hashes += name;
    hashes += '\0';
    hashes.append(reinterpret_cast<const char*>(&resource->hash), sizeof(resource->hash));
  }
  return fmt::format("{:016x}", XXH3_64bits(hashes.data(), hashes.size()));
}

}  // namespace

SnapshotPtr Snapshot::build(const ResourceSet& set, const SnapshotPtr& previous) {
  auto snapshot = std::make_shared<Snapshot>();
  auto old = [&](ResourceType type) { return previous ? &previous->of(type) : nullptr; };
  auto& types = snapshot->types_;
  add_all(ResourceType::cluster, set.clusters, old(ResourceType::cluster), types[index(ResourceType::cluster)]);
  add_all(ResourceType::endpoints, set.endpoints, old(ResourceType::endpoints), types[index(ResourceType::endpoints)]);
  add_all(ResourceType::listener, set.listeners, old(ResourceType::listener), types[index(ResourceType::listener)]);
  add_all(ResourceType::route, set.routes, old(ResourceType::route), types[index(ResourceType::route)]);
  bool same = previous != nullptr;
  for (ResourceType type : kResourceTypes) {
    same = same && previous->of(type) == types[index(type)];
    snapshot->versions_[index(type)] = version_of(types[index(type)]);
  }
  return same ? previous : snapshot;
}

}  // namespace weir::xds
