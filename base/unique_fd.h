// SPDX-License-Identifier: Apache-2.0
// The only owner of a descriptor in the tree (invariant 6: owned from the line after the syscall that made it).
#pragma once

#include <unistd.h>
#include <utility>

namespace weir {

/// A borrowed descriptor: never closes. -1 is "none".
class FdRef {
 public:
  constexpr FdRef() = default;
  constexpr explicit FdRef(int fd) : fd_(fd) {}
  constexpr int get() const { return fd_; }
  constexpr explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Owns one descriptor; closes it when destroyed. Move-only. Not thread-safe.
class UniqueFd {
 public:
  UniqueFd() = default;
  /// Adopts what a syscall just returned; a negative value means "none".
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  FdRef ref() const { return FdRef(fd_); }
  explicit operator bool() const { return fd_ >= 0; }
  /// Gives the descriptor away; the caller must own it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

}  // namespace weir
