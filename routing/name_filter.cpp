// SPDX-License-Identifier: Apache-2.0
#include "routing/name_filter.h"

#include <memory>
#include <re2/re2.h>

#include "base/text.h"

namespace weir::routing {

namespace {
constexpr std::size_t kMaxExpression = 512;
constexpr std::int64_t kMaxMemory = 1 << 20;
}  // namespace

Result<std::function<bool(std::string_view)>> compile_name_filter(std::string_view expression, bool full) {
  if (expression.empty()) return [](std::string_view) { return true; };
  if (expression.size() > kMaxExpression)
    return fail(ErrorCode::usage, "the expression has {} bytes, at most {}", expression.size(), kMaxExpression);
  re2::RE2::Options options(re2::RE2::Quiet);
  options.set_max_mem(kMaxMemory);
  auto regex = std::make_shared<re2::RE2>(re2::StringPiece(expression.data(), expression.size()), options);
  if (!regex->ok())
    return fail(ErrorCode::usage, "\"{}\" is no regular expression: {}", printable(expression), printable(regex->error()));
  return [regex, full](std::string_view name) {
    re2::StringPiece text(name.data(), name.size());
    return full ? re2::RE2::FullMatch(text, *regex) : re2::RE2::PartialMatch(text, *regex);
  };
}

}  // namespace weir::routing
