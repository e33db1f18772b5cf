// SPDX-License-Identifier: Apache-2.0
// When a draining proxy may leave. A value: time in, decision out.
#pragma once

#include <chrono>
#include <cstdint>

namespace weir::proxy {

/// Leaves once the least time has passed and nothing is open, at the latest after the limit. Open requests hold it back, idle
/// connections do not.
class Drain {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  Drain(TimePoint start, std::chrono::milliseconds least, std::chrono::milliseconds limit)
      : earliest_(start + least), latest_(start + (least < limit ? limit : least)) {}

  enum class Step : std::uint8_t { wait, leave, give_up };  ///< give_up: the limit has passed with requests open
  Step at(TimePoint now, std::int64_t open_requests) const {
    if (now >= earliest_ && open_requests <= 0) return Step::leave;
    return now >= latest_ ? Step::give_up : Step::wait;
  }

 private:
  TimePoint earliest_, latest_;
};

}  // namespace weir::proxy
