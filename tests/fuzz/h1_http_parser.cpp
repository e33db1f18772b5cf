// SPDX-License-Identifier: Apache-2.0
// Whatever our codec accepts, http-parser (the parser of older Node.js and Envoy) must accept and frame alike. Not the other way
// round: it takes bare LF, folded lines, no Host. Input: one byte, bit 0 = response (to HEAD with bit 1), then head and body.
//
// Where it is known to be stricter than we are, and nobody can be deceived: methods that are not in its list; targets that its
// URL grammar refuses; what it takes for the end of the connection, we may keep, never the other way round for a message behind.
#include <algorithm>

#include <http_parser.h>

#include "base/text.h"
#include "http/h1_testing.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir::http;
using namespace weir::fuzzing;

namespace {

/// One message as a reader framed it.
struct Message {
  std::vector<std::string> fields;
  std::string body = {};
  std::string framing = {};
  bool keeps_alive = false;
  bool is_complete = false;
  std::size_t end = 0;  // if complete
};

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string to_text(Framing framing, std::uint64_t length) {
  if (framing == Framing::length && length == 0) framing = Framing::none;  // to http-parser both are one
  return testing::to_text(framing, length);
}

class HttpParser {
 public:
  HttpParser(bool is_response, bool has_body) : has_body_(has_body) {
    http_parser_init(&parser_, is_response ? HTTP_RESPONSE : HTTP_REQUEST);
    parser_.data = this;
    http_parser_settings_init(&settings_);
    settings_.on_header_field = [](http_parser* p, const char* at, size_t n) { return self(p).on_field(at, n, false); };
    settings_.on_header_value = [](http_parser* p, const char* at, size_t n) { return self(p).on_field(at, n, true); };
    settings_.on_headers_complete = [](http_parser* p) { return self(p).on_head(); };
    settings_.on_body = [](http_parser* p, const char* at, size_t n) {
      self(p).message.body.append(at, n);
      return 0;
    };
    settings_.on_message_complete = [](http_parser* p) {
      self(p).message.is_complete = true;
      self(p).message.keeps_alive = http_should_keep_alive(p) != 0;  // only now it knows that there is no body
      http_parser_pause(p, 1);
      return 0;
    };
  }
  /// "" or what is wrong.
  std::string read(std::string_view bytes) {
    message.end = http_parser_execute(&parser_, &settings_, bytes.data(), bytes.size());
    http_errno error = HTTP_PARSER_ERRNO(&parser_);
    if (error == HPE_OK || error == HPE_PAUSED) return is_head_done_ ? "" : "head incomplete";
    return http_errno_name(error);
  }
  bool is_head_done() const { return is_head_done_; }
  Message message;

 private:
  static HttpParser& self(http_parser* parser) { return *static_cast<HttpParser*>(parser->data); }
  int on_field(const char* at, std::size_t size, bool is_value) {
    if (is_head_done_) return 0;  // a trailer
    if (!is_value && !was_name_) message.fields.emplace_back();
    if (is_value && was_name_) message.fields.back() += "=";
    was_name_ = !is_value;
    message.fields.back().append(at, size);
    return 0;
  }
  int on_head() {
    is_head_done_ = true;
    for (std::string& field : message.fields) {
      if (field.find('=') == std::string::npos) field += "=";
      field = std::string(trimmed(field));
    }
    bool is_response = parser_.type == HTTP_RESPONSE;
    message.keeps_alive = http_should_keep_alive(&parser_) != 0;
    if (!has_body_) {
      message.framing = to_text(Framing::none, 0);
    } else if ((parser_.flags & F_CHUNKED) != 0) {
      message.framing = to_text(Framing::chunked, 0);
    } else if ((parser_.flags & F_CONTENTLENGTH) != 0) {
      message.framing = to_text(Framing::length, parser_.content_length);
    } else {
      message.framing = to_text(is_response ? Framing::until_close : Framing::none, 0);
    }
    return has_body_ ? 0 : 1;
  }

