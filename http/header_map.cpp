// SPDX-License-Identifier: Apache-2.0
#include "http/header_map.h"

#include "http/chars.h"

namespace weir::http {

namespace {

bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && lowered(a[i]) != lowered(b[i])) return false;
  }
  return true;
}

}  // namespace

HeaderMap HeaderMap::copy() const {
  HeaderMap result;
  result.fields_.reserve(fields_.size());
  for (const Field& field : fields_) result.append(field.name, field.value);
  return result;
}

void HeaderMap::clear() {
  fields_.clear();
  arena_.clear();
}

void HeaderMap::append(std::string_view name, std::string_view value) {
  fields_.push_back({arena_.copy(name), arena_.copy(value)});
}

void HeaderMap::set(std::string_view name, std::string_view value) {
  bool found = false;
  std::string_view kept = arena_.copy(value);
  filter([&](Field& field) {
    if (!same_name(field.name, name)) return true;
    if (found) return false;
    found = true;
    field.value = kept;
    return true;
  });
  if (!found) fields_.push_back({arena_.copy(name), kept});
}

std::size_t HeaderMap::remove(std::string_view name) {
  std::size_t before = fields_.size();
  filter([&](const Field& field) { return !same_name(field.name, name); });
  return before - fields_.size();
}

std::optional<std::string_view> HeaderMap::get(std::string_view name) const {
  for (const Field& field : fields_) {
    if (same_name(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::size_t HeaderMap::count(std::string_view name) const {
  std::size_t found = 0;
  for (const Field& field : fields_) found += same_name(field.name, name) ? 1 : 0;
  return found;
}

}  // namespace weir::http
