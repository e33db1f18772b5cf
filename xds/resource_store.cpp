// SPDX-License-Identifier: Apache-2.0
#include "xds/resource_store.h"

#include <cstring>
#include <xxhash.h>

#include "base/stored.h"

namespace weir::xds {

namespace {

constexpr std::string_view kMagic{"weir-xds\0", 9};
constexpr std::uint32_t kFormat = 1;

}  // namespace

std::string encode(const StoredSet& set) {
  std::string body;
  put_text(body, set.node_id);
  for (const auto& items : set.types) {
    put_number(body, items.size());
    for (const StoredSet::Item& item : items) {
      put_text(body, item.resource->name);
      put_text(body, item.version);
      put_text(body, item.resource->body);
    }
  }
  return seal(kMagic, kFormat, body);
}

Result<StoredSet> decode(std::string_view bytes) {
  auto body = unseal(kMagic, kFormat, "a stored xDS set", bytes);
  if (!body) return pass(body.error());
  StoredSet set;
  StoredReader reader(*body);
  set.node_id = reader.text();
  for (auto& items : set.types) {
    std::uint64_t count = reader.number();
    for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
      auto resource = std::make_shared<Resource>();
      resource->name = reader.text();
      std::string version = reader.text();
      resource->body = reader.text();
      resource->hash = XXH3_64bits(resource->body.data(), resource->body.size());
      if (reader.ok()) items.push_back({std::move(resource), std::move(version)});
    }
  }
  if (auto whole = reader.finish(); !whole) return pass(whole.error());
  return set;
}

}  // namespace weir::xds
