// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cstring>

namespace weir {

Error&& Error::within(std::string context) && {
  contexts_.push_back(std::move(context));
  return std::move(*this);
}

Error& Error::within(std::string context) & {
  contexts_.push_back(std::move(context));
  return *this;
}

std::string Error::to_text() const {
  std::string text;
  for (auto it = contexts_.rbegin(); it != contexts_.rend(); ++it) {
    text += *it;
    text += ": ";
  }
  return text + message_;
}

std::string errno_text(int sys_errno) {
  char buffer[128];
  return strerror_r(sys_errno, buffer, sizeof buffer);
}

Result<> ErrorList::to_result() const {
  if (errors_.empty()) return {};
  std::string text;
  for (const Error& error : errors_) {
    if (!text.empty()) text += "; ";
    text += error.to_text();
  }
  return pass(Error(errors_.front().code(), text, errors_.front().sys_errno()));
}

int exit_code(const Error& error) {
  switch (error.code()) {
    case ErrorCode::usage: return 1;
    case ErrorCode::check_failed: return 126;
    case ErrorCode::environment:
    case ErrorCode::io:
    case ErrorCode::protocol:
    case ErrorCode::cancelled:
    case ErrorCode::internal: return 2;
  }
  return 2;
}

}  // namespace weir
