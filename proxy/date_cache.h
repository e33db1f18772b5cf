// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <string_view>

namespace weir::proxy {

/// "Sat, 21 Nov 2026 14:00:00 GMT" of the current second. One per thread.
class DateCache {
 public:
  std::string_view text(std::chrono::system_clock::time_point now) {
    std::int64_t second = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
    if (second != second_) {
      second_ = second;
      auto time = static_cast<std::time_t>(second);
      std::tm parts{};
      ::gmtime_r(&time, &parts);
      // The process keeps the C locale, so the names are English as RFC 9110 wants them.
      std::strftime(text_, sizeof text_, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    }
    return {text_, 29};
  }

 private:
  std::int64_t second_ = INT64_MIN;
  char text_[32] = {};
};

}  // namespace weir::proxy
