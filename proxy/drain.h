// SPDX-License-Identifier: Apache-2.0
// When a draining proxy may leave. A value: time in, decision out.
#pragma once

#include <chrono>
#include <cstdint>

namespace weir::proxy {

/// What of a proxy's work is open. Tunnels count as requests, idle connections do not count.
struct OpenWork {
  std::int64_t inbound = 0, outbound = 0;  ///< requests
  std::int64_t outbound_begun = 0;         ///< all since the start
};

/// Inbound ends first, so that nobody sends the workload anything new; outbound goes on for as long as the workload has something
/// to say: its last calls come after it has heard of its end.
class Drain {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  struct Limits {
    std::chrono::milliseconds least{0};  ///< inbound connections are taken for this long; without a workload to follow outbound
                                         ///< calls must have ceased for as long
    std::chrono::milliseconds limit{0};  ///< all is over then
    bool has_workload = false;           ///< a process is followed: outbound calls are taken until workload_gone()
  };
  Drain(TimePoint start, const Limits& limits)
      : limits_(limits),
        earliest_(start + limits.least),
        latest_(start + (limits.least < limits.limit ? limits.limit : limits.least)),
        last_outbound_(start) {}

  /// Only what is open is waited for.
  void workload_gone() {
    limits_.has_workload = false;
    limits_.least = std::chrono::milliseconds(0);
    earliest_ = TimePoint::min();
  }
  bool has_workload() const { return limits_.has_workload; }

  bool takes_inbound(TimePoint now) const { return now < earliest_; }

  enum class Step : std::uint8_t { wait, leave, give_up };  ///< give_up: the limit has passed with something unfinished
  Step at(TimePoint now, const OpenWork& open) {
    if (open.outbound > 0 || open.outbound_begun != begun_) last_outbound_ = now;
    begun_ = open.outbound_begun;
    const bool is_idle = open.inbound <= 0 && open.outbound <= 0;
    const bool may_call = limits_.has_workload || now < last_outbound_ + limits_.least;
    if (is_idle && !may_call && now >= earliest_) return Step::leave;
    return now >= latest_ ? Step::give_up : Step::wait;
  }

 private:
  Limits limits_;
  TimePoint earliest_, latest_, last_outbound_;
  std::int64_t begun_ = 0;
};

}  // namespace weir::proxy
