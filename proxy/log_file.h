// SPDX-License-Identifier: Apache-2.0
// One open log path: workers push whole lines, the writer's thread drains them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace weir::proxy {

/// What all files of a process share.
struct LogShared {
  std::mutex mutex;
  std::condition_variable wake;
  bool has_work = false;  // guarded by mutex
  std::atomic<std::uint64_t> lines{0}, written{0}, dropped{0}, failed_writes{0};
};

class LogFile {
 public:
  /// Bytes that may wait for the writer; more is dropped.
  static constexpr std::size_t kMaxPending = std::size_t{4} << 20;

  LogFile(std::string path, std::shared_ptr<LogShared> shared) : path_(std::move(path)), shared_(std::move(shared)) {}

  const std::string& path() const { return path_; }
  /// Opens or opens anew; on failure what was open stays. Writer's thread, or before it runs.
  Result<> open();
  /// Takes over `lines` whole lines; never waits for a disk. Any thread.
  void push(std::string_view text, std::uint64_t lines);
  /// Writes what is there as far as the file takes it without waiting. False if something is left. Writer's thread.
  bool drain(const std::function<void(const Error&)>& on_failure);
  /// To wait on when drain() left something. Writer's thread.
  FdRef fd() const { return fd_.ref(); }
  /// What is left is lost: counted. Writer's thread, at the end.
  void abandon();

 private:
  bool write_some();
  void fail_write(int sys_errno, const std::function<void(const Error&)>& on_failure);

  std::string path_;
  std::shared_ptr<LogShared> shared_;  // a worker may push after the writer has gone
  std::mutex mutex_;
  std::string pending_;  // guarded by mutex_
  // Below: the writer's thread only
  UniqueFd fd_;
  bool is_regular_ = false;
  std::string writing_;
  std::size_t done_ = 0;     // bytes of writing_ that are written
  bool is_failing_ = false;  // reported already
  bool is_torn_ = false;     // the last write broke off inside a line
  int errno_ = 0;
};

}  // namespace weir::proxy
