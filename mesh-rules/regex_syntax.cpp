// SPDX-License-Identifier: Apache-2.0
// RE2's grammar, read without RE2.
#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/utf8.h"
#include "mesh-rules/syntax.h"

namespace weir::mesh {
namespace {

bool is_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

bool is_one_of(std::string_view word, auto&& words) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

constexpr int kMaxDepth = 100;
constexpr int kMaxRepeat = 1000;
/// Instructions, roughly; Istio's bootstrap refuses above 32768.
constexpr std::uint64_t kMaxSize = 16'000;

/// A reader of RE2's grammar. Each method returns what it read costs: its size and its nested repetitions.
class RegexReader {
 public:
  explicit RegexReader(std::string_view text) : text_(text) {}

  RegexCheck run() {
    if (!is_utf8(text_)) return {"it is not UTF-8", 0};
    Cost cost = alternatives(0);
    if (problem_.empty() && at_ < text_.size()) fail("a closing parenthesis without an opening one");
    if (problem_.empty() && cost.size > kMaxSize) problem_ = "it is too large for a proxy";
    return {problem_, groups_};
  }

 private:
  struct Cost {
    std::uint64_t size = 0;
    int repeat = 1;
  };

  void fail(std::string what) {
    if (problem_.empty()) problem_ = fmt::format("{} at position {}", what, at_ + 1);
    at_ = text_.size();
  }
  bool more() const { return at_ < text_.size(); }
  char peek() const { return more() ? text_[at_] : '\0'; }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Cost alternatives(int depth) {
    if (depth > kMaxDepth) fail("nested too deeply");
    Cost total;
    while (more() && peek() != ')') {
      Cost one = sequence(depth);
      total.size += one.size + 1;
      total.repeat = std::max(total.repeat, one.repeat);
      if (!take("|")) break;
    }
    return total;
  }

  Cost sequence(int depth) {
    Cost total;
    while (more() && peek() != '|' && peek() != ')') {
      if (std::string_view("*+?").find(peek()) != std::string_view::npos || counted_length() > 0) {
        fail("nothing to repeat");
        break;
      }
      bool can_repeat = true;
      Cost one = atom(depth, can_repeat);
      repetition(one, can_repeat);
      total.size += one.size;
      total.repeat = std::max(total.repeat, one.repeat);
      if (total.size > kMaxSize) fail("too large for a proxy");
    }
    return total;
  }

  /// Length of "{2}", "{2,}" or "{2,5}" here; 0 if the brace is a letter like any other.
  std::size_t counted_length() const {
    if (peek() != '{') return 0;
    std::size_t at = at_ + 1;
    auto digits = [&] {
      std::size_t begin = at;
      while (at < text_.size() && text_[at] >= '0' && text_[at] <= '9') ++at;
      return at > begin;
    };
    if (!digits()) return 0;
    if (at < text_.size() && text_[at] == ',') {
      ++at;
      digits();
    }
    return at < text_.size() && text_[at] == '}' ? at + 1 - at_ : 0;
  }

  void repetition(Cost& cost, bool can_repeat) {
    std::size_t counted = counted_length();
    bool is_simple = more() && std::string_view("*+?").find(peek()) != std::string_view::npos;
    if (!is_simple && counted == 0) return;
    if (!can_repeat) return fail("nothing to repeat");
    if (is_simple) {
      ++at_;
      cost.size = 2 * cost.size + 1;
    } else {
      count(text_.substr(at_ + 1, counted - 2), cost);
      at_ += problem_.empty() ? counted : 0;
    }
    take("?");
    if (more() && (std::string_view("*+?").find(peek()) != std::string_view::npos || counted_length() > 0))
      fail("a repetition of a repetition");
  }

  void count(std::string_view text, Cost& cost) {
    std::size_t comma = text.find(',');
    std::string_view low = text.substr(0, comma);
    std::string_view high = comma == std::string_view::npos ? low : text.substr(comma + 1);
    auto value = [](std::string_view digits) -> std::optional<std::uint64_t> {
      if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
      return parse_uint(digits, kMaxRepeat);
    };
    std::optional<std::uint64_t> from = value(low);
    std::optional<std::uint64_t> to = high.empty() ? from : value(high);
    if (!from || !to || *to < *from)
      return fail(fmt::format("a bad repetition {{{}}} (at most {}, the smaller first)", text, kMaxRepeat));
    int most = static_cast<int>(std::max<std::uint64_t>(*to, 1));
    cost.repeat *= most;
    cost.size = cost.size * static_cast<std::uint64_t>(most + 1) + 1;
    if (cost.repeat > kMaxRepeat) fail(fmt::format("nested repetitions of more than {}", kMaxRepeat));
  }

