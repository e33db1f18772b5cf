// SPDX-License-Identifier: Apache-2.0
// Private to io: where Asio is. Only io's .cpp files include this.
#pragma once

#include <array>
#include <mutex>
#include <sys/epoll.h>
#include <vector>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>

#include "io/executor.h"
#include "io/timer_wheel.h"

namespace weir::io {

using Descriptor = boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;

struct Executor::Impl {
  Impl();
  void arm_wakeup();
  void run_posted();
  void arm_ready();
  void run_ready();
  void forget_ready(const void* state);
  /// Every entry from Asio begins with this: the cached time is of the former event.
  void begin_event() { now_known = false; }
  TimePoint time();
  void drive_timers();

  // One thread runs it and all I/O objects are touched there only; posting from others goes through `posted` (so no locks
  // inside).
  boost::asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE};
  Descriptor wakeup;  // eventfd
  Descriptor ready;   // epoll: what is watched
  std::array<epoll_event, 128> ready_events;
  int ready_next = 0, ready_end = 0;  // of the batch being dispatched
  const void* dispatching = nullptr;  // the Watch::State whose handler runs, until it goes
  std::mutex mutex;
  std::vector<std::function<void()>> posted;   // under mutex
  std::vector<std::function<void()>> running;  // the round being run
  std::unique_ptr<boost::asio::signal_set> signals;
  std::function<void(int)> on_signal;
  TimePoint now_value;
  bool now_known = false;

  TimerWheel wheel;
  boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, boost::asio::io_context::executor_type> driver;
  std::uint64_t driver_tick = UINT64_MAX;  // what `driver` is armed for
  bool in_drive = false;
  TimePoint epoch;

  void arm_driver();
  std::uint64_t tick_of(TimePoint time, bool round_up) const;
  void wait_for_signal();
};

}  // namespace weir::io
