// SPDX-License-Identifier: Apache-2.0
#include "base/duration.h"

#include <array>
#include <cstdint>

#include "base/text.h"

namespace weir {

namespace {

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};

constexpr std::int64_t kSecond = 1'000'000'000;

// Two-letter units first, so that "ms" is not read as "m" followed by "s".
constexpr std::array<Unit, 7> kUnits = {
    {{"ms", 1'000'000}, {"us", 1'000}, {"µs", 1'000}, {"ns", 1}, {"h", 3600 * kSecond}, {"m", 60 * kSecond}, {"s", kSecond}}};

}  // namespace

Result<Nanoseconds> parse_duration(std::string_view text) {
  auto wrong = [&] {
    return fail(ErrorCode::usage, "\"{}\" is not a duration; write it like 250ms, 1.5s or 1m30s", printable(text));
  };
  std::string_view rest = text;
  if (rest == "0") return Nanoseconds(0);
  if (rest.empty()) return wrong();
  std::int64_t total = 0;
  while (!rest.empty()) {
    std::size_t digits = rest.find_first_not_of("0123456789");
    if (digits == std::string_view::npos) return wrong();
    std::string_view whole = rest.substr(0, digits);
    rest.remove_prefix(digits);
    std::string_view fraction;
    if (rest.front() == '.') {
      rest.remove_prefix(1);
      std::size_t end = rest.find_first_not_of("0123456789");
      if (end == std::string_view::npos) return wrong();
      fraction = rest.substr(0, end);
      rest.remove_prefix(end);
    }
    if (whole.empty() && fraction.empty()) return wrong();
    const Unit* unit = nullptr;
    for (const Unit& candidate : kUnits)
      if (rest.substr(0, candidate.name.size()) == candidate.name) {
        unit = &candidate;
        break;
      }
    if (unit == nullptr) return wrong();
    rest.remove_prefix(unit->name.size());

    std::int64_t part = 0;
    if (!whole.empty()) {
      auto value = parse_uint(whole, INT64_MAX);
      if (!value || __builtin_mul_overflow(static_cast<std::int64_t>(*value), unit->nanoseconds, &part)) return wrong();
    }
    std::int64_t scale = unit->nanoseconds;
    for (char digit : fraction) {
      scale /= 10;
      part += scale * (digit - '0');
    }
    if (__builtin_add_overflow(total, part, &total)) return wrong();
  }
  return Nanoseconds(total);
}

std::string to_text(Nanoseconds duration) {
  std::int64_t left = duration.count();
  if (left == 0) return "0s";
  std::string text;
  if (left < 0) {
    text = "-";
    left = -left;
  }
  auto take = [&](std::int64_t unit, std::string_view name) {
    if (left >= unit) {
      text += std::to_string(left / unit);
      text += name;
      left %= unit;
    }
  };
  take(3600 * kSecond, "h");
  take(60 * kSecond, "m");
  if (left == 0) return text;
  std::int64_t unit = left >= kSecond ? kSecond : left >= 1'000'000 ? 1'000'000 : left >= 1'000 ? 1'000 : 1;
  std::string_view name = unit == kSecond ? "s" : unit == 1'000'000 ? "ms" : unit == 1'000 ? "us" : "ns";
  text += std::to_string(left / unit);
  if (std::int64_t rest = left % unit; rest != 0) {
    std::string fraction = std::to_string(unit + rest).substr(1);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    text += "." + fraction;
  }
  text += name;
  return text;
}

}  // namespace weir