  http_parser parser_;
  http_parser_settings settings_;
  bool has_body_ = true, is_head_done_ = false, was_name_ = false;
};

/// Fields and framing from the head, body from the reader; "" if the body is refused.
template <class Head>
std::optional<Message> by_us(std::string_view bytes, std::size_t head_bytes, const Head& head) {
  Message message{.fields = {}};
  for (const Field& field : head.headers)
    message.fields.push_back(std::string(trimmed(std::string(field.name) + "=" + std::string(field.value))));
  message.framing = to_text(head.framing, head.content_length);
  message.keeps_alive = head.keep_alive;
  BodyReader reader(head.framing, head.content_length, {});
  std::size_t at = head_bytes;
  while (!reader.done()) {
    BodyReader::Step step = reader.next(bytes.substr(at));
    if (step.error) return std::nullopt;
    if (step.consumed == 0) break;
    at += step.consumed;
    message.body += step.payload;
  }
  message.is_complete = reader.done();
  message.end = at;
  return message;
}

/// Blanks are spaces and tabs (RFC 9110, 5.6.3), but behind lengths, chunk sizes and codings it knows spaces only: what we make
/// of a tab must be what it makes of a space.
std::string with_spaces(std::string_view bytes) {
  std::string text(bytes);
  std::replace(text.begin(), text.end(), '\t', ' ');
  return text;
}

void compare(const char* what, const Message& ours, const Message& theirs) {
  auto text = [](const Message& message) {
    std::string all = message.framing;
    for (const std::string& field : message.fields) all += ", " + field;
    if (message.is_complete) all += ", body " + message.body + " to " + std::to_string(message.end);
    return all;
  };
  require_same(what, ours.framing, theirs.framing);
  // What we wait for more of, it may end: it takes any byte for the LF behind a CR.
  if (ours.is_complete) require_same(what, with_spaces(text(ours)), text(theirs));
  if (ours.keeps_alive && !theirs.keeps_alive) require_same(what, "kept", "closed");
}

/// It takes any name that begins with Transfer-Encoding for Transfer-Encoding, in the head and in trailers.
bool has_longer_transfer_encoding(std::string_view bytes) {
  constexpr std::string_view kName = "transfer-encoding";
  std::string lower = weir::to_lower(bytes);
  for (std::size_t at = lower.find(kName); at != std::string::npos; at = lower.find(kName, at + 1))
    if (!std::string_view(lower).substr(at + kName.size()).starts_with(':')) return true;
  return false;
}

void compare_request(std::string_view bytes) {
  RequestHead head;
  std::size_t resume = 0;
  ParseResult result = parse_request_head(bytes, {}, resume, head);
  if (result.state != ParseResult::State::done || head.framing == Framing::tunnel) return;
  std::optional<Message> ours = by_us(bytes, result.consumed, head);
  if (!ours) return;
  HttpParser theirs(false, true);
  std::string fault = theirs.read(with_spaces(bytes));
  if (fault == "HPE_INVALID_METHOD" || fault == "HPE_INVALID_URL") return;
  if (!fault.empty() && !ours->is_complete && theirs.is_head_done()) return;  // it judges a chunk's line before its end is there
  require_same("requests", "", fault);
  // After an upgrade it stops at the head, as the tunnel begins there for it: the server decides that, not the client.
  if (head.headers.has("upgrade")) return;
  compare("requests", *ours, theirs.message);
}

void compare_response(std::string_view bytes, std::string_view method) {
  ResponseHead head;
  std::size_t resume = 0;
  ParseResult result = parse_response_head(bytes, method, {}, resume, head);
  if (result.state != ParseResult::State::done || head.framing == Framing::tunnel) return;
  std::optional<Message> ours = by_us(bytes, result.consumed, head);
  if (!ours) return;
  HttpParser theirs(true, head.framing != Framing::none);
  std::string fault = theirs.read(with_spaces(bytes));
  if (!fault.empty() && !ours->is_complete && theirs.is_head_done()) return;  // as above
  require_same("responses", "", fault);
  if (head.headers.has("upgrade")) return;
  compare("responses", *ours, theirs.message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string_view bytes = text_of(data + 1, size - 1);
  if (has_longer_transfer_encoding(bytes)) return 0;
  if ((data[0] & 1) != 0) {
    compare_response(bytes, (data[0] & 2) != 0 ? "HEAD" : "GET");
  } else {
    compare_request(bytes);
  }
  return 0;
}
