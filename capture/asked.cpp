// SPDX-License-Identifier: Apache-2.0
#include "capture/asked.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace weir::capture {

namespace {

constexpr std::size_t kMostBytes = 4000;
constexpr std::size_t kBytesOfPiece = 100;  // with "flags 12/34: " it must fit a step's why
constexpr std::string_view kWord = "flags ";
constexpr std::string_view kTooLong = "flags: too long to be kept here";

bool is_plain(char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\' && c != '%'; }

std::string encoded(std::string_view value) {
  std::string text;
  for (char c : value) text += is_plain(c) ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return text;
}

std::string decoded(std::string_view text) {
  std::string value;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && std::isxdigit(static_cast<unsigned char>(text[i + 1])) != 0 &&
        std::isxdigit(static_cast<unsigned char>(text[i + 2])) != 0) {
      const auto digit = [](char c) { return c >= 'A' ? to_lower(c) - 'a' + 10 : c - '0'; };
      value += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      value += text[i];
    }
  }
  return value;
}

std::string key_of(const Option& option) {
  return std::string(option.long_name.empty() ? option.environment.front() : option.long_name);
}

const Option* find_option(std::string_view key) {
  for (const Option& option : options())
    if (key_of(option) == key) return &option;
  return nullptr;
}

AskedOptions all_given(const std::map<std::string, std::string>& flags, const std::map<std::string, std::string>& environment) {
  AskedOptions given;
  for (const Option& option : options()) {
    if (auto flag = flags.find(std::string(option.long_name)); !option.long_name.empty() && flag != flags.end()) {
      given[key_of(option)] = flag->second;
      continue;
    }
    for (std::string_view variable : option.environment)
      if (auto found = environment.find(std::string(variable)); found != environment.end() && !found->second.empty()) {
        given[key_of(option)] = found->second;
        break;
      }
  }
  return given;
}

bool makes(const AskedOptions& asked, const CapturePolicy& policy, const Accounts& accounts) {
  const ParseOutcome outcome = parse_options(asked, accounts);
  return !has_errors(outcome.problems) && outcome.parsed.policy == policy;
}

}  // namespace

ParseOutcome parse_options(const AskedOptions& asked, const Accounts& accounts) {
  std::map<std::string, std::string> flags, environment;
  for (const auto& [key, value] : asked) {
    const Option* option = find_option(key);
    (option != nullptr && option->long_name.empty() ? environment : flags)[key] = value;
  }
  return parse_options(flags, environment, accounts);
}

AskedOptions asked_options(const std::map<std::string, std::string>& flags, const std::map<std::string, std::string>& environment,
                           const Accounts& accounts) {
  AskedOptions asked = all_given(flags, environment);
  const CapturePolicy policy = parse_options(flags, environment, accounts).parsed.policy;
  asked["proxy-uid"] = fmt::format("{}", fmt::join(policy.proxy_uids, ","));
  asked["proxy-gid"] = fmt::format("{}", fmt::join(policy.proxy_gids, ","));
  std::size_t bytes = 0;
  for (const auto& [key, value] : asked) bytes += key.size() + value.size();
  if (bytes > kMostBytes) return asked;  // not kept anyway: see keep_asked
  for (auto each = asked.begin(); each != asked.end();) {
    AskedOptions without = asked;
    without.erase(each->first);
    each = makes(without, policy, accounts) ? asked.erase(each) : std::next(each);
  }
  return asked;
}

std::string to_text(const AskedOptions& asked) {
  std::string text;
  for (const Option& option : options()) {  // in the order of --help
    auto found = asked.find(key_of(option));
    if (found == asked.end()) continue;
    if (!text.empty()) text += ' ';
    text += fmt::format("{}{}={}", option.long_name.empty() ? "" : "--", found->first, encoded(found->second));
  }
  return text;
}

Result<AskedOptions> parse_asked(std::string_view text) {
  AskedOptions asked;
  for (std::string_view word : split(text, ' ')) {
    if (word.empty()) continue;
    const auto equals = word.find('=');
    const std::string_view key = word.substr(word.starts_with("--") ? 2 : 0, equals - (word.starts_with("--") ? 2 : 0));
    if (equals == std::string_view::npos || find_option(key) == nullptr)
      return fail(ErrorCode::usage, "\"{}\" is not an option that this weir-init knows", printable(word));
    asked[std::string(key)] = decoded(word.substr(equals + 1));
  }
  return asked;
}

void keep_asked(CapturePlan& plan, std::string_view text) {
  if (plan.steps.empty()) return;
  auto keep = [&](std::string why) {
    plan.steps.push_back(
        {.chain = Chain::kept_flags, .match = {}, .verdict = Verdict::pass, .redirect_port = 0, .why = std::move(why)});
  };
  if (text.size() > kMostBytes) {
    keep(std::string(kTooLong));
    return;
  }
  const std::size_t count = std::max<std::size_t>(1, (text.size() + kBytesOfPiece - 1) / kBytesOfPiece);
  for (std::size_t i = 0; i < count; ++i)
    keep(fmt::format("{}{}/{}: {}", kWord, i + 1, count, text.substr(std::min(i * kBytesOfPiece, text.size()), kBytesOfPiece)));
}

Result<std::string> kept_asked(const std::vector<std::string>& comments) {
  if (comments.empty()) return fail(ErrorCode::environment, "the rules do not keep the flags they were made of");
  if (comments.front() == kTooLong)
    return fail(ErrorCode::environment, "the flags that the rules were made of were too long to be kept with them");
  std::string text;
  for (std::size_t i = 0; i < comments.size(); ++i) {
    const std::string begin = fmt::format("{}{}/{}: ", kWord, i + 1, comments.size());
    if (!comments[i].starts_with(begin))
      return fail(ErrorCode::environment, "the flags that the rules keep are damaged: \"{}\" stands where \"{}…\" should",
                  printable(comments[i]), begin);
    text += comments[i].substr(begin.size());
  }
  return text;
}

}  // namespace weir::capture
