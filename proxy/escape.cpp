// SPDX-License-Identifier: Apache-2.0
#include "proxy/escape.h"

#include <algorithm>

namespace weir::proxy {

namespace {

constexpr char kHex[] = "0123456789abcdef";

bool is_plain(unsigned char byte) { return byte > 0x20 && byte < 0x7f && byte != '"' && byte != '\\'; }

void append_hex(std::string& out, unsigned char byte) {
  out += kHex[byte >> 4];
  out += kHex[byte & 15];
}

/// Length of the UTF-8 sequence at the start (RFC 3629: shortest form, no surrogates); 0 if there is none.
std::size_t utf8_length(std::string_view bytes) {
  auto at = [&](std::size_t i) { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U; };
  auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) { return at(i) >= low && at(i) <= high; };
  unsigned first = at(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    bool second = follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
    return second && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    bool second = follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
    return second && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
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
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      append_hex(out, byte);
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
