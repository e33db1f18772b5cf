// SPDX-License-Identifier: Apache-2.0
// A hierarchical timer wheel over ticks (Varghese and Lauck): setting and cancelling cost O(1), no clock and no system call in
// it.
#pragma once

#include <array>
#include <cstdint>

namespace weir::io {

/// Base of what stands in the wheel. Not copied or moved while linked.
struct WheelEntry {
  WheelEntry* previous = nullptr;
  WheelEntry* next = nullptr;
  std::uint64_t due = 0;  ///< tick
  std::uint16_t slot = 0;
  bool linked() const { return next != nullptr; }
};

/// Four levels of 64 to 256 slots: 2^26 ticks (18 hours at 1 ms); what is due later waits in the last slot and is sorted in anew.
class TimerWheel {
 public:
  TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  /// `entry` must not be linked. A due tick in the past fires with the next advance.
  void insert(WheelEntry& entry, std::uint64_t due);
  void remove(WheelEntry& entry);
  /// Moves the wheel to `tick` if nothing is due until then; so that what is inserted next lands in the right slot at once.
  void skip_to(std::uint64_t tick);

  /// Moves the wheel to `tick` as far as there is something to do. Unlinks and returns one entry that is due at or before `tick`,
  /// or null if there is none any more (then the wheel stands at `tick`).
  WheelEntry* advance(std::uint64_t tick);

  /// A tick at or before the earliest due one, at which advance() should be called; UINT64_MAX if empty.
  std::uint64_t next_tick() const;
  std::uint64_t now() const { return now_; }

 private:
  static constexpr unsigned kLevels = 4;
  static constexpr unsigned kFirstBits = 8, kBits = 6;
  static constexpr unsigned kSlots = (1U << kFirstBits) + (kLevels - 1) * (1U << kBits);

  static unsigned shift_of(unsigned level) { return level == 0 ? 0 : kFirstBits + (level - 1) * kBits; }
  static unsigned bits_of(unsigned level) { return level == 0 ? kFirstBits : kBits; }
  static unsigned first_slot_of(unsigned level) { return level == 0 ? 0 : (1U << kFirstBits) + (level - 1) * (1U << kBits); }
  void link(WheelEntry& entry);
  /// The next tick at which a slot of this level comes to be emptied; UINT64_MAX if the level is empty.
  std::uint64_t next_of_level(unsigned level) const;
  void cascade(unsigned level);

  std::uint64_t now_ = 0;  // every tick up to and including this was dealt with
  std::array<WheelEntry, kSlots> heads_;
  std::array<std::uint64_t, kSlots / 64 + 1> occupied_{};  // a bit for each slot that is not empty
};

}  // namespace weir::io
