// SPDX-License-Identifier: Apache-2.0
#include "ctl/yaml_edit.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "ctl/yaml_render.h"
#include "ctl/yaml_text.h"

namespace weir::ctl {

namespace json = boost::json;
using mesh::yaml::Node;

namespace {

/// Values as they are compared: what is a string for Kubernetes begins with "s", other scalars with "p".
json::value values_of(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null: return nullptr;
    case Node::Kind::scalar:
      return json::string((mesh::yaml::meaning(node) == mesh::yaml::Plain::string ? "s" : "p") + node.text);
    case Node::Kind::list: {
      json::array list;
      for (const auto& item : node.items) list.push_back(values_of(*item));
      return list;
    }
    case Node::Kind::map: break;
  }
  json::object map;
  for (const auto& entry : node.entries) map[entry.key] = values_of(*entry.value);
  return map;
}

json::value values_of(const json::value& value) {
  if (const auto* text = value.if_string()) return json::string("s" + std::string(text->data(), text->size()));
  if (const auto* array = value.if_array()) {
    json::array list;
    for (const json::value& item : *array) list.push_back(values_of(item));
    return list;
  }
  if (const auto* object = value.if_object()) {
    json::object map;
    for (const auto& [key, member] : *object) map[key] = values_of(member);
    return map;
  }
  if (value.is_null()) return nullptr;
  return json::string("p" + compact_json(value));
}

/// Where two values differ first, by path; "" if nowhere. Maps without order.
std::string difference(const json::value& a, const json::value& b, const std::string& path) {
  if (a.is_object() && b.is_object()) {
    for (const auto& [key, value] : a.get_object()) {
      const std::string below = (path.empty() ? "" : path + ".") + std::string(key);
      const json::value* other = b.get_object().if_contains(key);
      if (other == nullptr) return below;
      if (std::string found = difference(value, *other, below); !found.empty()) return found;
    }
    for (const auto& [key, value] : b.get_object())
      if (!a.get_object().contains(key)) return (path.empty() ? "" : path + ".") + std::string(key);
    return "";
  }
  if (a.is_array() && b.is_array()) {
    for (std::size_t i = 0; i < std::min(a.get_array().size(), b.get_array().size()); ++i)
      if (std::string found = difference(a.get_array()[i], b.get_array()[i], fmt::format("{}[{}]", path, i)); !found.empty())
        return found;
    if (a.get_array().size() == b.get_array().size()) return "";
  } else if (a == b) {
    return "";
  }
  return path.empty() ? "the document" : path;
}

tl::unexpected<Error> unsafe(const Place& place, std::string_view why) {
  return fail(ErrorCode::usage, "{} cannot be edited safely: {}", place.path.size() > 1 ? place.to_text() : "the document", why);
}

constexpr std::string_view kShared = "it is shared by an anchor or an alias; write it out";
constexpr std::string_view kLayout = "its layout is not understood; write it with a line for each key and each dash";

}  // namespace

std::optional<Place> Place::find(std::string_view key) const {
  if (!node->is_map()) return std::nullopt;
  for (auto entry = node->entries.rbegin(); entry != node->entries.rend(); ++entry) {
    if (entry->key != key) continue;
    Place found{path, entry->value.get(), entry->line, entry->column, by_alias};
    found.path.emplace_back(std::string(key));
    found.by_alias = by_alias || (!found.node->is_null() && stands_before(*found.node, found.line, found.column));
    return found;
  }
  return std::nullopt;
}

Place Place::item(std::size_t index) const {
  const Node* child = node->items.at(index).get();
  Place found{path, child, child->line, child->column, by_alias || stands_before(*child, node->line, node->column)};
  found.path.emplace_back(index);
  return found;
}

std::string Place::to_text() const {
  std::string text;
  for (std::size_t i = 1; i < path.size(); ++i) {
    if (const auto* key = std::get_if<std::string>(&path[i]))
      text += (text.empty() ? "" : ".") + printable(*key);
    else
      text += fmt::format("[{}]", std::get<std::size_t>(path[i]));
  }
  return text;
}

struct YamlEdit::State {
  struct Edit {
    std::size_t at = 0, length = 0;
    std::string text;
  };

