// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "http/authority.h"
#include "http/chars.h"
#include "http/h1.h"
#include "http/h1_framing.h"
#include "http/h1_line.h"

namespace weir::http {

namespace {

constexpr std::size_t kMethodBytes = 64;  // the longest registered one has 17
constexpr std::size_t kMaxEmptyLines = 2;
constexpr std::size_t kVersionBytes = 8;
constexpr std::string_view kOk;

/// Empty, or a detail.
using Detail = std::string_view;

bool is_http_version(const char* at) {
  return std::memcmp(at, "HTTP/", 5) == 0 && is_digit(at[5]) && at[6] == '.' && is_digit(at[7]);
}

/// The request line [at, end) including its CR, without LF.
ParseResult parse_request_line(const char* at, const char* end, const Limits& limits, RequestHead& head) {
  const char* method_end = find_outside(kToken, at, end);
  if (method_end == end || *method_end != ' ' || method_end == at ||
      method_end - at > static_cast<std::ptrdiff_t>(kMethodBytes)) {
    return parse_error(400, "http1.invalid_method");
  }
  const char* target = method_end + 1;
  const char* target_end = find_outside(kTarget, target, end);
  if (target_end == target || target_end == end || *target_end != ' ') return parse_error(400, "http1.invalid_url");
  if (target_end - target > static_cast<std::ptrdiff_t>(limits.target_bytes)) return parse_error(414, "http1.target_too_large");
  const char* version = target_end + 1;
  if (end - version < static_cast<std::ptrdiff_t>(kVersionBytes) || !is_http_version(version)) {
    return parse_error(400, "http1.invalid_version");
  }
  if (end[-1] != '\r') return parse_error(400, "http1.bare_lf");
  if (end - version != static_cast<std::ptrdiff_t>(kVersionBytes + 1)) return parse_error(400, "http1.invalid_version");
  if (version[5] != '1' || (version[7] != '0' && version[7] != '1')) return parse_error(505, "http1.unsupported_version");
  head.version = version[7] == '1' ? Version::http11 : Version::http10;
  head.method = {at, static_cast<std::size_t>(method_end - at)};
  head.target = {target, static_cast<std::size_t>(target_end - target)};
  return {ParseResult::State::done, 0, {}};
}

/// Up to the end of the request line. `done`: head.progress.line stands behind it.
ParseResult take_request_line(std::string_view bytes, const Limits& limits, RequestHead& head) {
  HeadProgress& progress = head.progress;
  while (progress.empty_lines < kMaxEmptyLines && bytes.substr(progress.line, 2) == "\r\n") {
    progress.line += 2;
    ++progress.empty_lines;
  }
  progress.scanned = std::max(progress.scanned, progress.line);
  std::string_view rest = bytes.substr(progress.line);
  if (rest.empty() || (rest == "\r" && progress.empty_lines < kMaxEmptyLines)) {
    progress.scanned = bytes.size();
    return {};
  }
  // What cannot begin a method is not HTTP (a TLS hello, say): no need to wait for an end of line.
  if (!is_in(kToken, rest.front())) return parse_error(400, "http1.invalid_method");
  std::size_t most = std::min(limits.head_bytes, progress.line + kMethodBytes + limits.target_bytes + kVersionBytes + 4);
  std::size_t window = std::min(bytes.size(), most);
  const void* lf =
      progress.scanned < window ? std::memchr(bytes.data() + progress.scanned, '\n', window - progress.scanned) : nullptr;
  if (lf == nullptr) {
    if (bytes.size() > most) return parse_error(414, "http1.target_too_large");
    progress.scanned = bytes.size();
    return {};
  }
  const char* end = static_cast<const char*>(lf);
  ParseResult result = parse_request_line(bytes.data() + progress.line, end, limits, head);
  if (result.state == ParseResult::State::done) {
    progress.line = static_cast<std::size_t>(end - bytes.data()) + 1;
    progress.scanned = progress.line;
  }
  return result;
}

/// "http://host:1/path?q" (RFC 9112, 3.2.2).
Detail split_absolute_form(RequestHead& head) {
  std::size_t colon = head.target.find("://");
  std::string_view scheme = head.target.substr(0, colon);
  if (equals_lower(scheme, "http")) head.scheme = "http";
  if (equals_lower(scheme, "https")) head.scheme = "https";
  if (colon == std::string_view::npos || head.scheme.empty()) return "http1.invalid_url";
  std::string_view rest = head.target.substr(colon + 3);
  std::size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  head.authority = rest.substr(0, authority_end);
  head.path = rest.substr(authority_end);
  if (head.path.empty()) head.path = head.method == "OPTIONS" ? "*" : "/";
  if (head.path.front() == '?') head.path = head.headers.keep("/", head.path);
  return kOk;
}

/// Host and the target's authority must be one server: whoever looks at only one of them must not be deceived.
Detail settle_authority(const FieldFacts& facts, RequestHead& head) {
  if (facts.hosts > 1) return "http1.multiple_host_headers";
  if (facts.hosts == 0 && head.version != Version::http10) return "missing_host_header";
  std::optional<Authority> host;
  // HTTP/1.0 knows no Host; an empty one is the same as none.
  bool has_host = facts.hosts == 1 && !(facts.host.empty() && head.version == Version::http10);
  if (has_host) {
    host = parse_authority(facts.host);
    if (!host) return "http1.invalid_host";
  }
  if (head.authority.empty()) {
    head.authority = facts.host;
    return kOk;
  }
  std::optional<Authority> target = parse_authority(head.authority);
  if (!target) return "http1.invalid_url";
  if (head.method == "CONNECT") {
    if (target->port.empty() || target->port.find_first_not_of('0') == std::string_view::npos) return "http1.invalid_url";
    // Clients leave the port out of Host here: only what it says must agree.
    if (host && host->port.empty()) host->port = target->port;
  }
  if (host && !same_authority(*host, *target, head.scheme)) return "http1.host_contradicts_target";
  return kOk;
}

Detail split_target(RequestHead& head) {
  if (head.method == "CONNECT") {
    head.authority = head.target;
    return kOk;
  }
  if (head.target.front() == '/') {
    head.path = head.target;
    return kOk;
  }
  if (head.target == "*") {
    head.path = "*";
    return head.method == "OPTIONS" ? kOk : Detail("http1.invalid_url");
  }
  if (Detail fault = split_absolute_form(head); !fault.empty()) return fault;
  return head.authority.empty() ? Detail("http1.invalid_url") : kOk;
}

ParseError understand(RequestHead& head) {
  FieldFacts facts = collect_facts(head.headers);
  BodyFraming body = body_framing(facts, head.version);
  if (body.failed()) return body.error;
  if (facts.connection_names_framing || facts.connection_malformed) return {400, "http1.connection_header_rejected"};
  if (Detail fault = split_target(head); !fault.empty()) return {400, fault.data()};
  if (Detail fault = settle_authority(facts, head); !fault.empty()) return {400, fault.data()};
  head.framing = body.framing;
  head.content_length = body.length;
  bool is_http11 = head.version == Version::http11;
  head.keep_alive = is_http11 ? !facts.close : facts.keep_alive && !facts.close;
  if (head.method == "CONNECT") {
    // A body here means nothing (RFC 9110, 9.3.6); to some it would be the tunnel's first bytes.
    if (body.framing == Framing::chunked || body.length != 0) return {400, "http1.body_disallowed"};
    head.framing = Framing::tunnel;
  }
  bool has_body = head.framing == Framing::chunked || head.content_length != 0;
  head.expect_continue = is_http11 && has_body && equals_lower(facts.expect, "100-continue");
  if (is_http11 && facts.connection_upgrade && facts.upgrades == 1) head.upgrade = facts.upgrade;
  return {};
}

}  // namespace

std::string_view to_text(Version version) {
  switch (version) {
    case Version::http10: return "HTTP/1.0";
    case Version::http11: return "HTTP/1.1";
    case Version::http2: return "HTTP/2";
  }
  return "HTTP/1.1";
}

void RequestHead::clear() {
  method = target = scheme = authority = path = upgrade = {};
  version = Version::http11;
  headers.clear();
  framing = Framing::none;
  content_length = 0;
  keep_alive = true;
  expect_continue = false;
  progress = {};
}

ParseResult parse_request_head(std::string_view bytes, const Limits& limits, std::size_t& resume, RequestHead& head) {
  HeadProgress& progress = head.progress;
  if (resume == 0 || resume != progress.scanned || resume > bytes.size()) {
    head.clear();
  } else if (progress.base != bytes.data()) {
    head.method = moved(head.method, progress.base, bytes.data());
    head.target = moved(head.target, progress.base, bytes.data());
    move_views(head.headers, progress.base, bytes.data());
  }
  progress.base = bytes.data();
  ParseResult result;
  if (head.method.empty()) {
    result = take_request_line(bytes, limits, head);
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
  if (result.state != ParseResult::State::done) return result;
  ParseError fault = understand(head);
  if (*fault.detail != '\0') return parse_error(fault.status, fault.detail);
  return result;
}

}  // namespace weir::http
