// SPDX-License-Identifier: Apache-2.0
#include "http/arena.h"

#include <algorithm>
#include <cstring>

namespace weir::http {

namespace {
constexpr std::size_t kFirstBlock = 1024;
constexpr std::size_t kKeptBytes = 16 * 1024;  // an idle connection does not hold on to what one large request needed
}  // namespace

std::string_view Arena::join(std::string_view first, std::string_view second) {
  std::size_t wanted = first.size() + second.size();
  if (wanted == 0) return {};
  if (block_ < blocks_.size() && blocks_[block_].size - used_ < wanted) {
    ++block_;
    used_ = 0;
  }
  if (block_ >= blocks_.size() || blocks_[block_].size < wanted) {
    // A block too small for these bytes stays behind, unused until clear().
    std::size_t size = std::max(wanted, blocks_.empty() ? kFirstBlock : blocks_.back().size * 2);
    blocks_.push_back({std::make_unique<char[]>(size), size});
    block_ = blocks_.size() - 1;
    used_ = 0;
  }
  char* to = blocks_[block_].bytes.get() + used_;
  if (!first.empty()) std::memcpy(to, first.data(), first.size());
  if (!second.empty()) std::memcpy(to + first.size(), second.data(), second.size());
  used_ += wanted;
  return {to, wanted};
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
