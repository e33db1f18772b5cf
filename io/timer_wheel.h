// SPDX-License-Identifier: Apache-2.0
// A hashed timer wheel: O(1) to schedule and cancel, no allocation. Pure: time is an argument. Inside io only.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace weir::io {

/// Slots of one millisecond; a time beyond one turn shares a slot and is passed over until its turn comes.
class TimerWheel {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// Linked into the wheel while scheduled; must be cancelled before it dies.
  class Entry {
   public:
    Entry() = default;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    bool is_linked() const { return next_ != nullptr; }

   protected:
    virtual ~Entry() = default;

   private:
    friend class TimerWheel;
    virtual void fire() = 0;
    Entry* next_ = nullptr;
    Entry* previous_ = nullptr;
    std::uint64_t due_ = 0;  // in ticks since the wheel's start
  };

  explicit TimerWheel(TimePoint start);
  /// Replaces a former time. Fires at or after `at`, by at most a tick plus the caller's delay.
  void schedule(Entry& entry, TimePoint at);
  void cancel(Entry& entry);
  /// Fires all that is due at `now`; what is scheduled meanwhile for a time already past fires in the next advance().
  void advance(TimePoint now);
  /// When advance() is worth a call: never later than the earliest entry is due, possibly earlier (once a turn). None: empty.
  std::optional<TimePoint> next_due() const;

 private:
  static constexpr std::size_t kSlots = 4096;
  struct Head final : Entry {
    void fire() override {}
  };
  void unlink(Entry& entry);
  TimePoint start_;
  std::uint64_t tick_ = 0;  // all slots up to this tick have been dealt with
  std::array<Head, kSlots> slots_;
  std::array<std::uint64_t, kSlots / 64> used_{};  // a bit for each slot that holds entries
};

}  // namespace weir::io
