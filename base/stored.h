// SPDX-License-Identifier: Apache-2.0
// What programs keep on disk: a head that tells what it is and whether it is whole, then counts and length-prefixed strings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir {

/// Appends `value` as a u32, little endian.
void put_number(std::string& out, std::uint64_t value);
/// Appends the length as by put_number, then the text.
void put_text(std::string& out, std::string_view text);

/// `magic`, u32 `format`, u64 XXH3 of the body, then the body; little endian.
std::string seal(std::string_view magic, std::uint32_t format, std::string_view body);
/// The body, a view of `bytes`. Errors (protocol) say whether it is no `what` ("not a stored xDS set"), another format, damaged
/// or cut short.
Result<std::string_view> unseal(std::string_view magic, std::uint32_t format, std::string_view what, std::string_view bytes);

/// Takes from the front what was put; once something is missing everything is 0 or "". Never trusts a length.
class StoredReader {
 public:
  explicit StoredReader(std::string_view body) : rest_(body) {}
  std::uint64_t number();
  std::string text();
  bool ok() const { return ok_; }
  /// Nothing is missing and nothing left; the error (protocol) says that lengths do not fit.
  Result<> finish() const;

 private:
  void cut();
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace weir
