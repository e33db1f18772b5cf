// SPDX-License-Identifier: Apache-2.0
// Bytes on their way to one socket: own text (heads, chunk sizes) and views of what was received, sent with one gathered write.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace weir::proxy {

class Outgoing {
 public:
  enum class Flush : std::uint8_t { done, blocked, failed };

  /// Text is appended here and goes out in its place: before the views that are added later.
  std::string& text() { return text_; }
  /// `bytes` must stay until flushed. Short ones are copied (cheaper than a piece of their own).
  void add(std::string_view bytes);
  /// No room for another few pieces: flush first.
  bool full() const { return count_ + 4 > pieces_.size(); }
  bool empty() const { return count_ == 0 && text_.empty(); }
  /// Sends as much as the socket takes. `error` receives the errno if failed.
  Flush flush(FdRef fd, int& error);
  /// Bytes taken by the socket so far, since construction.
  std::uint64_t sent() const { return sent_; }
  void clear();

 private:
  struct Piece {
    const char* view = nullptr;  // null: bytes of text_ at `offset`
    std::size_t offset = 0;
    std::size_t size = 0;
  };
  void close_text();
  static constexpr std::size_t kCopyBelow = 1024;
  std::string text_;
  std::size_t text_closed_ = 0;  // bytes of text_ that are in pieces
  std::array<Piece, 24> pieces_;
  std::size_t count_ = 0, first_ = 0;
  std::size_t taken_ = 0;  // bytes of pieces_[first_] already sent
  std::uint64_t sent_ = 0;
};

}  // namespace weir::proxy
