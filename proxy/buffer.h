// SPDX-License-Identifier: Apache-2.0
// Received bytes in recycled blocks. A connection that waits holds no block, so that idle connections cost little memory.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "kernel/socket.h"

namespace weir::proxy {

/// Blocks of one size, last in first out (so the one that is given out is warm in the cache). One per worker.
class BlockPool {
 public:
  static constexpr std::size_t kBlockBytes = 64 * 1024;
  using Block = std::unique_ptr<char[]>;
  Block take();
  void give(Block block);
  /// Frees what has lain unused since the last call; from a timer.
  void trim();

 private:
  static constexpr std::size_t kMostKept = 256;
  std::vector<Block> blocks_;
  std::size_t least_ = 0;  // fewest blocks that lay here since the last trim()
};

/// Bytes received and not yet dealt with. Views into it hold until the bytes are consumed or more is received, except for those
/// in front of the pin.
class Buffer {
 public:
  explicit Buffer(BlockPool& pool) : pool_(&pool) {}
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer() { release(); }

  std::string_view view() const { return {bytes_ + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  /// No room to receive; only after reserve() or consume() there is some again.
  bool full() const { return bytes_ != nullptr && end_ == capacity_ && begin_ == pin_; }
  void consume(std::size_t n);
  /// The first `n` unconsumed bytes are consumed but stay where they are until unpin(): a head that others hold views of.
  void pin(std::size_t n);
  /// Gives up the pinned bytes and moves what is left to the front; gives the block back if nothing is left.
  void unpin();
  /// Makes room for at least `n` bytes in all behind the pin. Views into it break.
  void reserve(std::size_t n);
  /// One non-blocking receive into the room that is left.
  kernel::IoResult receive_from(FdRef fd);
  /// Drops everything, gives the block back.
  void release();
  /// True if the last receive filled the buffer, so that more is probably waiting.
  bool last_receive_filled() const { return filled_; }

 private:
  void make_room();
  BlockPool* pool_;
  BlockPool::Block block_;
  char* bytes_ = nullptr;  // block_.get()
  std::size_t capacity_ = 0, pin_ = 0, begin_ = 0, end_ = 0;
  bool filled_ = false;
};

}  // namespace weir::proxy
