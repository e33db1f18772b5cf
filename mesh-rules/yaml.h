// SPDX-License-Identifier: Apache-2.0
// YAML as a tree of nodes with their places in the text; for the readers of this room, and for whoever edits such texts. yaml-cpp
// is used for its events only (its own nodes keep duplicate keys silently and know nothing of lines after a merge); its
// exceptions stay in yaml.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/problem.h"

namespace weir::mesh::yaml {

inline constexpr std::size_t kMaxText = 8U << 20;
inline constexpr std::size_t kMaxDepth = 64;
inline constexpr std::size_t kMaxNodes = 500'000;  ///< with aliases expanded

struct Node;
using NodePtr = std::shared_ptr<const Node>;

struct Entry {
  std::string key;
  int line = 0;
  int column = 0;  ///< of the key; see Node
  NodePtr value;
};

struct Node {
  enum class Kind : std::uint8_t { null, scalar, list, map } kind = Kind::null;
  int line = 0;                ///< where it begins, its anchor or tag included; an alias' node stands where its anchor does
  int column = 0;              ///< bytes before it in its line; the first is 0. The mark of a file's beginning does not count
  bool flow = false;           ///< list or map in brackets
  bool anchored = false;       ///< has an anchor
  std::string text;            ///< scalar
  bool quoted = false;         ///< scalar in quotes or a block: always a string
  std::vector<NodePtr> items;  ///< list
  std::vector<Entry> entries;  ///< map, duplicates included
  std::size_t size = 1;        ///< nodes below and including this one, aliases expanded

  bool is_null() const { return kind == Kind::null; }
  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_list() const { return kind == Kind::list; }
  bool is_map() const { return kind == Kind::map; }
  /// The first entry of that key, null if none (also if this is not a map). A null value counts as none, as in Kubernetes.
  const Node* find(std::string_view key) const;
  /// Text of the scalar under a key, "" if there is none.
  std::string_view text_of(std::string_view key) const;
};

/// A list's items but for null ones, which readers refuse and leave out: item i is what element i was read from. Empty if there
/// is no list.
std::vector<const Node*> items_read(const Node* list);

/// What a plain scalar means in YAML 1.1, as Kubernetes reads it.
enum class Plain : std::uint8_t { string, boolean, integer, floating };
Plain meaning(const Node& scalar);

struct Documents {
  std::vector<NodePtr> documents;  ///< empty ones left out
  std::vector<Problem> problems;   ///< documents that are not YAML, or too large; `where` has file and line
};

/// Documents are cut apart at their `---` lines first, so that a broken one does not take its neighbours with it.
Documents read(std::string_view file, std::string_view text);

struct Duplicate {
  int line = 0;
  int first_line = 0;
  std::string path;  ///< "spec.http[0].timeout"
};
/// All repeated keys below a node.
std::vector<Duplicate> duplicates(const Node& root);

}  // namespace weir::mesh::yaml
