// SPDX-License-Identifier: Apache-2.0
#include "http/h2_flood.h"

#include <algorithm>
#include <cstring>

namespace weir::http {

namespace {
constexpr std::uint8_t kData = 0, kHeaders = 1;
constexpr std::uint8_t kEndStream = 1;
}  // namespace

void FloodGuard::account(std::uint8_t type, std::uint32_t length, std::uint8_t flags) {
  if (type == kHeaders) return pay(4);
  if (type == kData && (length != 0 || (flags & kEndStream) != 0)) return pay(2);
  exceeded_ = ++cost_ > burst_ || exceeded_;
}

bool FloodGuard::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (left_ != 0) {
      std::size_t skipped = std::min(left_, bytes.size());
      left_ -= skipped;
      bytes.remove_prefix(skipped);
      continue;
    }
    std::size_t taken = std::min(sizeof header_ - header_bytes_, bytes.size());
    std::memcpy(header_ + header_bytes_, bytes.data(), taken);
    header_bytes_ += taken;
    bytes.remove_prefix(taken);
    if (header_bytes_ < sizeof header_) break;
    header_bytes_ = 0;
    std::uint32_t length =
        static_cast<std::uint32_t>(header_[0]) << 16 | static_cast<std::uint32_t>(header_[1]) << 8 | header_[2];
    left_ = length;
    account(header_[3], length, header_[4]);
  }
  return !exceeded_;
}

}  // namespace weir::http
