// SPDX-License-Identifier: Apache-2.0
#include "http/arena.h"

#include <algorithm>
#include <cstring>

namespace weir::http {

namespace {
constexpr std::size_t kFirstBlock = 1024;
constexpr std::size_t kKeptBytes = 16 * 1024;  // an idle connection does not hold on to what one large request needed
}  // namespace

std::string_view Arena::copy(std::string_view bytes) {
  if (bytes.empty()) return {};
  if (block_ < blocks_.size() && blocks_[block_].size - used_ < bytes.size()) {
    ++block_;
    used_ = 0;
  }
  if (block_ >= blocks_.size() || blocks_[block_].size < bytes.size()) {
    // A block too small for these bytes stays behind for later ones.
    std::size_t size = std::max(bytes.size(), blocks_.empty() ? kFirstBlock : blocks_.back().size * 2);
    blocks_.push_back({std::make_unique<char[]>(size), size});
    block_ = blocks_.size() - 1;
    used_ = 0;
  }
  char* to = blocks_[block_].bytes.get() + used_;
  std::memcpy(to, bytes.data(), bytes.size());
  used_ += bytes.size();
  return {to, bytes.size()};
}

void Arena::clear() {
  block_ = 0;
  used_ = 0;
  std::size_t total = 0;
  std::size_t kept = 0;
  while (kept < blocks_.size() && total + blocks_[kept].size <= kKeptBytes) total += blocks_[kept++].size;
  blocks_.resize(kept);
}

}  // namespace weir::http
