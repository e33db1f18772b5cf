// SPDX-License-Identifier: Apache-2.0
#include <utility>  // before Asio, which forgets it

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include "io/executor.h"

#include "io/timer_wheel.h"

namespace weir::io {

namespace asio = boost::asio;
using boost::system::error_code;

// ---- Executor

struct Executor::Impl {
  Impl() : context(1), work(context.get_executor()), alarm(context), signals(context), wheel(Clock::now()) {}

  /// The one Asio timer follows the wheel's earliest due time; it is only moved forward in time when it must be (a system call),
  /// and may fire with nothing due.
  void arm_alarm() {
    auto next = wheel.next_due();
    if (!next || (alarm_at && *alarm_at <= *next)) return;
    alarm_at = *next;
    alarm.expires_at(*next);
    alarm.async_wait([this](error_code error) {
      if (error) return;  // moved: another wait is under way
      alarm_at.reset();
      wheel.advance(Clock::now());
      arm_alarm();
    });
  }

  void wait_for_signal() {
    signals.async_wait([this](error_code error, int signal) {
      if (error) return;
      on_signal(signal);
      wait_for_signal();
    });
  }

  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  asio::steady_timer alarm;
  asio::signal_set signals;
  std::optional<TimePoint> alarm_at;
  TimerWheel wheel;
  std::function<void(int)> on_signal;
};

Executor::Executor() : impl_(std::make_unique<Impl>()) {}
Executor::~Executor() = default;
void Executor::run() { impl_->context.run(); }
void Executor::stop() { impl_->context.stop(); }
void Executor::post(std::function<void()> task) { asio::post(impl_->context, std::move(task)); }
TimePoint Executor::now() const { return Clock::now(); }

Result<> Executor::on_signals(std::initializer_list<int> signals, std::function<void(int)> handler) {
  for (int signal : signals) {
    error_code error;
    impl_->signals.add(signal, error);
    if (error) return fail(ErrorCode::environment, "cannot handle signal {}: {}", signal, error.message());
  }
  impl_->on_signal = std::move(handler);
  impl_->wait_for_signal();
  return {};
}

// ---- Watch

struct Watch::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, int fd, ReadyHandler& to) : descriptor(context, fd), handler(&to) {}
  ~State() { descriptor.release(); }  // never closes what it does not own

  void want(asio::posix::descriptor_base::wait_type type, bool& armed, void (ReadyHandler::*tell)()) {
    if (armed) return;
    armed = true;
    descriptor.async_wait(type, [self = shared_from_this(), &armed, tell](error_code error) {
      armed = false;
      if (!error && self->handler != nullptr) (self->handler->*tell)();
    });
  }
  /// Pending waits end with an error and tell nobody.
  void detach() {
    handler = nullptr;
    descriptor.release();
  }

  asio::posix::stream_descriptor descriptor;
  ReadyHandler* handler;
  bool reading = false, writing = false;
};

Watch::Watch(Executor& executor, FdRef fd, ReadyHandler& handler)
    : state_(std::make_shared<State>(executor.impl_->context, fd.get(), handler)) {}
Watch::Watch(Watch&&) noexcept = default;
Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    reset();
    state_ = std::move(other.state_);
  }
  return *this;
}
Watch::~Watch() { reset(); }

void Watch::want_read() {
  if (state_) state_->want(asio::posix::descriptor_base::wait_read, state_->reading, &ReadyHandler::on_readable);
}
void Watch::want_write() {
  if (state_) state_->want(asio::posix::descriptor_base::wait_write, state_->writing, &ReadyHandler::on_writable);
}
void Watch::reset() {
  if (state_) state_->detach();
  state_.reset();
}

// ---- Timer

struct Timer::State : TimerWheel::Entry {
  State(Executor::Impl& executor, std::function<void()> on_expiry) : owner(executor), expired(std::move(on_expiry)) {}
  void fire() override { expired(); }
  Executor::Impl& owner;
  std::function<void()> expired;
};

Timer::Timer(Executor& executor, std::function<void()> on_expiry)
    : state_(std::make_unique<State>(*executor.impl_, std::move(on_expiry))) {}
Timer::~Timer() { cancel(); }
void Timer::expires_after(Duration delay) {
  state_->owner.wheel.schedule(*state_, Clock::now() + delay);
  state_->owner.arm_alarm();
}
void Timer::cancel() { state_->owner.wheel.cancel(*state_); }
bool Timer::armed() const { return state_->is_linked(); }

}  // namespace weir::io
