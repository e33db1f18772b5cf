// SPDX-License-Identifier: Apache-2.0
// Whatever our codec accepts, Boost.Beast must accept and frame alike: another careful reader behind us must see the same
// messages. (Not the other way round: Beast takes much that we refuse.) Input: one byte, 0x01 = response, then head and body.
#include <algorithm>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http.hpp>
#include <optional>

#include "http/h1_testing.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir::http;
using namespace weir::fuzzing;
namespace beast = boost::beast::http;

namespace {

/// "head of N bytes, chunked, keep, field=value, …"
std::string describe(std::size_t head_bytes, Framing framing, std::uint64_t length, bool keep_alive,
                     std::vector<std::string> fields) {
  std::string text = "head of " + std::to_string(head_bytes) + " bytes, ";
  // To Beast no length and a length of 0 are one for requests.
  if (framing == Framing::length && length == 0) framing = Framing::none;
  text += testing::to_text(framing, length) + (keep_alive ? ", keep" : ", close");
  // Beast groups fields of one name.
  std::sort(fields.begin(), fields.end());
  for (const std::string& field : fields) text += ", " + field;
  return text;
}

std::vector<std::string> fields_of(const HeaderMap& headers) {
  std::vector<std::string> fields;
  for (const Field& field : headers) fields.push_back(std::string(field.name) + "=" + std::string(field.value));
  return fields;
}

template <bool is_request>
std::string by_beast(std::string_view bytes, bool has_body, std::size_t& head_bytes, std::string& body) {
  beast::parser<is_request, beast::dynamic_body> parser;  // a string_body reserves what Content-Length says
  parser.header_limit(1 << 20);
  parser.body_limit(boost::none);
  parser.skip(!has_body);
  boost::beast::error_code error;
  head_bytes = parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if (error && error != beast::error::need_more) return "Beast: " + error.message();
  if (!parser.is_header_done()) return "Beast: head incomplete";
  std::vector<std::string> fields;
  for (const auto& field : parser.get()) fields.push_back(std::string(field.name_string()) + "=" + std::string(field.value()));
  Framing framing = parser.chunked() ? Framing::chunked : Framing::none;
  std::uint64_t length = 0;
  if (!parser.chunked() && parser.content_length()) {
    framing = Framing::length;
    length = *parser.content_length();
  }
  if (!has_body) {
    framing = Framing::none;
    length = 0;
  } else if (!is_request && framing == Framing::none) {
    framing = Framing::until_close;
  }
  std::string text = describe(head_bytes, framing, length, parser.keep_alive(), fields);
  if (!has_body || framing == Framing::until_close) return text;
  parser.eager(true);
  std::size_t at = head_bytes;
  while (!parser.is_done() && at < bytes.size()) {
    std::size_t taken = parser.put(boost::asio::buffer(bytes.data() + at, bytes.size() - at), error);
    at += taken;
    if (error && error != beast::error::need_more) {
      body = "Beast: " + error.message();
      return text;
    }
    if (taken == 0) break;
  }
  body =
      parser.is_done() ? boost::beast::buffers_to_string(parser.get().body().data()) + " to " + std::to_string(at) : "incomplete";
  return text;
}

std::string body_by_us(std::string_view bytes, std::size_t at, Framing framing, std::uint64_t length) {
  BodyReader reader(framing, length, {});
  std::string payload;
  while (!reader.done()) {
    BodyReader::Step step = reader.next(bytes.substr(at));
    if (step.error) return "refused";
    if (step.consumed == 0) return "incomplete";
    at += step.consumed;
    payload += step.payload;
  }
  return payload + " to " + std::to_string(at);
}

void compare_bodies(std::string_view bytes, std::size_t at, Framing framing, std::uint64_t length, const std::string& beast) {
  if (framing != Framing::chunked && framing != Framing::length) return;
  std::string ours = body_by_us(bytes, at, framing, length);
  if (ours == "refused" || ours == "incomplete") return;
  require_same("bodies", ours, beast);
}

void compare_request(std::string_view bytes) {
  RequestHead head;
  std::size_t resume = 0;
  ParseResult result = parse_request_head(bytes, {}, resume, head);
  // Beast does not skip empty lines before a request.
  if (result.state != ParseResult::State::done || bytes.starts_with("\r\n")) return;
  // To us "close" is stronger than "keep-alive" in HTTP/1.0 too (RFC 9112, 9.3); Beast looks for the latter alone there.
  if (head.version == Version::http10 && !head.keep_alive && head.headers.has("connection")) return;
  Framing framing = head.framing == Framing::tunnel ? Framing::none : head.framing;
  std::string ours = describe(result.consumed, framing, head.content_length, head.keep_alive, fields_of(head.headers));
  std::size_t head_bytes = 0;
  std::string body;
  require_same("requests", ours, by_beast<true>(bytes, true, head_bytes, body));
  compare_bodies(bytes, head_bytes, framing, head.content_length, body);
}

void compare_response(std::string_view bytes) {
  ResponseHead head;
  std::size_t resume = 0;
  ParseResult result = parse_response_head(bytes, "GET", {}, resume, head);
  // Beast wants the space before a reason that is not there.
  if (result.state != ParseResult::State::done || bytes.substr(12, 1) == "\r") return;
  Framing framing = head.framing == Framing::tunnel ? Framing::none : head.framing;
  bool has_body = framing != Framing::none;
  // We end the connection after nonsense in Connection, or a 204 that announces a body; Beast does not.
  if (!head.keep_alive && (!has_body || head.headers.has("connection"))) return;
  std::string ours = describe(result.consumed, framing, head.content_length, head.keep_alive, fields_of(head.headers));
  std::size_t head_bytes = 0;
  std::string body;
  require_same("responses", ours, by_beast<false>(bytes, has_body, head_bytes, body));
  compare_bodies(bytes, head_bytes, framing, head.content_length, body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes = text_of(data + 1, size - 1);
  if (data[0] == 1) {
    compare_response(bytes);
  } else {
    compare_request(bytes);
  }
  return 0;
}
