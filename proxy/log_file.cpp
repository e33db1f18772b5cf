// SPDX-License-Identifier: Apache-2.0
#include "proxy/log_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace weir::proxy {

namespace {

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

UniqueFd open_path(const std::string& path) {
  if (path == "/dev/stdout") return UniqueFd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
  if (path == "/dev/stderr") return UniqueFd(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  // O_NONBLOCK: a FIFO without a reader must not hold the process up.
  return UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644));
}

/// The longest run of whole lines within `limit` bytes; a line that is longer by itself goes in pieces.
std::size_t whole_lines(std::string_view text, std::size_t limit) {
  if (text.size() <= limit) return text.size();
  std::size_t end = text.rfind('\n', limit - 1);
  return end == std::string_view::npos ? limit : end + 1;
}

}  // namespace

Result<> LogFile::open() {
  UniqueFd fd = open_path(path_);
  if (!fd) return fail_errno(errno, "access log {}", path_);
  struct stat info {};
  is_regular_ = fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode);
  fd_ = std::move(fd);
  return {};
}

void LogFile::push(std::string_view text, std::uint64_t lines) {
  shared_->lines += lines;
  {
    std::lock_guard lock(mutex_);
    if (pending_.size() + text.size() > kMaxPending) {
      shared_->dropped += lines;
      return;
    }
    pending_ += text;
  }
  std::lock_guard lock(shared_->mutex);
  shared_->has_work = true;
  shared_->wake.notify_one();
}

/// False if nothing could be written: errno_ says why, 0 if the file is only full for now.
bool LogFile::write_some() {
  errno_ = 0;
  if (!is_regular_) {
    // A pipe that can be written to takes PIPE_BUF bytes at once without blocking, even on a descriptor shared with others.
    pollfd ready{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
    if (poll(&ready, 1, 0) <= 0) return false;
  }
  std::string_view left = std::string_view(writing_).substr(done_);
  std::size_t size = whole_lines(left, is_regular_ ? std::size_t{1} << 20 : PIPE_BUF);
  ssize_t count = ::write(fd_.get(), left.data(), size);
  if (count < 0) {
    errno_ = errno == EAGAIN || errno == EINTR ? 0 : errno;
    return false;
  }
  done_ += static_cast<std::size_t>(count);
  is_torn_ = done_ > 0 && writing_[done_ - 1] != '\n';
  shared_->written += static_cast<std::uint64_t>(count);
  return count > 0;
}

void LogFile::fail_write(int sys_errno, const std::function<void(const Error&)>& on_failure) {
  ++shared_->failed_writes;
  shared_->dropped += count_lines(std::string_view(writing_).substr(done_));
  writing_.clear();
  done_ = 0;
  if (std::exchange(is_failing_, true) || !on_failure) return;
  on_failure(Error(ErrorCode::io,
                   fmt::format("writing access log {}: {}; lines are lost until it works again", path_, errno_text(sys_errno)),
                   sys_errno));
}

bool LogFile::drain(const std::function<void(const Error&)>& on_failure) {
  for (;;) {
    if (done_ == writing_.size()) {
      writing_.clear();
      done_ = 0;
      if (is_torn_ && is_failing_) writing_ = "\n";  // the broken line ends here, so that the next one is whole
      std::lock_guard lock(mutex_);
      if (pending_.empty()) {
        writing_.clear();
        return true;
      }
      if (writing_.empty()) {
        writing_.swap(pending_);
      } else {
        writing_ += pending_;
      }
      pending_.clear();
    }
    if (write_some()) {
      if (done_ == writing_.size()) is_failing_ = false;
      continue;
    }
    if (errno_ == 0) return false;
    fail_write(errno_, on_failure);
  }
}

void LogFile::abandon() {
  std::lock_guard lock(mutex_);
  shared_->dropped += count_lines(std::string_view(writing_).substr(done_)) + count_lines(pending_);
}

}  // namespace weir::proxy
