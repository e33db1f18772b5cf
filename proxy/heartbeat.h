// SPDX-License-Identifier: Apache-2.0
// Shows the kernel's rules that the proxy lives: the first heartbeat opens the start gate, and as long as they go on a sandbox
// with `weir-init --when-proxy-down=open` is captured.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "base/result.h"
#include "base/unique_fd.h"
#include "io/executor.h"

namespace weir::proxy {

/// One UDP datagram to the discard port (9) of 127.0.0.1 and one to that of ::1; who sent them (uid, mark, cgroup) is what the
/// rules look at. Nobody needs to listen there.
class Heartbeat {
 public:
  /// Opens the sockets at once, so that their owner is who the process is now. `mark`: SO_MARK, only where it may be set.
  explicit Heartbeat(std::optional<std::uint32_t> mark = std::nullopt);
  /// A family that the machine lacks is no error; both failing is.
  Result<> send();

 private:
  UniqueFd v4_, v6_;
};

/// Sends one each `interval`, from an executor's thread: a thread that hangs is silent. Failures are not told: the first
/// heartbeat of a proxy told of them.
class HeartbeatTimer {
 public:
  HeartbeatTimer(io::Executor& executor, std::chrono::milliseconds interval, std::optional<std::uint32_t> mark);
  /// On the executor's thread, or before it runs.
  void start();

 private:
  Heartbeat heartbeat_;
  std::chrono::milliseconds interval_;
  io::Timer timer_;
};

}  // namespace weir::proxy
