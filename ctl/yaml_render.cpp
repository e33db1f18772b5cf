// SPDX-License-Identifier: Apache-2.0
#include "ctl/yaml_render.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "mesh-rules/yaml.h"

namespace weir::ctl {

namespace {

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-./:=,*@+").find(c) != std::string_view::npos;
}

/// Nobody takes it for anything but this text: no YAML reader's number, boolean, null, time or mark.
bool may_stand_plain(std::string_view text) {
  if (text.empty() || text.back() == ':' || !std::all_of(text.begin(), text.end(), is_word_character)) return false;
  const bool is_flag = text.starts_with("--") && text.size() > 2 && text[2] != '-';
  const char first = to_lower(text.front());
  if (!is_flag && text.front() != '/' && (first < 'a' || first > 'z')) return false;
  for (std::string_view word : {"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
    if (equals_ignore_case(text, word)) return false;
  return true;
}

std::string quote(std::string_view text) {
  const bool is_printable = std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  const bool has_double = text.find('"') != std::string_view::npos || text.find('\\') != std::string_view::npos;
  if (!is_printable || !has_double || text.find('\'') != std::string_view::npos) return json_quote(text);
  return fmt::format("'{}'", text);
}

std::string start_of_line(int indent, const Layout& layout) {
  return std::string(layout.end_of_line) + std::string(static_cast<std::size_t>(indent), ' ');
}

std::string render_key(std::string_view key) { return may_stand_plain(key) ? std::string(key) : quote(key); }

/// What stands behind "key:".
std::string render_value(const boost::json::value& value, int indent, const Layout& layout) {
  if (const auto* object = value.if_object(); object != nullptr && !object->empty())
    return render_entries(*object, indent + 2, layout);
  if (const auto* array = value.if_array(); array != nullptr && !array->empty())
    return render_items(*array, indent + layout.dash_offset, layout);
  return " " + render_scalar(value);
}

}  // namespace

std::string render_scalar(const boost::json::value& value) {
  const auto* text = value.if_string();
  if (text == nullptr) return compact_json(value);
  const std::string_view view(text->data(), text->size());
  return may_stand_plain(view) ? std::string(view) : quote(view);
}

std::string render_entries(const boost::json::object& entries, int indent, const Layout& layout) {
  std::string text;
  for (const auto& [key, value] : entries)
    text += fmt::format("{}{}:{}", start_of_line(indent, layout), render_key({key.data(), key.size()}),
                        render_value(value, indent, layout));
  return text;
}

std::string render_items(const boost::json::array& items, int indent, const Layout& layout) {
  std::string text;
  for (const boost::json::value& item : items) {
    text += start_of_line(indent, layout) + "- ";
    const auto* object = item.if_object();
    if (object == nullptr || object->empty())
      text += render_scalar(item);
    else  // the first entry stands behind the dash
      text +=
          render_entries(*object, indent + 2, layout).substr(layout.end_of_line.size() + static_cast<std::size_t>(indent) + 2);
  }
  return text;
}

std::string render_flow(const boost::json::value& value, const std::string* margin, const Layout& layout) {
  const auto* object = value.if_object();
  const auto* array = value.if_array();
  if ((object == nullptr || object->empty()) && (array == nullptr || array->empty())) return compact_json(value);
  const std::string inner = margin == nullptr ? "" : *margin + (margin->find('\t') == std::string::npos ? "  " : "\t");
  const std::string* below = margin == nullptr ? nullptr : &inner;
  const std::string line = margin == nullptr ? "" : std::string(layout.end_of_line) + inner;
  const std::string comma = margin == nullptr ? ", " : "," + line;
  std::string text;
  if (object != nullptr) {
    for (const auto& [key, member] : *object)
      text += fmt::format("{}{}: {}", text.empty() ? "" : comma, json_quote({key.data(), key.size()}),
                          render_flow(member, below, layout));
  } else {
    for (const boost::json::value& item : *array) text += (text.empty() ? "" : comma) + render_flow(item, below, layout);
  }
  const std::string last = margin == nullptr ? "" : std::string(layout.end_of_line) + *margin;
  return fmt::format("{}{}{}{}{}", object != nullptr ? "{" : "[", line, text, last, object != nullptr ? "}" : "]");
}

}  // namespace weir::ctl
