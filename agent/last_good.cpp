// SPDX-License-Identifier: Apache-2.0
#include "agent/last_good.h"

#include <cstdint>
#include <xxhash.h>

namespace weir::agent {

namespace {

constexpr std::string_view kMagic{"weir-rules\0", 11};
constexpr std::uint64_t kFormat = 1;
constexpr std::size_t kHead = kMagic.size() + 4 + 8;
constexpr mesh::Kind kKinds[] = {mesh::Kind::service, mesh::Kind::endpoint_slice,  mesh::Kind::endpoints,
                                 mesh::Kind::pod,     mesh::Kind::virtual_service, mesh::Kind::destination_rule};

void put_number(std::string& out, std::uint64_t value, int bytes = 4) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xffU);
}
void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out += text;
}

std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
  return value;
}

/// Takes from the front; once something is missing everything is empty.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::uint64_t number() {
    if (rest_.size() < 4) return cut();
    const std::uint64_t value = number_at(rest_, 0, 4);
    rest_.remove_prefix(4);
    return value;
  }
  std::string text() {
    const std::uint64_t size = number();
    if (size > rest_.size()) return cut(), std::string();
    std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }
  /// Kinds go by name: their numbers may change between versions. One that we don't know is a newer agent's.
  std::optional<mesh::Kind> kind() {
    const std::string name = text();
    for (const mesh::Kind kind : kKinds)
      if (mesh::to_text(kind) == name) return kind;
    return std::nullopt;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::uint64_t cut() {
    ok_ = false;
    rest_ = {};
    return 0;
  }
  std::string_view rest_;
  bool ok_ = true;
};

LastGood::Source read_source(Reader& reader) {
  LastGood::Source source;
  source.file = reader.text();
  source.text = reader.text();
  const std::uint64_t count = reader.number();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    const auto kind = reader.kind();
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
  std::string out(kMagic);
  put_number(out, kFormat);
  put_number(out, XXH3_64bits(body.data(), body.size()), 8);
  return out += body;
}

Result<LastGood> decode(std::string_view bytes) {
  if (bytes.substr(0, kMagic.size()) != kMagic)
    return fail(ErrorCode::protocol, "not a file of stored rules (wrong first bytes)");
  if (bytes.size() < kHead) return fail(ErrorCode::protocol, "cut short: {} bytes", bytes.size());
  const std::uint64_t format = number_at(bytes, kMagic.size(), 4);
  if (format != kFormat) return fail(ErrorCode::protocol, "format {}, this program reads {}", format, kFormat);
  const std::string_view body = bytes.substr(kHead);
  if (XXH3_64bits(body.data(), body.size()) != number_at(bytes, kMagic.size() + 4, 8))
    return fail(ErrorCode::protocol, "damaged or cut short: the checksum of {} bytes does not fit", body.size());
  Reader reader(body);
  LastGood good;
  const bool has_mesh = reader.number() != 0;
  std::string mesh = reader.text();
  if (has_mesh) good.mesh_config = std::move(mesh);
  const std::uint64_t count = reader.number();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) good.sources.push_back(read_source(reader));
  if (!reader.ok() || !reader.at_end()) return fail(ErrorCode::protocol, "lengths do not fit the size of {} bytes", bytes.size());
  return good;
}

}  // namespace weir::agent
