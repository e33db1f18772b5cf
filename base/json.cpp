// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/utf8.h"

namespace weir {

Result<boost::json::value> parse_json(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = 64;
  boost::json::stream_parser parser({}, options);
  boost::json::error_code error;
  std::size_t used = parser.write_some(text.data(), text.size(), error);
  if (!error && used < text.size()) {
    std::size_t extra = text.find_first_not_of(" \t\r\n", used);
    if (extra != std::string_view::npos) {
      used = extra;
      error = boost::json::error::extra_data;
    }
  }
  if (!error) parser.finish(error);
  if (error) {
    std::string_view before = text.substr(0, used);
    auto line = 1 + std::count(before.begin(), before.end(), '\n');
    std::size_t start = before.rfind('\n');
    std::size_t column = used - (start == std::string_view::npos ? 0 : start + 1) + 1;
    return fail(ErrorCode::usage, "line {}, column {}: not JSON: {}", line, column, error.message());
  }
  return parser.release();
}

namespace {

/// DEL and C1 may stand in a JSON string as they are, but command a terminal. They are nowhere else in the text.
std::string escaped(const std::string& json) {
  std::string text;
  text.reserve(json.size());
  for (std::size_t at = 0; at < json.size();) {
    const std::string_view rest = std::string_view(json).substr(at);
    const std::size_t length = std::max<std::size_t>(utf8_length(rest), 1);
    if (is_control(rest))
      text += fmt::format("\\u00{:02x}", static_cast<unsigned char>(rest[length - 1]));
    else
      text += rest.substr(0, length);
    at += length;
  }
  return text;
}

}  // namespace

std::string json_quote(std::string_view text) {
  return escaped(boost::json::serialize(boost::json::string_view(text.data(), text.size())));
}

std::string compact_json(const boost::json::value& value) { return escaped(boost::json::serialize(value)); }

namespace {

void print(const boost::json::value& value, std::string& out, std::size_t depth) {
  auto line = [&](std::size_t level) {
    out += '\n';
    out.append(level * 2, ' ');
  };
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += '{';
    bool first = true;
    for (const auto& [key, member] : *object) {
      if (!first) out += ',';
      first = false;
      line(depth + 1);
      out += json_quote({key.data(), key.size()}) + ": ";
      print(member, out, depth + 1);
    }
    line(depth);
    out += '}';
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    out += '[';
    bool first = true;
    for (const auto& element : *array) {
      if (!first) out += ',';
      first = false;
      line(depth + 1);
      print(element, out, depth + 1);
    }
    line(depth);
    out += ']';
  } else {
    out += compact_json(value);
  }
}

}  // namespace

std::string pretty_json(const boost::json::value& value) {
  std::string text;
  print(value, text, 0);
  text += '\n';
  return text;
}

}  // namespace weir
