// SPDX-License-Identifier: Apache-2.0
#include "xds/resource_store.h"

#include <cstring>
#include <xxhash.h>

namespace weir::xds {

namespace {

constexpr std::string_view kMagic{"weir-xds\0", 9};
constexpr std::uint64_t kFormat = 1;
constexpr std::size_t kHead = kMagic.size() + 4 + 8;

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xffU);
}
void put(std::string& out, std::string_view text) {
  put(out, text.size(), 4);
  out += text;
}

std::uint64_t number_at(std::string_view bytes, std::size_t at, int count) {
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i)
    value |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + static_cast<std::size_t>(i)])} << (8 * i);
  return value;
}

/// Takes from the front; once something is missing everything is "".
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::uint64_t number() {
    if (rest_.size() < 4) return cut();
    std::uint64_t value = number_at(rest_, 0, 4);
    rest_.remove_prefix(4);
    return value;
  }
  std::string text() {
    std::uint64_t size = number();
    if (size > rest_.size()) return cut(), std::string();
    std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
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

}  // namespace

std::string encode(const StoredSet& set) {
  std::string body;
  put(body, set.node_id);
  for (const auto& items : set.types) {
    put(body, items.size(), 4);
    for (const StoredSet::Item& item : items) {
      put(body, item.resource->name);
      put(body, item.version);
      put(body, item.resource->body);
    }
  }
  std::string out(kMagic);
  put(out, kFormat, 4);
  put(out, XXH3_64bits(body.data(), body.size()), 8);
  return out += body;
}

Result<StoredSet> decode(std::string_view bytes) {
  if (bytes.substr(0, kMagic.size()) != kMagic) return fail(ErrorCode::protocol, "not a stored xDS set (wrong first bytes)");
  if (bytes.size() < kHead) return fail(ErrorCode::protocol, "cut short: {} bytes", bytes.size());
  std::uint64_t format = number_at(bytes, kMagic.size(), 4);
  if (format != kFormat) return fail(ErrorCode::protocol, "format {}, this program reads {}", format, kFormat);
  std::string_view body = bytes.substr(kHead);
  if (XXH3_64bits(body.data(), body.size()) != number_at(bytes, kMagic.size() + 4, 8)) {
    return fail(ErrorCode::protocol, "damaged or cut short: the checksum of {} bytes does not fit", body.size());
  }
  StoredSet set;
  Reader reader(body);
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
  if (!reader.ok() || !reader.at_end()) return fail(ErrorCode::protocol, "lengths do not fit the size of {} bytes", bytes.size());
  return set;
}

}  // namespace weir::xds
