// SPDX-License-Identifier: Apache-2.0
#include "routing/compile_context.h"

#include <algorithm>

#include <fmt/format.h>
#include <re2/re2.h>

#include "base/text.h"

namespace weir::routing {

namespace {

constexpr int kMaxRegexProgram = 32768;  // as Istio's bootstrap sets re2.max_program_size.error_level

bool is_token(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

}  // namespace

std::string join_path(const std::string& path, std::string_view name) {
  std::string joined = path;
  if (!joined.empty()) joined += '.';
  return joined += name;
}

void CompileContext::error(const std::string& path, std::string message, std::string hint) {
  errors_.push_back({Severity::error, {}, object_, path, std::move(message), std::move(hint)});
}

void CompileContext::not_supported(const std::string& what, const std::string& path, const std::string& message) {
  auto [it, is_new] = seen_.try_emplace(what, unsupported_.size());
  if (is_new) unsupported_.push_back({Severity::warning, {}, object_, path, message, {}});
}

Error CompileContext::to_error() const { return {ErrorCode::protocol, to_text(errors_)}; }

std::shared_ptr<const re2::RE2> CompileContext::regex(const std::string& pattern, const std::string& path) {
  auto [it, is_new] = regexes_.try_emplace(pattern);
  if (!is_new && it->second) return it->second;
  re2::RE2::Options options(re2::RE2::Quiet);
  auto compiled = std::make_shared<const re2::RE2>(pattern, options);
  if (!compiled->ok()) {
    error(path, fmt::format("regex \"{}\" is not valid RE2: {}", printable(pattern), compiled->error()));
  } else if (compiled->ProgramSize() > kMaxRegexProgram) {
    error(path, fmt::format("regex \"{}\" compiles to {} instructions", printable(pattern), compiled->ProgramSize()),
          fmt::format("at most {}", kMaxRegexProgram));
  } else {
    it->second = compiled;
  }
  return it->second;
}

Milliseconds to_milliseconds(const google::protobuf::Duration& duration, const std::string& path, CompileContext& context) {
  constexpr std::int64_t kMaxSeconds = 315'576'000'000;  // google.protobuf.Duration's own limit
  if (duration.seconds() < 0 || duration.nanos() < 0 || duration.seconds() > kMaxSeconds || duration.nanos() > 999'999'999) {
    context.error(path, fmt::format("duration {}s {}ns is out of range", duration.seconds(), duration.nanos()), "use 0s or more");
    return Milliseconds{0};
  }
  // Rounded up: 1 ns must not become "no limit".
  return Milliseconds{duration.seconds() * 1000 + (duration.nanos() + 999'999) / 1'000'000};
}

Fraction to_fraction(const envoy::type::v3::FractionalPercent& percent) {
  using Percent = envoy::type::v3::FractionalPercent;
  std::uint64_t factor = percent.denominator() == Percent::HUNDRED        ? 10'000
                         : percent.denominator() == Percent::TEN_THOUSAND ? 100
                                                                          : 1;
  return {static_cast<std::uint32_t>(std::min<std::uint64_t>(percent.numerator() * factor, 1'000'000))};
}

std::optional<StringMatcher> to_matcher(const envoy::type::matcher::v3::StringMatcher& matcher, const std::string& path,
                                        CompileContext& context) {
  using Kind = StringMatcher::Kind;
  using Pattern = envoy::type::matcher::v3::StringMatcher;
  switch (matcher.match_pattern_case()) {
    case Pattern::kExact: return StringMatcher{Kind::exact, matcher.ignore_case(), matcher.exact(), {}};
    case Pattern::kPrefix: return StringMatcher{Kind::prefix, matcher.ignore_case(), matcher.prefix(), {}};
    case Pattern::kSuffix: return StringMatcher{Kind::suffix, matcher.ignore_case(), matcher.suffix(), {}};
    case Pattern::kContains: return StringMatcher{Kind::contains, matcher.ignore_case(), matcher.contains(), {}};
    case Pattern::kSafeRegex: {
      auto regex = context.regex(matcher.safe_regex().regex(), join_path(path, "safe_regex.regex"));
      if (!regex) return std::nullopt;
      return StringMatcher{Kind::regex, false, matcher.safe_regex().regex(), std::move(regex)};
    }
    default:
      context.error(path, "string matcher without a pattern that weir knows",
                    "use exact, prefix, suffix, contains or safe_regex");
      return std::nullopt;
  }
}

std::optional<RegexRewrite> to_rewrite(const envoy::type::matcher::v3::RegexMatchAndSubstitute& rewrite, const std::string& path,
                                       CompileContext& context) {
  auto regex = context.regex(rewrite.pattern().regex(), join_path(path, "pattern.regex"));
  if (!regex) return std::nullopt;
  std::string why;
  if (!regex->CheckRewriteString(rewrite.substitution(), &why)) {
    context.error(join_path(path, "substitution"), fmt::format("\"{}\": {}", printable(rewrite.substitution()), why));
    return std::nullopt;
  }
  return RegexRewrite{std::move(regex), rewrite.substitution()};
}

HeaderEdits to_edits(const HeaderOptions& add, const HeaderNames& remove, const std::string& path, CompileContext& context) {
  using Option = envoy::config::core::v3::HeaderValueOption;
  HeaderEdits edits;
  for (int i = 0; i < add.size(); ++i) {
    const Option& option = add[i];
    std::string here = fmt::format("{}_to_add[{}].header", path, i);
    const std::string& value = option.header().raw_value().empty() ? option.header().value() : option.header().raw_value();
    if (!is_token(option.header().key()) || equals_ignore_case(option.header().key(), "host")) {
      context.error(here + ".key", fmt::format("header name \"{}\" cannot be set", printable(option.header().key())),
                    "use an ordinary header name; host_rewrite_literal changes the host");
      continue;
    }
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      context.error(here + ".value", fmt::format("header value \"{}\" holds CR, LF or NUL", printable(value)));
      continue;
    }
    if (value.empty() && !option.keep_empty_value()) continue;  // as Envoy: an empty value adds nothing
    auto action = static_cast<HeaderValue::Action>(option.append_action());
    if (option.has_append()) action = option.append().value() ? HeaderValue::Action::append : HeaderValue::Action::overwrite;
    if (!Option::HeaderAppendAction_IsValid(option.append_action())) {
      context.error(here, fmt::format("append_action {} is not known", static_cast<int>(option.append_action())));
    }
    edits.set.push_back({action, option.header().key(), value, value.find('%') != std::string::npos});
  }
  for (int i = 0; i < remove.size(); ++i) {
    if (!is_token(remove[i]) || equals_ignore_case(remove[i], "host")) {
      context.error(fmt::format("{}_to_remove[{}]", path, i),
                    fmt::format("header name \"{}\" cannot be removed", printable(remove[i])));
    }
    edits.remove.push_back(to_lower(remove[i]));
  }
  return edits;
}

}  // namespace weir::routing
