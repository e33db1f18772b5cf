// SPDX-License-Identifier: Apache-2.0
// Where in a YAML text a value begins and ends: the reader knows only beginnings. Pure.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "mesh-rules/yaml.h"

namespace weir::ctl {

/// A list or map in brackets, as text.
struct FlowText {
  struct Piece {
    std::size_t begin = 0, end = 0;  ///< without blanks and comments around
  };
  std::size_t open = 0, close = 0;  ///< its brackets
  std::vector<Piece> pieces;        ///< what stands between its commas
};

class YamlText {
 public:
  explicit YamlText(std::string_view text);

  std::string_view text() const { return text_; }
  std::string_view end_of_line() const { return end_of_line_; }  ///< the first line's: "\n" or "\r\n"
  std::size_t offset(int line, int column) const;
  int line_at(std::size_t offset) const;
  std::string_view line(int number) const;            ///< without its end
  std::size_t end_of(int line) const;                 ///< offset behind its last byte, before its end
  int indent(int line) const;                         ///< leading blanks
  std::string_view margin(int line) const;            ///< leading blanks and tabs
  bool is_first_on_line(int line, int column) const;  ///< nothing but blanks before it

  /// The last line of what begins there; `column`: of the map's keys or the list's dashes that it belongs to. Comments that stand
  /// further right belong to it.
  int last_line(const mesh::yaml::Node& node, int line, int key_column, int column) const;
  /// The dashes' column of a list without brackets that is not empty; nullopt: its layout is an odd one.
  std::optional<int> dash_column(const mesh::yaml::Node& list) const;
  /// Nullopt: no bracket, or no end was found.
  std::optional<FlowText> flow(const mesh::yaml::Node& node) const;

 private:
  int last_item_line(const mesh::yaml::Node& list) const;
  int last_leaf_line(const mesh::yaml::Node& node, int line, int column) const;

  std::string_view text_, end_of_line_;
  std::vector<std::size_t> starts_;  ///< of line i + 1
};

/// A value that stands before its key is written elsewhere: an alias.
bool stands_before(const mesh::yaml::Node& node, int line, int column);

}  // namespace weir::ctl
