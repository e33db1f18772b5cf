// SPDX-License-Identifier: Apache-2.0
// Diagnostics on stderr. Only mains and connection-level code log; libraries return their errors. Never log secrets.
#pragma once

#include <string_view>

#include <fmt/format.h>

#include "base/result.h"

namespace weir::log {

enum class Level { debug, info, warn, error };

/// Call once at the start of main. `program` stands in each line. Format: "2026-01-02T03:04:05.678Z info weir-proxy: text".
void init(std::string_view program, Level level = Level::info);
/// Any thread, any time. Names: debug, info, warn (warning), error; the error (usage) lists them.
Result<Level> parse_level(std::string_view name);
void set_level(Level level);
bool enabled(Level level);
/// Writes one line. Thread-safe.
void write(Level level, std::string_view text);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::debug)) write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::info)) write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::warn)) write(Level::warn, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::error)) write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace weir::log
