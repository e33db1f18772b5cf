// SPDX-License-Identifier: Apache-2.0
// Errors as values. Every function that can fail across a room's border returns Result<T>.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace weir {

/// What kind of failure it is, so that a main can choose its exit code without reading the text.
enum class ErrorCode {
  usage,         ///< flags, environment or configuration are wrong: exit code 1
  environment,   ///< the machine lacks something: capability, kernel feature, file, port: exit code 2
  io,            ///< a system call or a peer failed: exit code 2
  protocol,      ///< a peer sent what its protocol does not allow: exit code 2
  check_failed,  ///< what is there is not what was planned: exit code 126, as istio-iptables' validation
  cancelled,     ///< given up on purpose (shutdown, timeout of the caller)
  internal,      ///< a bug of ours that could be reported instead of asserted
};

/// One failure: a sentence for people, the errno it came from (0 if none), and the contexts it passed through.
class Error {
 public:
  Error(ErrorCode code, std::string message, int sys_errno = 0) : code_(code), errno_(sys_errno), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  int sys_errno() const { return errno_; }
  /// The innermost sentence, without contexts.
  const std::string& message() const { return message_; }

  /// Adds the step that was being done, outermost last: `Error("no such file").within("reading rules")`.
  Error&& within(std::string context) &&;
  Error& within(std::string context) &;

  /// "outer: inner: message", ready for a person.
  std::string to_text() const;

 private:
  ErrorCode code_;
  int errno_;
  std::string message_;
  std::vector<std::string> contexts_;
};

/// Alias, so that C++23's std::expected can replace tl::expected later.
template <class T = void>
using Result = tl::expected<T, Error>;

/// `return fail(ErrorCode::usage, "port {} is too large", p);`
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

/// Text of an errno value, thread-safe.
std::string errno_text(int sys_errno);

/// errno plus a formatted context in one expression; the code is io unless errno says that a privilege or feature is missing.
/// `sys_errno` must be captured by the caller before anything else runs: `return fail_errno(errno, "bind {}", addr);`
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail_errno(int sys_errno, fmt::format_string<Args...> format, Args&&... args) {
  ErrorCode code = (sys_errno == EPERM || sys_errno == EACCES || sys_errno == EOPNOTSUPP || sys_errno == EPROTONOSUPPORT ||
                    sys_errno == EAFNOSUPPORT)
                       ? ErrorCode::environment
                       : ErrorCode::io;
  return tl::unexpected<Error>(
      Error(code, fmt::format("{}: {}", fmt::format(format, std::forward<Args>(args)...), errno_text(sys_errno)), sys_errno));
}

/// Passes an error on, with the step that was being done: `return pass(r.error(), "applying the plan");`
[[nodiscard]] inline tl::unexpected<Error> pass(Error error) { return tl::unexpected<Error>(std::move(error)); }
[[nodiscard]] inline tl::unexpected<Error> pass(Error error, std::string context) {
  return tl::unexpected<Error>(std::move(error).within(std::move(context)));
}

/// For tear-down, which tries everything and reports everything.
class ErrorList {
 public:
  void add(Error error) { errors_.push_back(std::move(error)); }
  template <class T>
  void add_if_failed(const Result<T>& result) {
    if (!result) errors_.push_back(result.error());
  }
  bool empty() const { return errors_.empty(); }
  const std::vector<Error>& errors() const { return errors_; }
  /// Success if empty; otherwise one error whose text lists all, with the code of the first.
  Result<> to_result() const;

 private:
  std::vector<Error> errors_;
};

/// Exit code of a program for a failure: see docs of ErrorCode.
int exit_code(const Error& error);

}  // namespace weir
