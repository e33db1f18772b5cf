// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "http/chars.h"
#include "http/h1.h"
#include "http/h1_framing.h"
#include "http/h1_line.h"

namespace weir::http {

namespace {

constexpr std::size_t kStatusBytes = 12;  // "HTTP/1.1 200"

/// The status line [at, end) including its CR, without LF.
ParseResult parse_status_line(const char* at, const char* end, ResponseHead& head) {
  if (end == at || end[-1] != '\r') return parse_error(502, "http1.bare_lf");
  --end;
  if (end - at < static_cast<std::ptrdiff_t>(kStatusBytes) || std::memcmp(at, "HTTP/1.", 7) != 0 ||
      (at[7] != '0' && at[7] != '1') || at[8] != ' ') {
    return parse_error(502, "http1.invalid_status_line");
  }
  std::uint16_t status = 0;
  for (int i = 9; i < 12; ++i) {
    if (!is_digit(at[i])) return parse_error(502, "http1.invalid_status");
    status = static_cast<std::uint16_t>(status * 10 + (at[i] - '0'));
  }
  if (status < 100) return parse_error(502, "http1.invalid_status");
  // The space before an empty reason is left out by many.
  if (end - at > static_cast<std::ptrdiff_t>(kStatusBytes)) {
    const char* reason = at + kStatusBytes;
    if (*reason != ' ') return parse_error(502, "http1.invalid_status");
    if (find_control(reason, end) != end) return parse_error(502, "http1.invalid_reason");
    head.reason = {reason + 1, static_cast<std::size_t>(end - reason) - 1};
  }
  head.version = at[7] == '1' ? Version::http11 : Version::http10;
  head.status = status;
  return {ParseResult::State::done, 0, {}};
}

ParseResult take_status_line(std::string_view bytes, const Limits& limits, ResponseHead& head) {
  HeadProgress& progress = head.progress;
  if (!bytes.empty() && bytes.front() != 'H') return parse_error(502, "http1.invalid_status_line");
  std::size_t window = std::min(bytes.size(), limits.head_bytes);
  const void* lf =
      progress.scanned < window ? std::memchr(bytes.data() + progress.scanned, '\n', window - progress.scanned) : nullptr;
  if (lf == nullptr) {
    if (bytes.size() > limits.head_bytes) return parse_error(502, "http1.headers_too_large");
    progress.scanned = bytes.size();
    return {};
  }
  const char* end = static_cast<const char*>(lf);
  ParseResult result = parse_status_line(bytes.data(), end, head);
  if (result.state == ParseResult::State::done)
    progress.line = progress.scanned = static_cast<std::size_t>(end - bytes.data()) + 1;
  return result;
}

/// RFC 9112, 6.3.
ParseError understand(std::string_view method, ResponseHead& head) {
  FieldFacts facts = collect_facts(head.headers);
  BodyFraming body = body_framing(facts, head.version);
  if (body.failed()) return body.error;
  if (facts.connection_names_framing) return {502, "http1.connection_header_rejected"};
  head.keep_alive = head.version == Version::http11 ? !facts.close : facts.keep_alive && !facts.close;
  // A server that says nonsense here is still served, but not trusted with another request.
  if (facts.connection_malformed) head.keep_alive = false;
  bool success = head.status >= 200 && head.status < 300;
  bool bodiless = head.status < 200 || head.status == 204;
  if (head.status == 101 || (method == "CONNECT" && success)) {
    head.framing = Framing::tunnel;
  } else if (bodiless || head.status == 304 || method == "HEAD") {
    head.framing = Framing::none;
    // These may not announce a body at all (RFC 9110, 8.6): a sender that does may send one, too.
    if (bodiless && (body.framing == Framing::chunked || body.length != 0)) head.keep_alive = false;
  } else if (body.framing != Framing::none) {
    head.framing = body.framing;
    head.content_length = body.length;
  } else {
    head.framing = Framing::until_close;
    head.keep_alive = false;
  }
  return {};
}

}  // namespace

void ResponseHead::clear() {
  version = Version::http11;
  status = 0;
  reason = {};
  headers.clear();
  framing = Framing::none;
  content_length = 0;
  keep_alive = true;
  progress = {};
}

ParseResult parse_response_head(std::string_view bytes, std::string_view method, const Limits& limits, std::size_t& resume,
                                ResponseHead& head) {
  HeadProgress& progress = head.progress;
  if (resume == 0 || resume != progress.scanned || resume > bytes.size()) {
    head.clear();
  } else if (progress.base != bytes.data()) {
    head.reason = moved(head.reason, progress.base, bytes.data());
    move_views(head.headers, progress.base, bytes.data());
  }
  progress.base = bytes.data();
  ParseResult result;
  if (head.status == 0) {
    result = take_status_line(bytes, limits, head);
    if (result.state != ParseResult::State::done) {
      resume = progress.scanned;
      return result;
    }
  } else if (bytes.size() <= limits.head_bytes &&
             std::memchr(bytes.data() + progress.scanned, '\n', bytes.size() - progress.scanned) == nullptr) {
    progress.scanned = resume = bytes.size();
    return {};
  }
  result = scan_fields(bytes, limits, progress, head.headers);
  resume = progress.scanned;
  if (result.state == ParseResult::State::done) {
    ParseError fault = understand(method, head);
    if (*fault.detail != '\0') result = parse_error(fault.status, fault.detail);
  }
  if (result.state == ParseResult::State::error) result.error.status = 502;
  return result;
}

}  // namespace weir::http
