// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/json_span.h"

#include <algorithm>

namespace weir::cni {

namespace {

/// Walks through valid JSON (RFC 8259); at the text's end it stays there.
class Walker {
 public:
  Walker(std::string_view text, std::size_t at) : text_(text), at_(at) {}

  char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  std::size_t at() const { return at_; }
  void step() { at_ += at_ < text_.size() ? 1 : 0; }
  void blanks() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  Span string() {
    const std::size_t begin = at_;
    step();
    while (at_ < text_.size() && here() != '"') {
      if (here() == '\\') step();
      step();
    }
    step();
    return {begin, at_};
  }

  /// One value, whatever it is.
  Span value() {
    const std::size_t begin = at_;
    if (here() == '"') return string();
    if (here() != '{' && here() != '[') {
      at_ = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
      return {begin, at_};
    }
    int depth = 0;
    do {
      if (here() == '"') {
        string();
        continue;
      }
      if (here() == '{' || here() == '[') ++depth;
      if (here() == '}' || here() == ']') --depth;
      step();
    } while (depth > 0 && at_ < text_.size());
    return {begin, at_};
  }

 private:
  std::string_view text_;
  std::size_t at_;
};

}  // namespace

std::optional<Span> member(std::string_view text, std::string_view name) {
  std::optional<Span> found;
  Walker walker(text, 0);
  walker.blanks();
  if (walker.here() != '{') return std::nullopt;
  walker.step();
  for (walker.blanks(); walker.here() == '"'; walker.blanks()) {
    const std::string_view key = walker.string().in(text);
    walker.blanks();
    walker.step();  // the colon
    walker.blanks();
    const Span value = walker.value();
    if (key.substr(1, key.size() - 2) == name) found = value;
    walker.blanks();
    if (walker.here() == ',') walker.step();
  }
  return found;
}

std::vector<Span> elements(std::string_view text, Span array) {
  std::vector<Span> found;
  Walker walker(text, array.begin + 1);
  for (walker.blanks(); walker.at() + 1 < array.end; walker.blanks()) {
    found.push_back(walker.value());
    walker.blanks();
    if (walker.here() != ',') break;
    walker.step();
  }
  return found;
}

}  // namespace weir::cni