  Cost atom(int depth, bool& can_repeat) {
    switch (peek()) {
      case '(': return group(depth, can_repeat);
      case '[': return {char_class(), 1};
      case '\\': return {escape_outside(), 1};
      case '.': ++at_; return {12, 1};
      default: {
        ++at_;
        while (more() && (static_cast<unsigned char>(text_[at_]) & 0xC0U) == 0x80) ++at_;
        return {4, 1};  // up to two cases of up to four bytes
      }
    }
  }

  Cost group(int depth, bool& can_repeat) {
    ++at_;
    if (take("?")) {
      if (take("P<")) {
        std::size_t begin = at_;
        while (more() && (is_alnum(peek()) || peek() == '_')) ++at_;
        std::string name(text_.substr(begin, at_ - begin));
        if (name.empty() || !take(">")) return fail("a bad group name"), Cost{};
        if (std::find(group_names_.begin(), group_names_.end(), name) != group_names_.end())
          return fail("a group name twice"), Cost{};
        group_names_.push_back(std::move(name));
        ++groups_;
      } else if (!flags(can_repeat)) {
        return {};
      } else if (!can_repeat) {
        return {};  // (?i) alone: nothing to repeat, and nothing in it
      }
    } else {
      ++groups_;
    }
    Cost inner = alternatives(depth + 1);
    if (!take(")")) fail("a missing closing parenthesis");
    inner.size += 2;
    return inner;
  }

  /// After "(?": "i:", "-s:", "i)". False if it is something that RE2 does not have (lookaround, comments …).
  bool flags(bool& can_repeat) {
    bool any = false;
    bool is_negated = false;
    while (more()) {
      char c = text_[at_++];
      if (c == ':') return true;
      if (c == ')' && any) {
        can_repeat = false;
        return true;
      }
      if (c == '-' && !is_negated) {
        is_negated = true;
        any = false;
      } else if (std::string_view("imsU").find(c) != std::string_view::npos) {
        any = true;
      } else {
        break;
      }
      if (is_negated && more() && peek() == ':' && !any) break;
    }
    fail("a group of a kind that RE2 does not have (no lookahead, no lookbehind)");
    return false;
  }

  std::uint64_t escape_outside() {
    if (take("\\Q")) {
      std::size_t end = text_.find("\\E", at_);
      std::uint64_t length = (end == std::string_view::npos ? text_.size() : end) - at_;
      at_ = end == std::string_view::npos ? text_.size() : end + 2;
      if (length == 0) fail("an empty quotation");
      return 4 * length;
    }
    if (text_.size() > at_ + 1 && std::string_view("ACbBz").find(text_[at_ + 1]) != std::string_view::npos) {
      at_ += 2;
      return 2;
    }
    std::uint64_t size = 0;
    if (named_class(size)) return size;
    char32_t ignored = 0;
    escape(ignored);
    return 4;
  }

  /// \d, \W, \pL, \p{Greek} …: true if one was read.
  bool named_class(std::uint64_t& size) {
    if (text_.size() < at_ + 2) return false;
    char c = text_[at_ + 1];
    if (std::string_view("dDsSwW").find(c) != std::string_view::npos) {
      at_ += 2;
      size = 20;
      return true;
    }
    if (c != 'p' && c != 'P') return false;
    at_ += 2;
    size = 1'500;  // some scripts have hundreds of ranges
    std::string_view name = text_.substr(at_, 1);
    if (take("{")) {
      std::size_t end = text_.find('}', at_);
      name = end == std::string_view::npos ? std::string_view() : text_.substr(at_, end - at_);
      if (name.starts_with('^')) name.remove_prefix(1);
      at_ = end == std::string_view::npos ? text_.size() : end + 1;
    } else if (more()) {
      ++at_;
    }
    static constexpr std::string_view kNames[] = {
        "L",      "Lu",     "Ll",   "Lt",     "Lm",         "Lo",       "M",        "Mn",  "Mc",       "Me",
        "N",      "Nd",     "Nl",   "No",     "P",          "Pc",       "Pd",       "Ps",  "Pe",       "Pi",
        "Pf",     "Po",     "S",    "Sm",     "Sc",         "Sk",       "So",       "Z",   "Zs",       "Zl",
        "Zp",     "C",      "Cc",   "Cf",     "Latin",      "Greek",    "Cyrillic", "Han", "Hiragana", "Katakana",
        "Arabic", "Hebrew", "Thai", "Hangul", "Devanagari", "Armenian", "Georgian"};
    if (!is_one_of(name, kNames)) fail("an unknown class of characters");
    return true;
  }