  tl::unexpected<Error> cannot(const Place& place, std::string_view why) {
    failed_line = place.line;
    return unsafe(place, why);
  }

  State(std::string given, std::vector<mesh::yaml::NodePtr> roots)
      : source(std::move(given)), text(source), documents(std::move(roots)) {
    for (const auto& root : documents) expected.push_back(values_of(*root));
    layout.end_of_line = text.end_of_line();
    for (const auto& root : documents)
      if (const auto offset = dash_offset(*root)) {
        layout.dash_offset = *offset;
        break;
      }
  }

  /// As the first list without brackets has it.
  std::optional<int> dash_offset(const Node& node) const {
    for (const auto& entry : node.entries) {
      if (entry.value->is_list() && !entry.value->flow && !entry.value->items.empty() &&
          !stands_before(*entry.value, entry.line, entry.column))
        if (const auto dash = text.dash_column(*entry.value)) return *dash > entry.column ? 2 : 0;
      if (const auto below = dash_offset(*entry.value)) return below;
    }
    for (const auto& item : node.items)
      if (const auto below = dash_offset(*item)) return below;
    return std::nullopt;
  }

  /// The values that belong to a place, as they shall be.
  json::value& value_at(const Place& place) {
    json::value* value = &expected[std::get<std::size_t>(place.path.front())];
    for (std::size_t i = 1; i < place.path.size(); ++i) {
      if (const auto* key = std::get_if<std::string>(&place.path[i]))
        value = &value->as_object()[*key];
      else
        value = &value->as_array().at(std::get<std::size_t>(place.path[i]));
    }
    return *value;
  }

  void put(std::size_t at, std::size_t length, std::string words) { edits.push_back({at, length, std::move(words)}); }

  /// Into brackets, behind their last piece or before their first.
  Result<> put_flow(const Place& place, bool first, const json::value& values) {
    const auto flow = text.flow(*place.node);
    const std::size_t count = place.node->is_map() ? place.node->entries.size() : place.node->items.size();
    if (!flow || flow->pieces.size() != count) return cannot(place, kLayout);
    const bool is_empty = flow->pieces.empty();
    const std::size_t near = is_empty ? flow->open : first ? flow->pieces.front().begin : flow->pieces.back().begin;
    const bool in_lines = !is_empty && text.line_at(flow->open) != text.line_at(near);
    const std::string margin(text.margin(text.line_at(near)));
    const std::string comma = in_lines ? "," + std::string(layout.end_of_line) + margin : ", ";
    const std::string words = render_members(values, in_lines ? &margin : nullptr, comma);
    if (is_empty)
      put(flow->open + 1, 0, words);
    else if (first)
      put(flow->pieces.front().begin, 0, words + comma);
    else
      put(flow->pieces.back().end, 0, comma + words);
    return {};
  }

  /// Without brackets of their own; they stand at the neighbours' margin.
  std::string render_members(const json::value& values, const std::string* margin, const std::string& comma) const {
    std::string words;
    if (const auto* object = values.if_object()) {
      for (const auto& [key, value] : *object)
        words += fmt::format("{}{}: {}", words.empty() ? "" : comma, json_quote({key.data(), key.size()}),
                             render_flow(value, margin, layout));
    } else {
      for (const json::value& item : values.get_array())
        words += (words.empty() ? "" : comma) + render_flow(item, margin, layout);
    }
    return words;
  }

  Result<> cut_flow(const Place& place, std::size_t first, std::size_t count) {
    const auto flow = text.flow(*place.node);
    const std::size_t size = place.node->is_map() ? place.node->entries.size() : place.node->items.size();
    if (!flow || flow->pieces.size() != size) return cannot(place, kLayout);
    const auto& pieces = flow->pieces;
    const std::size_t last = first + count - 1;
    const std::size_t begin = first > 0 ? pieces[first - 1].end : pieces[0].begin;
    const std::size_t end = first == 0 && last + 1 < size ? pieces[last + 1].begin : pieces[last].end;
    put(begin, end - begin, "");
    return {};
  }

  std::vector<Edit> sorted() const {
    std::vector<Edit> all = edits;
    std::stable_sort(all.begin(), all.end(), [](const Edit& a, const Edit& b) { return a.at < b.at; });
    return all;
  }

