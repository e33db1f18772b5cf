// SPDX-License-Identifier: Apache-2.0
#include "proxy/escape.h"

#include <algorithm>

#include "base/utf8.h"

namespace weir::proxy {

namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_plain(unsigned char byte) { return byte > 0x20 && byte < 0x7f && byte != '"' && byte != '\\'; }

void append_hex(std::string& out, unsigned char byte) {
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

}  // namespace

void escape_text(std::string& out, std::string_view value, Blanks blanks) {
  for (std::size_t at = 0; at < value.size();) {
    std::size_t plain = at;
    while (plain < value.size() && is_plain(static_cast<unsigned char>(value[plain]))) ++plain;
    out += value.substr(at, plain - at);
    if (plain == value.size()) return;
    auto byte = static_cast<unsigned char>(value[plain]);
    if (byte == ' ' && blanks == Blanks::keep) {
      out += ' ';
    } else if (byte == '"' || byte == '\\') {
      out += '\\';
      out += static_cast<char>(byte);
    } else {
      out += "\\x";
      append_hex(out, byte);
    }
    at = plain + 1;
  }
}

void escape_json(std::string& out, std::string_view value) {
  for (std::size_t at = 0; at < value.size();) {
    auto byte = static_cast<unsigned char>(value[at]);
    std::size_t length = utf8_length(value.substr(at));
    if (length == 0) {
      out += "\\ufffd";
      length = 1;
    } else if (is_control(value.substr(at, length))) {
      out += "\\u00";
      append_hex(out, static_cast<unsigned char>(value[at + length - 1]));  // of U+0080 to U+009F it is the last byte
    } else {
      if (byte == '"' || byte == '\\') out += '\\';
      out += value.substr(at, length);
    }
    at += length;
  }
}

void escape_header(std::string& out, std::string_view value) {
  for (char c : value) {
    if (c != '\r' && c != '\n' && c != '\0') out += c;
  }
}

bool is_json_number(std::string_view value) {
  bool has_digits = std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
  return !value.empty() && has_digits && (value.size() == 1 || value[0] != '0');
}

}  // namespace weir::proxy
