// SPDX-License-Identifier: Apache-2.0
#include "ctl/yaml_text.h"

#include <algorithm>

namespace weir::ctl {

namespace {

using mesh::yaml::Node;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// Behind a quoted scalar that begins at `at`; the text's size if it does not end.
std::size_t behind_quoted(std::string_view text, std::size_t at) {
  const char quote = text[at++];
  for (; at < text.size(); ++at) {
    if (text[at] == '\\' && quote == '"') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '\'' && at + 1 < text.size() && text[at + 1] == '\'') {
        ++at;
        continue;
      }
      return at + 1;
    }
  }
  return text.size();
}

}  // namespace

bool stands_before(const Node& node, int line, int column) {
  return node.line < line || (node.line == line && node.column < column);
}

YamlText::YamlText(std::string_view text) : text_(text) {
  starts_.push_back(text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) starts_.push_back(at + 1);
  const std::size_t first_end = text.find('\n');
  end_of_line_ = first_end != std::string_view::npos && first_end > 0 && text[first_end - 1] == '\r' ? "\r\n" : "\n";
}

std::size_t YamlText::offset(int line, int column) const {
  const std::size_t index = std::clamp<std::size_t>(static_cast<std::size_t>(std::max(line, 1)) - 1, 0, starts_.size() - 1);
  return std::min(starts_[index] + static_cast<std::size_t>(std::max(column, 0)), text_.size());
}

int YamlText::line_at(std::size_t offset) const {
  return static_cast<int>(std::upper_bound(starts_.begin(), starts_.end(), offset) - starts_.begin());
}

std::size_t YamlText::end_of(int line) const {
  const std::size_t start = offset(line, 0);
  std::size_t end = text_.find('\n', start);
  if (end == std::string_view::npos) end = text_.size();
  return end > start && text_[end - 1] == '\r' ? end - 1 : end;
}

std::string_view YamlText::line(int number) const {
  const std::size_t start = offset(number, 0);
  return text_.substr(start, end_of(number) - start);
}

int YamlText::indent(int number) const {
  const std::string_view text = line(number);
  return static_cast<int>(std::min(text.find_first_not_of(' '), text.size()));
}

std::string_view YamlText::margin(int number) const {
  const std::string_view text = line(number);
  return text.substr(0, std::min(text.find_first_not_of(" \t"), text.size()));
}

bool YamlText::is_first_on_line(int number, int column) const { return indent(number) == column; }

int YamlText::last_leaf_line(const Node& node, int line, int column) const {
  if (node.is_null() || stands_before(node, line, column)) return line;
  if (node.flow) {
    const auto brackets = flow(node);
    return brackets ? line_at(brackets->close) : node.line;
  }
  if (node.is_map() && !node.entries.empty()) {
    const auto& last = node.entries.back();
    return last_leaf_line(*last.value, last.line, last.column);
  }
  if (node.is_list() && !node.items.empty()) return last_item_line(node);
  return node.line;
}

int YamlText::last_item_line(const Node& list) const {
  const Node& item = *list.items.back();
  if (!stands_before(item, list.line, list.column)) return last_leaf_line(item, list.line, list.column);
  // An alias: the reader knows where its anchor is, not where it stands itself. So the last of the lines with dashes.
  int last = list.line;
  for (int next = last + 1; next <= static_cast<int>(starts_.size()); ++next) {
    const auto blanks = static_cast<std::size_t>(indent(next));
    const std::string_view text = line(next);
    if (blanks == text.size()) continue;
    if (indent(next) < list.column || (indent(next) == list.column && text[blanks] != '-')) break;
    last = next;
  }
  return last;
}

int YamlText::last_line(const Node& node, int line, int key_column, int column) const {
  int last = last_leaf_line(node, line, key_column);
  for (int next = last + 1; next <= static_cast<int>(starts_.size()); ++next) {
    const int blanks = indent(next);
    if (blanks == static_cast<int>(this->line(next).size())) continue;
    if (blanks <= column) break;
    last = next;
  }
  return last;
}

std::optional<int> YamlText::dash_column(const Node& list) const {
  const std::size_t at = offset(list.line, list.column);
  if (list.anchored || at >= text_.size() || text_[at] != '-' || !is_first_on_line(list.line, list.column)) return std::nullopt;
  return list.column;
}

std::optional<FlowText> YamlText::flow(const Node& node) const {
  if (!node.flow || node.anchored) return std::nullopt;
  FlowText found;
  found.open = offset(node.line, node.column);
  if (found.open >= text_.size() || (text_[found.open] != '{' && text_[found.open] != '[')) return std::nullopt;
  std::size_t depth = 0;
  char before = ',';  // the last character that means something
  FlowText::Piece piece;
  auto take = [&](std::size_t begin, std::size_t end) {
    if (piece.end == 0) piece.begin = begin;
    piece.end = end;
  };
  auto finish_piece = [&] {
    if (piece.end != 0) found.pieces.push_back(piece);
    piece = {};
  };
  for (std::size_t at = found.open; at < text_.size(); ++at) {
    const char c = text_[at];
    if (is_blank(c)) continue;
    if (c == '#' && is_blank(text_[at - 1])) {
      at = std::min(text_.find('\n', at), text_.size());
      continue;
    }
    const bool begins = before == '{' || before == '[' || before == ',' || before == ':';
    if ((c == '"' || c == '\'') && begins) {
      const std::size_t end = behind_quoted(text_, at);
      take(at, end);
      at = end - 1;
    } else if (c == '{' || c == '[') {
      if (depth++ > 0) take(at, at + 1);
    } else if (c == '}' || c == ']') {
      if (--depth == 0) {
        finish_piece();
        found.close = at;
        return found;
      }
      take(at, at + 1);
    } else if (c == ',' && depth == 1) {
      finish_piece();
    } else {
      take(at, at + 1);
    }
    before = c;
  }
  return std::nullopt;
}

}  // namespace weir::ctl