  /// Whole lines: from behind the line before `first` to the end of `last`.
  void cut_lines(int first, int last) {
    const std::size_t begin = first > 1 ? text.end_of(first - 1) : text.offset(1, 0);
    put(begin, text.end_of(last) - begin, "");
  }

  std::string source;
  YamlText text;
  std::vector<mesh::yaml::NodePtr> documents;
  std::vector<json::value> expected;
  Layout layout;
  std::vector<Edit> edits;
  int failed_line = 0;
};

YamlEdit::YamlEdit(std::string text, std::vector<mesh::yaml::NodePtr> documents)
    : state_(std::make_unique<State>(std::move(text), std::move(documents))) {}
YamlEdit::~YamlEdit() = default;
YamlEdit::YamlEdit(YamlEdit&&) noexcept = default;

tl::unexpected<Error> YamlEdit::refuse(const Place& place, std::string_view why) {
  state_->failed_line = place.line;
  return fail(ErrorCode::usage, "{} {}", place.to_text(), why);
}

int YamlEdit::failed_line() const { return state_->failed_line; }

std::size_t YamlEdit::size() const { return state_->documents.size(); }

Place YamlEdit::document(std::size_t index) const {
  const Node* root = state_->documents.at(index).get();
  return {{index}, root, root->line, root->column, false};
}

Result<> YamlEdit::insert(const Place& list, bool first, const json::array& items) {
  State& state = *state_;
  if (list.by_alias || list.node->anchored) return state.cannot(list, kShared);
  if (list.node->flow) {
    if (auto put = state.put_flow(list, first, items); !put) return put;
  } else {
    const auto dash = state.text.dash_column(*list.node);
    if (!dash) return state.cannot(list, kLayout);
    const int line = first ? list.line : state.text.last_line(*list.node, list.line, list.column, *dash);
    state.put(state.text.end_of(line), 0, render_items(items, *dash, state.layout));
  }
  json::array& values = state.value_at(list).as_array();
  auto at = first ? values.begin() : values.end();
  for (const json::value& item : items) at = values.insert(at, values_of(item)) + 1;
  return {};
}

Result<> YamlEdit::append(const Place& map, const json::object& entries) {
  State& state = *state_;
  if (map.by_alias || map.node->anchored) return state.cannot(map, kShared);
  if (map.node->flow) {
    if (auto put = state.put_flow(map, false, entries); !put) return put;
  } else {
    const int column = map.node->entries.front().column;
    const int line = state.text.last_line(*map.node, map.line, map.column, column);
    state.put(state.text.end_of(line), 0, render_entries(entries, column, state.layout));
  }
  json::object& values = state.value_at(map).as_object();
  for (const auto& [key, value] : entries) values[key] = values_of(value);
  return {};
}

Result<> YamlEdit::fill(const Place& null, const json::value& value) {
  State& state = *state_;
  if (null.by_alias) return state.cannot(null, kShared);
  // Behind the key there may be a comment, but no "~" or "null", no anchor and no bracket.
  const std::string_view line = state.text.line(null.line);
  std::string_view rest = line.substr(std::min(line.find(':', static_cast<std::size_t>(null.column)), line.size()));
  rest = trim(rest.substr(std::min<std::size_t>(1, rest.size())));
  if (!rest.empty() && rest.front() != '#') return state.cannot(null, "it is null; leave it out, or give it a value");
  const auto* object = value.if_object();
  state.put(state.text.end_of(null.line), 0,
            object != nullptr ? render_entries(*object, null.column + 2, state.layout)
                              : render_items(value.get_array(), null.column + state.layout.dash_offset, state.layout));
  state.value_at(null) = values_of(value);
  return {};
}

Result<std::string> YamlEdit::replace(const Place& scalar, const std::string& written) {
  State& state = *state_;
  if (scalar.by_alias || scalar.node->anchored) return state.cannot(scalar, kShared);
  const std::size_t begin = state.text.offset(scalar.node->line, scalar.node->column);
  std::string old = scalar.node->text;
  if (state.source.compare(begin, old.size(), old) != 0) {
    const char quote = begin < state.source.size() ? state.source[begin] : ' ';
    old = quote + old + quote;
    if ((quote != '"' && quote != '\'') || state.source.compare(begin, old.size(), old) != 0)
      return state.cannot(scalar, kLayout);
  }
  state.put(begin, old.size(), written);
  std::string bare = written;
  if (bare.size() > 1 && (bare.front() == '"' || bare.front() == '\'')) bare = bare.substr(1, bare.size() - 2);
  state.value_at(scalar) = json::string("s" + bare);
  return old;
}

