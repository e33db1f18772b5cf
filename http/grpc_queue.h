// SPDX-License-Identifier: Apache-2.0
// Messages on their way out. Private to this room.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "http/grpc.h"

namespace weir::http {

/// What pull() returned stays until the next pull(), whatever is pushed meanwhile.
class GrpcQueue {
 public:
  void push(std::string_view message) {
    // The front chunk may be lent out: never touched.
    if (chunks_.size() < 2 || chunks_.back().size() > kChunkBytes) chunks_.emplace_back();
    std::size_t before = chunks_.back().size();
    write_grpc_frame(chunks_.back(), message);
    bytes_ += chunks_.back().size() - before;
  }
  std::string_view pull(std::size_t room) {
    if (!chunks_.empty() && offset_ == chunks_.front().size()) {
      chunks_.pop_front();
      offset_ = 0;
    }
    if (chunks_.empty()) return {};
    std::string_view piece = std::string_view(chunks_.front()).substr(offset_, room);
    offset_ += piece.size();
    bytes_ -= piece.size();
    return piece;
  }
  void clear() {
    chunks_.clear();
    offset_ = bytes_ = 0;
  }
  /// Pushed and not pulled.
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kChunkBytes = 16 * 1024;
  std::deque<std::string> chunks_;
  std::size_t offset_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace weir::http
