// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "io/timer_wheel.h"

using weir::io::TimerWheel;
using namespace std::chrono_literals;

namespace {

struct Probe final : TimerWheel::Entry {
  void fire() override {
    ++fired;
    if (then) then();
  }
  int fired = 0;
  std::function<void()> then;
};

const TimerWheel::TimePoint kStart = TimerWheel::TimePoint() + 1000s;

}  // namespace

TEST_CASE("a timer fires at its time, not before, and once") {
  TimerWheel wheel(kStart);
  Probe probe;
  wheel.schedule(probe, kStart + 10ms + 1ns);
  CHECK(*wheel.next_due() <= kStart + 11ms);
  wheel.advance(kStart + 10ms);
  CHECK(probe.fired == 0);
  wheel.advance(kStart + 11ms);
  CHECK(probe.fired == 1);
  CHECK_FALSE(probe.is_linked());
  wheel.advance(kStart + 10s);
  CHECK(probe.fired == 1);
  CHECK_FALSE(wheel.next_due());
}

TEST_CASE("cancelled and rescheduled timers keep only the last word") {
  TimerWheel wheel(kStart);
  Probe cancelled, moved;
  wheel.schedule(cancelled, kStart + 5ms);
  wheel.schedule(moved, kStart + 5ms);
  wheel.cancel(cancelled);
  wheel.schedule(moved, kStart + 50ms);
  wheel.advance(kStart + 49ms);
  CHECK(cancelled.fired == 0);
  CHECK(moved.fired == 0);
  wheel.advance(kStart + 50ms);
  CHECK(moved.fired == 1);
}

TEST_CASE("times beyond one turn of the wheel wait for their turn") {
  TimerWheel wheel(kStart);
  Probe far;
  wheel.schedule(far, kStart + 1h);
  for (auto at = kStart; at < kStart + 1h; at += 3s) wheel.advance(at);
  CHECK(far.fired == 0);
  wheel.advance(kStart + 1h);
  CHECK(far.fired == 1);
}

TEST_CASE("a long pause fires everything that fell due") {
  TimerWheel wheel(kStart);
  std::vector<Probe> probes(100);
  for (std::size_t i = 0; i < probes.size(); ++i) wheel.schedule(probes[i], kStart + i * 197ms);
  wheel.advance(kStart + 1h);
  for (const Probe& probe : probes) CHECK(probe.fired == 1);
}

TEST_CASE("handlers may schedule and cancel any timer") {
  TimerWheel wheel(kStart);
  Probe first, second, again;
  first.then = [&] { wheel.cancel(second); };
  again.then = [&] { wheel.schedule(again, kStart); };
  wheel.schedule(first, kStart + 5ms);
  wheel.schedule(second, kStart + 5ms);
  wheel.schedule(again, kStart + 5ms);
  wheel.advance(kStart + 5ms);
  CHECK(first.fired == 1);
  CHECK(second.fired == 0);
  CHECK(again.fired == 1);
  wheel.advance(kStart + 6ms);
  CHECK(again.fired == 2);
  wheel.cancel(again);
}

TEST_CASE("next_due never lies behind the earliest timer") {
  TimerWheel wheel(kStart);
  std::mt19937 random(1);
  std::vector<Probe> probes(50);
  auto now = kStart;
  for (int round = 0; round < 2000; ++round) {
    Probe& probe = probes[random() % probes.size()];
    wheel.schedule(probe, now + std::chrono::milliseconds(random() % 9000));
    auto next = wheel.next_due();
    REQUIRE(next);
    now = std::max(now, *next - std::chrono::milliseconds(random() % 3));
    wheel.advance(now);
  }
  for (int turn = 0; turn < 10; ++turn) wheel.advance(now += 4s);
  for (const Probe& probe : probes) CHECK_FALSE(probe.is_linked());
}
