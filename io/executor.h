// SPDX-License-Identifier: Apache-2.0
// One thread's event loop: Asio in our words (Asio itself stays inside io's .cpp files, which keeps builds quick).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/unique_fd.h"

namespace weir::io {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

class Executor;

/// Told when a descriptor became ready. Called on the executor's thread.
class ReadyHandler {
 public:
  virtual void on_readable() = 0;
  virtual void on_writable() = 0;

 protected:
  ~ReadyHandler() = default;
};

/// Readiness of one descriptor, one-shot: each want_*() leads to at most one call, unless the Watch is reset before.
/// Errors and hang-ups count as readable and writable: the next recv/send tells. Does not own the descriptor; destroy or
/// reset() the Watch before closing it. After reset() or destruction no call comes any more, even if one was already queued.
class Watch {
 public:
  Watch();
  Watch(Executor& executor, FdRef fd, ReadyHandler& handler);
  Watch(Watch&&) noexcept;
  Watch& operator=(Watch&&) noexcept;
  ~Watch();
  /// Idempotent while armed.
  void want_read();
  void want_write();
  /// want_read() without a system call, for who has emptied the descriptor since the last call: the last receive got less than it
  /// had room for, or would have blocked. Else what is still in there may never be told.
  void want_more();
  void reset();
  /// reset(), and closes the descriptor, which must be the watched one: a system call less than apart.
  void close(UniqueFd fd);
  explicit operator bool() const { return state_ != nullptr; }

 private:
  friend class Executor;
  struct State;
  static void dispatch(State& state, std::uint32_t events);
  std::unique_ptr<State> state_;
};

/// A timer on the executor's wheel: granularity 1 ms up to a few seconds, O(1) to set and cancel, no system call each.
/// Fires at or after the asked time, never before. One-shot; setting it again replaces the former time.
class Timer {
 public:
  Timer(Executor& executor, std::function<void()> on_expiry);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer();
  void expires_after(Duration delay);
  void cancel();
  bool armed() const;

 private:
  friend class Executor;
  struct State;
  std::unique_ptr<State> state_;
};

/// Not thread-safe except where said. All handlers run on the thread that calls run().
class Executor {
 public:
  Executor();
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Runs until stop(). Call once, from the thread that is to be this executor's.
  void run();
  /// Any thread.
  void stop();
  /// Any thread: `task` runs later on the executor's thread, in the order of posting.
  void post(std::function<void()> task);
  /// Calls `handler(signal)` for each of the signals (signalfd semantics: blocks their default action). Main executor only.
  Result<> on_signals(std::initializer_list<int> signals, std::function<void(int)> handler);

  /// Time at the start of the current round of events: cheap, good enough for deadlines.
  TimePoint now() const;

 private:
  friend class Watch;
  friend class Timer;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::io
