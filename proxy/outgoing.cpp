// SPDX-License-Identifier: Apache-2.0
#include "proxy/outgoing.h"

#include <span>
#include <sys/uio.h>

#include "kernel/socket.h"

namespace weir::proxy {

void Outgoing::close_text() {
  if (text_closed_ == text_.size()) return;
  pieces_[count_++] = {nullptr, text_closed_, text_.size() - text_closed_};
  text_closed_ = text_.size();
}

void Outgoing::add(std::string_view bytes) {
  if (bytes.empty()) return;
  if (bytes.size() < kCopyBelow) {
    text_ += bytes;
    return;
  }
  close_text();
  pieces_[count_++] = {bytes.data(), 0, bytes.size()};
}

void Outgoing::clear() {
  text_.clear();
  text_closed_ = count_ = first_ = taken_ = 0;
}

Outgoing::Flush Outgoing::flush(FdRef fd, int& error) {
  close_text();
  while (first_ < count_) {
    std::array<iovec, 24> gather;
    std::size_t n = 0, wanted = 0;
    for (std::size_t i = first_; i < count_; ++i) {
      const Piece& piece = pieces_[i];
      const char* bytes = piece.view != nullptr ? piece.view : text_.data() + piece.offset;
      std::size_t skip = i == first_ ? taken_ : 0;
      gather[n++] = {const_cast<char*>(bytes + skip), piece.size - skip};  // sendmsg does not write to it
      wanted += piece.size - skip;
    }
    kernel::IoResult result = n == 1
                                  ? kernel::send(fd, std::span(static_cast<const char*>(gather[0].iov_base), gather[0].iov_len))
                                  : kernel::send(fd, std::span<const iovec>(gather.data(), n));
    if (result.would_block) return Flush::blocked;
    if (result.error != 0) {
      error = result.error;
      return Flush::failed;
    }
    sent_ += result.bytes;
    std::size_t left = result.bytes;
    while (first_ < count_ && left >= pieces_[first_].size - taken_) {
      left -= pieces_[first_].size - taken_;
      taken_ = 0;
      ++first_;
    }
    taken_ += left;
    // A short write means that the socket is full: trying again would only cost a call.
    if (result.bytes < wanted) return Flush::blocked;
  }
  clear();
  return Flush::done;
}

}  // namespace weir::proxy
