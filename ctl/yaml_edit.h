// SPDX-License-Identifier: Apache-2.0
// Changes a YAML (or JSON) text in place: what is not changed keeps its bytes, with comments, order and quoting. Pure.
//
// Each change is written down twice: as an edit of the text, and on the values that were read. When all is done the new text is
// read again and must come to those values: what cannot be edited safely (a list that an alias shares, an odd layout) is an
// error, never a damaged file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/json/fwd.hpp>

#include "base/result.h"
#include "mesh-rules/yaml.h"

namespace weir::ctl {

/// A value within the text, and the way to it. Valid as long as its YamlEdit.
struct Place {
  using Step = std::variant<std::string, std::size_t>;  ///< a map's key, a list's index
  std::vector<Step> path;                               ///< the first is the number of the document
  const mesh::yaml::Node* node = nullptr;               ///< never null in a Place that somebody got
  int line = 0, column = 0;                             ///< of its key, or of itself in a list
  bool by_alias = false;                                ///< it, or what it is in, is written somewhere else (*name)

  /// Null values count, so that they can be filled; repeated keys: the last.
  std::optional<Place> find(std::string_view key) const;
  Place item(std::size_t index) const;  ///< index must be one of the list's
  /// "spec.containers[0]", without the document.
  std::string to_text() const;
};

class YamlEdit {
 public:
  /// `text` must have been read by mesh::yaml::read without problems, as `documents`.
  YamlEdit(std::string text, std::vector<mesh::yaml::NodePtr> documents);
  ~YamlEdit();
  YamlEdit(YamlEdit&&) noexcept;

  std::size_t size() const;
  Place document(std::size_t index) const;

  // What is changed is what was read: not what another change has put in. Errors (usage): this place cannot be edited.

  /// Puts items before a list's first, or behind its last.
  Result<> insert(const Place& list, bool first, const boost::json::array& items);
  /// Puts entries behind a map's last; the keys must be new.
  Result<> append(const Place& map, const boost::json::object& entries);
  /// Gives "key:", behind which nothing stands, a value, which must be a map or a list.
  Result<> fill(const Place& null, const boost::json::value& value);
  /// Replaces a scalar by other words; returns how it was written.
  Result<std::string> replace(const Place& scalar, const std::string& written);
  Result<> remove_items(const Place& list, std::size_t first, std::size_t count);
  Result<> remove_entries(const Place& map, const std::vector<std::string>& keys);

  /// An error of somebody's who cannot go on at a place: so that failed_line() knows.
  tl::unexpected<Error> refuse(const Place& place, std::string_view why);
  /// Of the last of these errors.
  int failed_line() const;
  /// Where a line of the new text stood, if all that was done is taking away.
  int line_before(int line) const;
  /// The new text. The error (usage) names the first place where it would not mean what it should.
  Result<std::string> finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir::ctl
