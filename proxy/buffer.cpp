// SPDX-License-Identifier: Apache-2.0
#include "proxy/buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weir::proxy {

BlockPool::Block BlockPool::take() {
  if (blocks_.empty()) return Block(new char[kBlockBytes]);  // not zeroed
  Block block = std::move(blocks_.back());
  blocks_.pop_back();
  least_ = std::min(least_, blocks_.size());
  return block;
}

void BlockPool::give(Block block) {
  if (blocks_.size() < kMostKept) blocks_.push_back(std::move(block));
}

void BlockPool::trim() {
  // The oldest lie at the front.
  blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(std::min(least_, blocks_.size())));
  least_ = blocks_.size();
}

Buffer::Buffer(Buffer&& other) noexcept
    : pool_(other.pool_),
      block_(std::move(other.block_)),
      bytes_(std::exchange(other.bytes_, nullptr)),
      capacity_(std::exchange(other.capacity_, 0)),
      pin_(std::exchange(other.pin_, 0)),
      begin_(std::exchange(other.begin_, 0)),
      end_(std::exchange(other.end_, 0)),
      filled_(other.filled_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  release();
  pool_ = other.pool_;
  block_ = std::move(other.block_);
  bytes_ = std::exchange(other.bytes_, nullptr);
  capacity_ = std::exchange(other.capacity_, 0);
  pin_ = std::exchange(other.pin_, 0);
  begin_ = std::exchange(other.begin_, 0);
  end_ = std::exchange(other.end_, 0);
  filled_ = other.filled_;
  return *this;
}

void Buffer::consume(std::size_t n) {
  begin_ += n;
  if (begin_ != end_) return;
  begin_ = end_ = pin_;
  if (pin_ == 0) release();
}

void Buffer::pin(std::size_t n) {
  pin_ = begin_ + n;
  begin_ = pin_;
}

void Buffer::unpin() {
  if (pin_ == 0) return;
  pin_ = 0;
  if (begin_ == end_) {
    release();
    return;
  }
  std::memmove(bytes_, bytes_ + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
}

void Buffer::reserve(std::size_t n) {
  if (capacity_ - pin_ >= n && bytes_ != nullptr) return;
  BlockPool::Block larger(new char[pin_ + n]);
  if (end_ > 0) std::memcpy(larger.get(), bytes_, end_);
  if (capacity_ == BlockPool::kBlockBytes) pool_->give(std::move(block_));
  block_ = std::move(larger);
  bytes_ = block_.get();
  capacity_ = pin_ + n;
}

void Buffer::make_room() {
  if (bytes_ == nullptr) {
    block_ = pool_->take();
    bytes_ = block_.get();
    capacity_ = BlockPool::kBlockBytes;
  } else if (end_ == capacity_ && begin_ > pin_) {
    std::memmove(bytes_ + pin_, bytes_ + begin_, end_ - begin_);
    end_ -= begin_ - pin_;
    begin_ = pin_;
  }
}

kernel::IoResult Buffer::receive_from(FdRef fd) {
  make_room();
  std::size_t room = capacity_ - end_;
  kernel::IoResult result = kernel::receive(fd, {bytes_ + end_, room});
  filled_ = result.bytes == room;
  end_ += result.bytes;
  if (end_ == 0) release();
  return result;
}

void Buffer::release() {
  if (capacity_ == BlockPool::kBlockBytes) pool_->give(std::move(block_));
  block_.reset();
  bytes_ = nullptr;
  capacity_ = pin_ = begin_ = end_ = 0;
}

}  // namespace weir::proxy
