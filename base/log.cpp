// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <memory>
#include <string>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/text.h"

namespace weir::log {

namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static std::shared_ptr<spdlog::logger> instance =
      std::make_shared<spdlog::logger>("weir", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  return *instance;
}

}  // namespace

void init(std::string_view program, Level level) {
  logger().set_pattern(fmt::format("%Y-%m-%dT%H:%M:%S.%eZ %l {}: %v", program), spdlog::pattern_time_type::utc);
  logger().flush_on(spdlog::level::debug);
  set_level(level);
}

Result<Level> parse_level(std::string_view name) {
  std::string lowered = to_lower(name);
  if (lowered == "debug" || lowered == "trace") return Level::debug;
  if (lowered == "info") return Level::info;
  if (lowered == "warn" || lowered == "warning") return Level::warn;
  if (lowered == "error" || lowered == "critical") return Level::error;
  return fail(ErrorCode::usage, "\"{}\" is not a log level; use debug, info, warn or error", printable(name));
}

void set_level(Level level) { logger().set_level(to_spdlog(level)); }
bool enabled(Level level) { return logger().should_log(to_spdlog(level)); }
void write(Level level, std::string_view text) { logger().log(to_spdlog(level), text); }

}  // namespace weir::log
