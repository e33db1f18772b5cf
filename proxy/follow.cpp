// SPDX-License-Identifier: Apache-2.0
#include "proxy/follow.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir::proxy {

Result<std::unique_ptr<Follow>> Follow::start(io::Executor& executor, pid_t pid, std::function<void()> on_gone) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd && errno == ESRCH) return fail(ErrorCode::environment, "--follow {}: there is no such process", pid);
  if (!fd && errno == ENOSYS) return fail(ErrorCode::environment, "--follow {}: the kernel has no pidfd_open (Linux 5.3)", pid);
  if (!fd) return fail_errno(errno, "--follow {}", pid);
  return std::unique_ptr<Follow>(new Follow(executor, std::move(fd), std::move(on_gone)));
}

Follow::Follow(io::Executor& executor, UniqueFd fd, std::function<void()> on_gone)
    : fd_(std::move(fd)), on_gone_(std::move(on_gone)), watch_(executor, fd_.ref(), *this) {
  watch_.want_read();
}

void Follow::on_readable() {
  pollfd event{fd_.get(), POLLIN, 0};
  if (::poll(&event, 1, 0) <= 0) return watch_.want_read();
  watch_.reset();
  on_gone_();
}

}  // namespace weir::proxy
