// SPDX-License-Identifier: Apache-2.0
#include "base/stored.h"

#include <xxhash.h>

namespace weir {

namespace {

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xffU);
}

std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
  return value;
}

}  // namespace

void put_number(std::string& out, std::uint64_t value) { put(out, value, 4); }

void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out += text;
}

std::string seal(std::string_view magic, std::uint32_t format, std::string_view body) {
  std::string out(magic);
  put(out, format, 4);
  put(out, XXH3_64bits(body.data(), body.size()), 8);
  return out += body;
}

Result<std::string_view> unseal(std::string_view magic, std::uint32_t format, std::string_view what, std::string_view bytes) {
  const std::size_t head = magic.size() + 4 + 8;
  if (!bytes.starts_with(magic)) return fail(ErrorCode::protocol, "not {} (wrong first bytes)", what);
  if (bytes.size() < head) return fail(ErrorCode::protocol, "cut short: {} bytes", bytes.size());
  const std::uint64_t found = number_at(bytes, magic.size(), 4);
  if (found != format) return fail(ErrorCode::protocol, "format {}, this program reads {}", found, format);
  const std::string_view body = bytes.substr(head);
  if (XXH3_64bits(body.data(), body.size()) != number_at(bytes, magic.size() + 4, 8))
    return fail(ErrorCode::protocol, "damaged or cut short: the checksum of {} bytes does not fit", body.size());
  return body;
}

std::uint64_t StoredReader::number() {
  if (rest_.size() < 4) return cut(), 0;
  const std::uint64_t value = number_at(rest_, 0, 4);
  rest_.remove_prefix(4);
  return value;
}

std::string StoredReader::text() {
  const std::uint64_t size = number();
  if (size > rest_.size()) return cut(), std::string();
  std::string value(rest_.substr(0, size));
  rest_.remove_prefix(size);
  return value;
}

Result<> StoredReader::finish() const {
  if (ok_ && rest_.empty()) return {};
  return fail(ErrorCode::protocol, "lengths do not fit the size: {} bytes are left over or missing", rest_.size());
}

void StoredReader::cut() {
  ok_ = false;
  rest_ = {};
}

}  // namespace weir
