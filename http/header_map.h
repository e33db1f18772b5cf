// SPDX-License-Identifier: Apache-2.0
// An ordered list of header fields that keeps case, order and duplicates (users of legacy services depend on it).
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "http/arena.h"

namespace weir::http {

/// A field as sent. Names compare without case; values are trimmed of outer blanks.
struct Field {
  std::string_view name;
  std::string_view value;
};

/// Fields are views: either into the buffer that was parsed (append_view; the buffer must outlive the map or be
/// detached by copying) or into the map's own arena (append, set). Not thread-safe. clear() keeps the capacity, so that
/// a connection's steady state allocates nothing.
class HeaderMap {
 public:
  using const_iterator = std::vector<Field>::const_iterator;

  HeaderMap() = default;
  HeaderMap(HeaderMap&&) = default;
  HeaderMap& operator=(HeaderMap&&) = default;
  HeaderMap(const HeaderMap&) = delete;
  HeaderMap& operator=(const HeaderMap&) = delete;

  /// A deep copy: all bytes move to the copy's arena.
  HeaderMap copy() const;
  void clear();

  void append_view(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
  /// Copies the bytes.
  void append(std::string_view name, std::string_view value);
  /// Overwrites the first field of that name in place (keeping its position and spelling) and drops the others; appends if there
  /// is none.
  void set(std::string_view name, std::string_view value);
  /// Returns how many fields went.
  std::size_t remove(std::string_view name);
  /// `wanted(Field&)`: may change the field's views (to what outlives the map or keep() made); false removes it.
  template <class Wanted>
  void filter(Wanted wanted) {
    std::size_t kept = 0;
    for (Field& field : fields_) {
      if (!wanted(field)) continue;
      fields_[kept++] = field;
    }
    fields_.resize(kept);
  }

  /// First value, or nullopt if there is no such field.
  std::optional<std::string_view> get(std::string_view name) const;
  bool has(std::string_view name) const { return get(name).has_value(); }
  std::size_t count(std::string_view name) const;

  std::size_t size() const { return fields_.size(); }
  bool empty() const { return fields_.empty(); }
  const_iterator begin() const { return fields_.begin(); }
  const_iterator end() const { return fields_.end(); }

  /// Stores bytes as long as the map lives and is not cleared.
  std::string_view keep(std::string_view bytes) { return arena_.copy(bytes); }
  std::string_view keep(std::string_view first, std::string_view second) { return arena_.join(first, second); }

 private:
  std::vector<Field> fields_;
  Arena arena_;
};

}  // namespace weir::http
