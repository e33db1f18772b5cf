// SPDX-License-Identifier: Apache-2.0
#include "agent/last_good.h"

#include <cstdint>

#include "base/stored.h"

namespace weir::agent {

namespace {

constexpr std::string_view kMagic{"weir-rules\0", 11};
constexpr std::uint32_t kFormat = 1;
constexpr mesh::Kind kKinds[] = {mesh::Kind::service, mesh::Kind::endpoint_slice,  mesh::Kind::endpoints,
                                 mesh::Kind::pod,     mesh::Kind::virtual_service, mesh::Kind::destination_rule};

/// Kinds go by name: their numbers may change between versions. One that we don't know is a newer agent's.
std::optional<mesh::Kind> read_kind(StoredReader& reader) {
  const std::string name = reader.text();
  for (const mesh::Kind kind : kKinds)
    if (mesh::to_text(kind) == name) return kind;
  return std::nullopt;
}

LastGood::Source read_source(StoredReader& reader) {
  LastGood::Source source;
  source.file = reader.text();
  source.text = reader.text();
  const std::uint64_t count = reader.number();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    const auto kind = read_kind(reader);
    mesh::ObjectKey key;
    key.ns = reader.text();
    key.name = reader.text();
    if (!kind) continue;
    key.kind = *kind;
    source.objects.push_back(std::move(key));
  }
  return source;
}

}  // namespace

std::string encode(const LastGood& good) {
  std::string body;
  put_number(body, good.mesh_config ? 1 : 0);
  put_text(body, good.mesh_config.value_or(""));
  put_number(body, good.sources.size());
  for (const LastGood::Source& source : good.sources) {
    put_text(body, source.file);
    put_text(body, source.text);
    put_number(body, source.objects.size());
    for (const mesh::ObjectKey& key : source.objects) {
      put_text(body, mesh::to_text(key.kind));
      put_text(body, key.ns);
      put_text(body, key.name);
    }
  }
  return seal(kMagic, kFormat, body);
}

Result<LastGood> decode(std::string_view bytes) {
  auto body = unseal(kMagic, kFormat, "a file of stored rules", bytes);
  if (!body) return pass(body.error());
  StoredReader reader(*body);
  LastGood good;
  const bool has_mesh = reader.number() != 0;
  std::string mesh = reader.text();
  if (has_mesh) good.mesh_config = std::move(mesh);
  const std::uint64_t count = reader.number();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) good.sources.push_back(read_source(reader));
  if (auto whole = reader.finish(); !whole) return pass(whole.error());
  return good;
}

}  // namespace weir::agent
