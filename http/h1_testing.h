// SPDX-License-Identifier: Apache-2.0
// Heads and bodies as one line of text, parsed whole or in pieces: for tests and fuzz targets only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1.h"

namespace weir::http::testing {

inline std::string to_text(Framing framing, std::uint64_t length) {
  switch (framing) {
    case Framing::none: return "none";
    case Framing::length: return "length " + std::to_string(length);
    case Framing::chunked: return "chunked";
    case Framing::until_close: return "until-close";
    case Framing::tunnel: return "tunnel";
  }
  return "?";
}

inline std::string to_text(const HeaderMap& headers) {
  std::string text;
  for (const Field& field : headers) text.append("[").append(field.name).append("=").append(field.value).append("]");
  return text;
}

/// "GET / HTTP/1.1 | http://a/ | none | keep | [Host=a]"
inline std::string to_text(const RequestHead& head) {
  std::string text;
  text.append(head.method).append(" ").append(head.target).append(" ").append(to_text(head.version)).append(" | ");
  text.append(head.scheme).append("//").append(head.authority).append(head.path.empty() ? "" : " ").append(head.path);
  text.append(" | ").append(to_text(head.framing, head.content_length)).append(head.keep_alive ? " | keep" : " | close");
  if (head.expect_continue) text += " | expects";
  if (!head.upgrade.empty()) text.append(" | upgrade ").append(head.upgrade);
  return text;
}

inline std::string to_text(const ResponseHead& head) {
  std::string text(to_text(head.version));
  text.append(" ").append(std::to_string(head.status)).append(" ").append(head.reason).append(" | ");
  return text.append(to_text(head.framing, head.content_length)).append(head.keep_alive ? " | keep" : " | close");
}

/// Feeds a head in pieces that end at `cuts` (ascending) and at its end, each time from another buffer, as a connection whose
/// buffer grows would. `parse(bytes, resume, head)`. Returns "more", "400 detail", or the head with its fields, and how much was
/// consumed.
template <class Head, class Parse>
std::string parse_in_pieces(std::string_view bytes, const std::vector<std::size_t>& cuts, Parse parse,
                            std::string* fields = nullptr) {
  Head head;
  std::size_t resume = 0;
  std::string buffers[2];
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    std::string& buffer = buffers[i % 2];
    buffer.assign(bytes.substr(0, i < cuts.size() ? cuts[i] : bytes.size()));
    ParseResult result = parse(buffer, resume, head);
    if (result.state == ParseResult::State::error) return std::to_string(result.error.status) + " " + result.error.detail;
    if (result.state == ParseResult::State::done) {
      if (fields != nullptr) *fields = to_text(head.headers) + " @" + std::to_string(result.consumed);
      return to_text(head);
    }
    buffers[(i + 1) % 2].assign(buffer.size(), '?');  // the old bytes are gone
  }
  return "more";
}

inline std::string request_in_pieces(std::string_view bytes, const std::vector<std::size_t>& cuts, const Limits& limits = {},
                                     std::string* fields = nullptr) {
  return parse_in_pieces<RequestHead>(
      bytes, cuts,
      [&](std::string_view piece, std::size_t& resume, RequestHead& head) {
        return parse_request_head(piece, limits, resume, head);
      },
      fields);
}

inline std::string response_in_pieces(std::string_view bytes, std::string_view method, const std::vector<std::size_t>& cuts,
                                      const Limits& limits = {}, std::string* fields = nullptr) {
  return parse_in_pieces<ResponseHead>(
      bytes, cuts,
      [&](std::string_view piece, std::size_t& resume, ResponseHead& head) {
        return parse_response_head(piece, method, limits, resume, head);
      },
      fields);
}

/// "payload|[trailer=x]|done" or "…|more" or "payload|error detail", then "|rest" if bytes are left behind the message.
inline std::string body_in_pieces(std::string_view bytes, const std::vector<std::size_t>& cuts, Framing framing,
                                  std::uint64_t length, const Limits& limits = {}) {
  BodyReader reader(framing, length, limits);
  std::string payload;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    std::size_t end = i < cuts.size() ? cuts[i] : bytes.size();
    while (!reader.done()) {
      std::string piece(bytes.substr(begin, end - begin));
      BodyReader::Step step = reader.next(piece);
      payload += step.payload;
      begin += step.consumed;
      if (step.error) return payload + "|error " + step.detail;
      if (step.consumed == 0) break;
    }
  }
  std::string text = payload + "|" + to_text(reader.trailers()) +
                     (reader.done()     ? "|done"
                      : reader.on_eof() ? "|until eof"
                                        : "|more");
  if (reader.done() && begin < bytes.size()) text.append("|").append(bytes.substr(begin));
  return text;
}

inline std::vector<std::size_t> every_byte(std::size_t size) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 0; i < size; ++i) cuts.push_back(i);
  return cuts;
}

/// Checks `parse(cuts)` for the whole, byte by byte and for each single cut; returns the outcome, or what differs.
template <class Parse>
std::string same_for_every_cut(std::size_t size, Parse parse) {
  std::string whole = parse(std::vector<std::size_t>{});
  if (std::string bytewise = parse(every_byte(size)); bytewise != whole)
    return "byte by byte: " + bytewise + " / whole: " + whole;
  for (std::size_t cut = 0; cut < size; ++cut) {
    std::string parted = parse(std::vector<std::size_t>{cut});
    if (parted != whole) return "cut at " + std::to_string(cut) + ": " + parted + " / whole: " + whole;
  }
  return whole;
}

}  // namespace weir::http::testing
