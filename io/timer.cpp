// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/basic_waitable_timer.hpp>

#include "io/executor_impl.h"

namespace weir::io {

struct Timer::State : WheelEntry {
  State(Executor::Impl& executor, std::function<void()> on_expiry_) : impl(executor), on_expiry(std::move(on_expiry_)) {}
  Executor::Impl& impl;
  std::function<void()> on_expiry;
  bool firing = false;
  bool abandoned = false;  // destroyed by its own on_expiry
};

namespace {
using Tick = std::chrono::milliseconds;
}

std::uint64_t Executor::Impl::tick_of(TimePoint time, bool round_up) const {
  Duration since = time - epoch;
  auto ticks = round_up ? std::chrono::ceil<Tick>(since).count() : std::chrono::floor<Tick>(since).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(ticks, 0));
}

void Executor::Impl::arm_driver() {
  if (in_drive) return;
  std::uint64_t next = wheel.next_tick();
  if (next >= driver_tick) return;  // it wakes early enough; too early does no harm
  driver_tick = next;
  driver.expires_at(epoch + Tick(next));
  driver.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    begin_event();
    drive_timers();
  });
}

void Executor::Impl::drive_timers() {
  driver_tick = UINT64_MAX;
  in_drive = true;
  std::uint64_t tick = tick_of(time(), false);
  while (WheelEntry* entry = wheel.advance(tick)) {
    auto& state = *static_cast<Timer::State*>(entry);
    state.firing = true;
    state.on_expiry();
    state.firing = false;
    if (state.abandoned) delete &state;
  }
  in_drive = false;
  arm_driver();
}

Timer::Timer(Executor& executor, std::function<void()> on_expiry)
    : state_(std::make_unique<State>(*executor.impl_, std::move(on_expiry))) {}

Timer::~Timer() {
  cancel();
  if (!state_->firing) return;
  state_->abandoned = true;
  (void)state_.release();
}

void Timer::expires_after(Duration delay) {
  Executor::Impl& impl = state_->impl;
  impl.wheel.remove(*state_);
  // A far limit is as good as none, and must not overflow.
  delay = std::min<Duration>(std::max<Duration>(delay, Duration::zero()), std::chrono::hours(24 * 365));
  if (!impl.in_drive) impl.wheel.skip_to(impl.tick_of(impl.time(), false));
  impl.wheel.insert(*state_, impl.tick_of(impl.time() + delay, true));
  impl.arm_driver();
}

void Timer::cancel() { state_->impl.wheel.remove(*state_); }
bool Timer::armed() const { return state_->linked(); }

}  // namespace weir::io