Result<> YamlEdit::remove_items(const Place& list, std::size_t first, std::size_t count) {
  State& state = *state_;
  if (list.by_alias || list.node->anchored) return state.cannot(list, kShared);
  if (list.node->flow) {
    if (auto cut = state.cut_flow(list, first, count); !cut) return cut;
  } else {
    const auto dash = state.text.dash_column(*list.node);
    const Node& from = *list.node->items.at(first);
    const Node& to = *list.node->items.at(first + count - 1);
    if (!dash || state.text.indent(from.line) != *dash) return state.cannot(list, kLayout);
    state.cut_lines(from.line, state.text.last_line(to, to.line, to.column, *dash));
  }
  json::value& value = state.value_at(list);
  json::array& values = value.as_array();
  values.erase(values.begin() + static_cast<std::ptrdiff_t>(first), values.begin() + static_cast<std::ptrdiff_t>(first + count));
  if (values.empty() && !list.node->flow) value = nullptr;
  return {};
}

Result<> YamlEdit::remove_entries(const Place& map, const std::vector<std::string>& keys) {
  State& state = *state_;
  if (map.by_alias || map.node->anchored) return state.cannot(map, kShared);
  const auto& entries = map.node->entries;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    auto is_wanted = [&](std::size_t at) { return std::find(keys.begin(), keys.end(), entries[at].key) != keys.end(); };
    if (!is_wanted(i)) continue;
    std::size_t last = i;  // those that stand together go together
    while (last + 1 < entries.size() && is_wanted(last + 1)) ++last;
    if (map.node->flow) {
      if (auto cut = state.cut_flow(map, i, last - i + 1); !cut) return cut;
    } else {
      if (!state.text.is_first_on_line(entries[i].line, entries[i].column)) return state.cannot(map, kLayout);
      const auto& end = entries[last];
      state.cut_lines(entries[i].line, state.text.last_line(*end.value, end.line, end.column, end.column));
    }
    i = last;
  }
  json::value& value = state.value_at(map);
  for (const std::string& key : keys) value.as_object().erase(key);
  if (value.as_object().empty() && !map.node->flow) value = nullptr;
  return {};
}

int YamlEdit::line_before(int line) const {
  int taken = 0;  // lines that went before it
  for (const State::Edit& edit : state_->sorted()) {
    if (state_->text.line_at(edit.at) - taken >= line) break;
    taken += static_cast<int>(std::count(state_->source.begin() + static_cast<std::ptrdiff_t>(edit.at),
                                         state_->source.begin() + static_cast<std::ptrdiff_t>(edit.at + edit.length), '\n'));
  }
  return line + taken;
}

Result<std::string> YamlEdit::finish() const {
  const std::vector<State::Edit> edits = state_->sorted();
  std::string text;
  std::size_t at = 0;
  for (const State::Edit& edit : edits) {
    if (edit.at < at) return fail(ErrorCode::usage, "cannot be edited safely: two changes would meet in one place");
    text.append(state_->source, at, edit.at - at);
    text += edit.text;
    at = edit.at + edit.length;
  }
  text.append(state_->source, at);
  const mesh::yaml::Documents read = mesh::yaml::read("", text);
  if (!read.problems.empty()) return fail(ErrorCode::usage, "cannot be edited safely: {}", read.problems.front().message);
  if (read.documents.size() != state_->expected.size())
    return fail(ErrorCode::usage, "cannot be edited safely: its documents are not set apart by --- lines");
  for (std::size_t i = 0; i < read.documents.size(); ++i)
    if (std::string found = difference(state_->expected[i], values_of(*read.documents[i]), ""); !found.empty())
      return fail(ErrorCode::usage,
                  "cannot be edited safely: {} would change; is it shared by an anchor, or laid out in an odd way?",
                  printable(found));
  return text;
}

}  // namespace weir::ctl
