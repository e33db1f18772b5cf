// SPDX-License-Identifier: Apache-2.0
// Watches a process that is not our child, so that the proxy can leave when its workload has gone.
#pragma once

#include <functional>
#include <memory>
#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"
#include "io/executor.h"

namespace weir::proxy {

class Follow final : io::ReadyHandler {
 public:
  /// pidfd_open(2): no polling, and a later process with the same number is not mistaken for it. Errors (environment): there is
  /// no such process, or the kernel is older than 5.3.
  static Result<std::unique_ptr<Follow>> start(io::Executor& executor, pid_t pid, std::function<void()> on_gone);

 private:
  Follow(io::Executor& executor, UniqueFd fd, std::function<void()> on_gone);
  void on_readable() override;
  void on_writable() override {}

  UniqueFd fd_;
  std::function<void()> on_gone_;
  io::Watch watch_;
};

}  // namespace weir::proxy
