// SPDX-License-Identifier: Apache-2.0
#include "io/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace weir::io {

TimerWheel::TimerWheel() {
  for (WheelEntry& head : heads_) head.previous = head.next = &head;
}

void TimerWheel::insert(WheelEntry& entry, std::uint64_t due) {
  entry.due = std::max(due, now_ + 1);
  link(entry);
}

void TimerWheel::link(WheelEntry& entry) {
  constexpr std::uint64_t span = std::uint64_t{1} << (kFirstBits + (kLevels - 1) * kBits);
  // Too far away: as far as the last level reaches, and from there again.
  std::uint64_t due = std::min(std::max(entry.due, now_), now_ + span - (std::uint64_t{1} << shift_of(kLevels - 1)));
  unsigned level = 0;
  while (level + 1 < kLevels && ((due >> shift_of(level)) - (now_ >> shift_of(level))) >= (std::uint64_t{1} << bits_of(level)))
    ++level;
  auto index = static_cast<unsigned>((due >> shift_of(level)) & ((1U << bits_of(level)) - 1));
  unsigned slot = first_slot_of(level) + index;
  WheelEntry& head = heads_[slot];
  entry.slot = static_cast<std::uint16_t>(slot);
  entry.previous = head.previous;
  entry.next = &head;
  head.previous->next = &entry;
  head.previous = &entry;
  occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void TimerWheel::remove(WheelEntry& entry) {
  if (!entry.linked()) return;
  entry.previous->next = entry.next;
  entry.next->previous = entry.previous;
  entry.next = entry.previous = nullptr;
  if (heads_[entry.slot].next == &heads_[entry.slot]) occupied_[entry.slot / 64] &= ~(std::uint64_t{1} << (entry.slot % 64));
}

std::uint64_t TimerWheel::next_of_level(unsigned level) const {
  unsigned size = 1U << bits_of(level);
  std::uint64_t current = now_ >> shift_of(level);
  unsigned base = first_slot_of(level) / 64;
  // Slots after the current one, in the order in which they come; the current one is empty (it was emptied when we came to it).
  for (unsigned step = 1; step <= size;) {
    auto index = static_cast<unsigned>((current + step) & (size - 1));
    std::uint64_t word = occupied_[base + index / 64] >> (index % 64);
    if (word != 0) {
      step += static_cast<unsigned>(std::countr_zero(word));
      return (current + step) << shift_of(level);
    }
    step += 64 - index % 64;
  }
  return UINT64_MAX;
}

std::uint64_t TimerWheel::next_tick() const {
  std::uint64_t next = UINT64_MAX;
  for (unsigned level = 0; level < kLevels; ++level) next = std::min(next, next_of_level(level));
  return next;
}

void TimerWheel::skip_to(std::uint64_t tick) {
  if (tick > now_ && next_tick() > tick) now_ = tick;
}

void TimerWheel::cascade(unsigned level) {
  unsigned slot = first_slot_of(level) + static_cast<unsigned>((now_ >> shift_of(level)) & ((1U << bits_of(level)) - 1));
  WheelEntry& head = heads_[slot];
  // Taken off as a whole first: an entry that is due much later may come back to this very slot.
  WheelEntry* entry = head.next;
  head.previous->next = nullptr;
  head.previous = head.next = &head;
  occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  if (entry == &head) return;
  while (entry != nullptr) {
    WheelEntry* next = entry->next;
    entry->next = entry->previous = nullptr;
    link(*entry);
    entry = next;
  }
}

WheelEntry* TimerWheel::advance(std::uint64_t tick) {
  while (true) {
    WheelEntry& head = heads_[now_ & ((1U << kFirstBits) - 1)];
    if (head.next != &head) {
      WheelEntry* entry = head.next;
      remove(*entry);
      return entry;
    }
    std::array<std::uint64_t, kLevels> nexts;
    for (unsigned level = 0; level < kLevels; ++level) nexts[level] = next_of_level(level);
    std::uint64_t next = *std::min_element(nexts.begin(), nexts.end());
    if (next > tick) {
      now_ = std::max(now_, tick);
      return nullptr;
    }
    now_ = next;
    for (unsigned level = kLevels - 1; level > 0; --level)
      if (nexts[level] == next) cascade(level);
  }
}

}  // namespace weir::io