  /// One escaped character that is not a class.
  void escape(char32_t& out) {
    ++at_;
    if (!more()) return fail("a backslash at the end");
    char c = text_[at_++];
    out = static_cast<unsigned char>(c);
    auto is_octal = [this] { return more() && peek() >= '0' && peek() <= '7'; };
    auto hex = [](char digit) -> int {
      if (digit >= '0' && digit <= '9') return digit - '0';
      char lower = to_lower(digit);
      return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
    };
    static constexpr std::string_view kControls = "afnrtv";
    static constexpr std::array<char32_t, 6> kValues = {7, 12, 10, 13, 9, 11};
    if (std::size_t at = kControls.find(c); at != std::string_view::npos) {
      out = kValues[at];
    } else if (c >= '0' && c <= '7') {
      if (c != '0' && !is_octal()) return fail("a reference to a group, which RE2 does not have");
      out = static_cast<char32_t>(c - '0');
      for (int i = 0; i < 2 && is_octal(); ++i) out = out * 8 + static_cast<char32_t>(text_[at_++] - '0');
    } else if (c == 'x') {
      bool is_braced = take("{");
      out = 0;
      int digits = 0;
      while (more() && hex(peek()) >= 0 && digits < (is_braced ? 6 : 2)) {
        out = out * 16 + static_cast<char32_t>(hex(text_[at_++]));
        ++digits;
      }
      bool is_whole = is_braced ? digits > 0 && take("}") : digits == 2;
      if (!is_whole || out > 0x10FFFF) fail("a bad \\x escape");
    } else if (is_alnum(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80) {
      fail(fmt::format("an escape \\{} that RE2 does not have", is_alnum(c) ? std::string(1, c) : "…"));
    }
  }

  /// One character of a class.
  char32_t class_character() {
    char32_t out = 0;
    if (peek() == '\\') {
      escape(out);
      return out;
    }
    unsigned char first = static_cast<unsigned char>(text_[at_++]);
    if (first < 0x80) return first;
    out = first & (first >= 0xF0 ? 0x07U : first >= 0xE0 ? 0x0FU : 0x1FU);
    while (more() && (static_cast<unsigned char>(peek()) & 0xC0U) == 0x80)
      out = (out << 6) | (static_cast<unsigned char>(text_[at_++]) & 0x3FU);
    return out;
  }

  std::uint64_t char_class() {
    ++at_;
    std::uint64_t size = take("^") ? 40 : 12;
    bool is_first = true;
    while (more() && (is_first || peek() != ']')) {
      is_first = false;
      if (text_.substr(at_).starts_with("[:")) {
        std::size_t end = text_.find(":]", at_ + 2);
        std::string_view name = end == std::string_view::npos ? std::string_view() : text_.substr(at_ + 2, end - at_ - 2);
        if (name.starts_with('^')) name.remove_prefix(1);
        static constexpr std::string_view kNames[] = {"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph",
                                                      "lower", "print", "punct", "space", "upper", "word",  "xdigit"};
        if (!is_one_of(name, kNames)) return fail("an unknown class of characters"), size;
        at_ = end + 2;
        size += 20;
        continue;
      }
      std::uint64_t named = 0;
      if (peek() == '\\' && named_class(named)) {
        size += named;
        continue;
      }
      char32_t low = class_character();
      size += 16;
      if (peek() != '-' || at_ + 1 >= text_.size() || text_[at_ + 1] == ']') continue;
      ++at_;
      char32_t high = class_character();
      if (high < low) return fail("a range whose end is before its begin"), size;
    }
    if (!take("]")) fail("a missing closing bracket");
    return size;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string problem_;
  int groups_ = 0;
  std::vector<std::string> group_names_;
};

}  // namespace

RegexCheck check_regex(std::string_view pattern) { return RegexReader(pattern).run(); }

}  // namespace weir::mesh
