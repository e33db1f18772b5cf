// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <ctime>

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include "base/result.h"

namespace weir::proxy {

/// Rounded up to a millisecond, so that a positive time never becomes "none". Negative ones and those above 100 years are errors
/// (usage).
inline Result<std::chrono::milliseconds> to_milliseconds(const google::protobuf::Duration& duration) {
  constexpr std::int64_t kMaxSeconds = 100LL * 366 * 86'400;
  if (duration.seconds() < 0 || duration.nanos() < 0 || duration.nanos() > 999'999'999 || duration.seconds() > kMaxSeconds)
    return fail(ErrorCode::usage, "{}s {}ns is no duration; use 0 to 100 years", duration.seconds(), duration.nanos());
  return std::chrono::milliseconds(duration.seconds() * 1000 + (duration.nanos() + 999'999) / 1'000'000);
}

inline void set_duration(google::protobuf::Duration& into, std::chrono::nanoseconds from) {
  into.set_seconds(from.count() / 1'000'000'000);
  into.set_nanos(static_cast<std::int32_t>(from.count() % 1'000'000'000));
}

inline void set_timestamp(google::protobuf::Timestamp& into, std::chrono::system_clock::time_point from) {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(from.time_since_epoch()).count();
  into.set_seconds(ns / 1'000'000'000);
  into.set_nanos(static_cast<std::int32_t>(ns % 1'000'000'000 / 1'000'000 * 1'000'000));
}

}  // namespace weir::proxy
