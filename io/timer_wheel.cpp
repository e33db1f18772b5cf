// SPDX-License-Identifier: Apache-2.0
#include "io/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace weir::io {

namespace {

constexpr auto kTick = std::chrono::milliseconds(1);

}  // namespace

TimerWheel::TimerWheel(TimePoint start) : start_(start) {
  for (Head& head : slots_) head.next_ = head.previous_ = &head;
}

void TimerWheel::schedule(Entry& entry, TimePoint at) {
  cancel(entry);
  // Rounded up, so that nothing fires early; a past time falls into the next tick.
  auto ticks = at <= start_ ? 0 : static_cast<std::uint64_t>((at - start_ + kTick - std::chrono::nanoseconds(1)) / kTick);
  entry.due_ = std::max(ticks, tick_ + 1);
  std::size_t slot = entry.due_ % kSlots;
  Head& head = slots_[slot];
  entry.next_ = &head;
  entry.previous_ = head.previous_;
  head.previous_->next_ = &entry;
  head.previous_ = &entry;
  used_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void TimerWheel::cancel(Entry& entry) {
  if (entry.is_linked()) unlink(entry);
}

void TimerWheel::unlink(Entry& entry) {
  entry.previous_->next_ = entry.next_;
  entry.next_->previous_ = entry.previous_;
  entry.next_ = entry.previous_ = nullptr;
  std::size_t slot = entry.due_ % kSlots;
  if (slots_[slot].next_ == &slots_[slot]) used_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
}

void TimerWheel::advance(TimePoint now) {
  auto target = now <= start_ ? 0 : static_cast<std::uint64_t>((now - start_) / kTick);
  if (target <= tick_) return;
  // After a long pause one turn over all slots is enough.
  std::uint64_t first = target - tick_ > kSlots ? target - kSlots + 1 : tick_ + 1;
  // Moved first: what handlers schedule for a past time then lands beyond the target and waits for the next call.
  tick_ = target;
  for (std::uint64_t tick = first; tick <= target; ++tick) {
    Head& head = slots_[tick % kSlots];
    if (head.next_ == &head) continue;
    // Due entries move to a list of their own, since handlers may cancel or schedule any entry.
    Head due;
    due.next_ = due.previous_ = &due;
    for (Entry* entry = head.next_; entry != &head;) {
      Entry* next = entry->next_;
      if (entry->due_ <= target) {
        std::uint64_t when = entry->due_;
        unlink(*entry);
        entry->due_ = when;
        entry->next_ = &due;
        entry->previous_ = due.previous_;
        due.previous_->next_ = entry;
        due.previous_ = entry;
      }
      entry = next;
    }
    while (due.next_ != &due) {
      Entry& entry = *due.next_;
      unlink(entry);
      entry.fire();
    }
  }
}

std::optional<TimerWheel::TimePoint> TimerWheel::next_due() const {
  std::size_t first = (tick_ + 1) % kSlots;
  for (std::size_t step = 0; step < kSlots;) {
    std::size_t slot = (first + step) % kSlots;
    std::uint64_t word = used_[slot / 64] >> (slot % 64);
    if (word == 0) {
      step += 64 - slot % 64;
      continue;
    }
    step += static_cast<std::size_t>(std::countr_zero(word));
    if (step >= kSlots) break;
    return start_ + (tick_ + 1 + step) * kTick;
  }
  return std::nullopt;
}

}  // namespace weir::io
