// SPDX-License-Identifier: Apache-2.0
#include "io/timer_wheel.h"

#include <doctest/doctest.h>
#include <map>
#include <memory>
#include <random>
#include <vector>

using namespace weir::io;

TEST_CASE("entries come when they are due, whatever level they were in") {
  for (std::uint64_t due :
       {1, 2, 255, 256, 257, 511, 512, 16'383, 16'384, 16'640, 1'048'576, 3'600'000, 67'108'863, 67'108'864, 400'000'000}) {
    CAPTURE(due);
    for (std::uint64_t start : {0ULL, 1ULL, 255ULL, 256ULL, 16'383ULL, 1'048'575ULL, 123'456'789ULL}) {
      CAPTURE(start);
      TimerWheel wheel;
      CHECK(wheel.advance(start) == nullptr);
      WheelEntry entry;
      wheel.insert(entry, start + due);
      CHECK(wheel.advance(start + due - 1) == nullptr);
      CHECK(wheel.next_tick() == start + due);
      CHECK(wheel.advance(start + due) == &entry);
      CHECK(wheel.next_tick() == UINT64_MAX);
    }
  }
}

TEST_CASE("a wheel with many entries agrees with a sorted list") {
  std::mt19937_64 random(7);
  TimerWheel wheel;
  std::multimap<std::uint64_t, WheelEntry*> expected;
  std::vector<std::unique_ptr<WheelEntry>> entries;
  std::uint64_t now = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto kind = random() % 4;
    if (kind == 0 || expected.empty()) {
      entries.push_back(std::make_unique<WheelEntry>());
      std::uint64_t due = now + 1 + random() % (std::uint64_t{1} << (random() % 28));
      wheel.insert(*entries.back(), due);
      expected.emplace(due, entries.back().get());
    } else if (kind == 1) {
      auto it = expected.begin();
      std::advance(it, static_cast<long>(random() % std::min<std::size_t>(expected.size(), 10)));
      wheel.remove(*it->second);
      expected.erase(it);
    } else {
      now += random() % (std::uint64_t{1} << (random() % 20));
      REQUIRE((expected.empty() || wheel.next_tick() <= expected.begin()->first));
      while (WheelEntry* entry = wheel.advance(now)) {
        REQUIRE(!expected.empty());
        REQUIRE(entry->due == expected.begin()->first);
        REQUIRE(entry->due <= now);
        auto [it, end] = expected.equal_range(entry->due);
        while (it != end && it->second != entry) ++it;
        REQUIRE(it != end);
        expected.erase(it);
      }
      REQUIRE((expected.empty() || expected.begin()->first > now));
    }
  }
}

TEST_CASE("skipping ahead passes nothing that is due") {
  TimerWheel wheel;
  WheelEntry entry;
  wheel.insert(entry, 5'000);
  wheel.skip_to(4'000);
  wheel.skip_to(6'000);
  CHECK(wheel.now() < 5'000);
  CHECK(wheel.advance(5'000) == &entry);
}
