// SPDX-License-Identifier: Apache-2.0
// Envoy's command operators (%START_TIME%, %REQ(X?Y):Z%, …) compiled once and appended many times. Used for access logs and for
// header values that hold operators.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/header_map.h"
#include "proxy/stream_info.h"

namespace weir::proxy {

/// Istio's default line, then ` rule="…" at=file:line`, and a newline.
extern const std::string_view kDefaultTextFormat;
/// Istio's snake-case keys, then rule, rule_file, rule_line; a JSON object whose strings hold operators.
extern const std::string_view kDefaultJsonFormat;

/// What a format is applied to. Null header maps count as empty.
struct FormatInput {
  const StreamInfo& info;
  const http::HeaderMap* request = nullptr;
  const http::HeaderMap* response = nullptr;
  const http::HeaderMap* trailers = nullptr;  ///< of the response
};

/// The text of the current second, so that a line does not run strftime(3). One per thread.
class TimeCache {
 public:
  /// Appends "2026-11-21T13:40:38.123Z" (UTC).
  void append(std::string& out, std::chrono::system_clock::time_point time);

 private:
  std::int64_t second_ = INT64_MIN;
  char text_[20] = {};  // "2026-11-21T13:40:38."
};

/// Immutable, shared between threads; append() allocates only while `out` grows.
class Format {
 public:
  /// Values are escaped as in a log line: `"`, `\`, control and non-ASCII bytes as \xNN, and blanks too where the operator stands
  /// outside double quotes; so a client cannot forge a field or a line. Missing values are `-`. Errors (usage) name the operator
  /// and its position.
  static Result<Format> text(std::string_view format);
  /// `json_template`: a JSON object; strings hold operators, nesting and order are kept. A string that is one operator becomes a
  /// number where the operator is one, and null if missing; a newline ends the record.
  static Result<Format> json(std::string_view json_template);
  /// For header values: nothing is escaped but CR, LF and NUL, which are dropped; missing values are empty.
  static Result<Format> header(std::string_view format);

  Format(Format&&) noexcept;
  Format& operator=(Format&&) noexcept;
  ~Format();

  void append(std::string& out, const FormatInput& input, TimeCache& time) const;

 private:
  struct Impl;
  explicit Format(std::unique_ptr<Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace weir::proxy
