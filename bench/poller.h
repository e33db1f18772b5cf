// SPDX-License-Identifier: Apache-2.0
// epoll in three calls, for the programs of this folder: each is one thread over many sockets.
#pragma once

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <sys/epoll.h>
#include <time.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace weir::bench {

/// Programs of a benchmark end at the first thing that goes wrong: a run that went on would measure something else.
template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().to_text().c_str());
  std::exit(2);
}

class Poller {
 public:
  Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) {}

  /// `who` comes back with each event. A closed descriptor leaves by itself.
  void add(FdRef fd, std::uint32_t events, void* who) { control(EPOLL_CTL_ADD, fd, events, who); }
  void change(FdRef fd, std::uint32_t events, void* who) { control(EPOLL_CTL_MOD, fd, events, who); }

  /// Waits at most `limit`, nanoseconds counted (epoll_wait's milliseconds are too coarse for an open loop).
  std::span<const epoll_event> wait(std::chrono::nanoseconds limit) {
    const timespec time{.tv_sec = static_cast<time_t>(limit.count() / 1'000'000'000), .tv_nsec = limit.count() % 1'000'000'000};
    const int count = epoll_pwait2(fd_.get(), events_.data(), static_cast<int>(events_.size()), &time, nullptr);
    return {events_.data(), count < 0 ? 0U : static_cast<std::size_t>(count)};
  }

 private:
  void control(int what, FdRef fd, std::uint32_t events, void* who) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = who;
    if (epoll_ctl(fd_.get(), what, fd.get(), &event) == 0) return;
    std::perror("epoll_ctl");
    std::exit(2);
  }

  UniqueFd fd_;
  std::array<epoll_event, 256> events_;
};

}  // namespace weir::bench
