// SPDX-License-Identifier: Apache-2.0
#include "http/h2_head.h"

#include "base/text.h"
#include "http/authority.h"
#include "http/chars.h"

namespace weir::http {

namespace {

constexpr std::size_t kFieldOverhead = 32;  // RFC 9113, 6.5.2

std::string_view* pseudo_header(HeaderBlock& block, std::string_view name) {
  if (name == ":method") return &block.method;
  if (name == ":scheme") return &block.scheme;
  if (name == ":authority") return &block.authority;
  if (name == ":path") return &block.path;
  if (name == ":protocol") return &block.protocol;
  if (name == ":status") return &block.status;
  return nullptr;
}

/// HPACK likes one cookie a field, HTTP/1 wants one field (RFC 9113, 8.2.3).
void join_cookies(HeaderMap& headers) {
  if (headers.count("cookie") < 2) return;
  std::string joined;
  for (const Field& field : headers) {
    if (field.name == "cookie") joined.append(joined.empty() ? "" : "; ").append(field.value);
  }
  headers.set("cookie", joined);
}

bool settle_authority(RequestHead& head) {
  std::optional<std::string_view> host = head.headers.get("host");
  if (host && !parse_authority(*host)) return false;
  if (head.authority.empty()) {
    if (!host) return false;
    head.authority = *host;
    return true;
  }
  std::optional<Authority> target = parse_authority(head.authority);
  if (!target) return false;
  return !host || same_authority(*parse_authority(*host), *target, head.scheme);
}

void set_framing(const HeaderMap& headers, bool ended, Framing& framing, std::uint64_t& length) {
  std::optional<std::string_view> text = headers.get("content-length");
  framing = ended ? Framing::none : text ? Framing::length : Framing::chunked;
  // nghttp2 has checked the number and will check the body against it.
  length = text && !ended ? parse_uint(*text).value_or(0) : 0;
}

bool is_dropped(std::string_view name, std::string_view value) {
  switch (name.size()) {
    case 2: return name == "te" && !equals_lower(value, "trailers");
    case 4: return name == "host";
    case 7: return name == "upgrade";
    case 10: return name == "connection" || name == "keep-alive";
    case 16: return name == "proxy-connection";
    case 17: return name == "transfer-encoding";
    default: return false;
  }
}

/// Secrets stay out of HPACK's shared table (RFC 7541, 7.1.3).
bool is_secret(std::string_view name) { return name == "authorization" || name == "proxy-authorization" || name == "set-cookie"; }

std::uint8_t* bytes_of(std::string_view text) {
  return const_cast<std::uint8_t*>(static_cast<const std::uint8_t*>(static_cast<const void*>(text.data())));
}

}  // namespace

void HeaderBlock::clear() {
  fields.clear();
  method = scheme = authority = path = protocol = status = {};
  bytes = 0;
  too_large = malformed = false;
}

void HeaderBlock::add(std::string_view name, std::string_view value, std::size_t max_bytes, std::size_t max_fields) {
  bytes += name.size() + value.size() + kFieldOverhead;
  too_large = too_large || bytes > max_bytes;
  if (too_large) return;
  if (!name.empty() && name.front() == ':') {
    if (std::string_view* to = pseudo_header(*this, name)) *to = fields.keep(value);
    return;
  }
  too_large = fields.size() == max_fields;
  if (!too_large) fields.append(name, value);
}

bool finish_request(HeaderBlock& block, bool ended, RequestHead& head) {
  head.clear();
  head.version = Version::http2;
  head.method = block.method;
  head.scheme = block.scheme;
  head.authority = block.authority;
  head.path = block.path;
  head.target = block.path.empty() ? block.authority : block.path;
  head.upgrade = block.protocol;
  std::swap(head.headers, block.fields);
  join_cookies(head.headers);
  set_framing(head.headers, ended, head.framing, head.content_length);
  if (head.method == "CONNECT") {
    if (ended) return false;
    head.framing = Framing::tunnel;
  }
  bool plain_connect = head.method == "CONNECT" && head.upgrade.empty();
  if (!plain_connect && head.scheme != "http" && head.scheme != "https") return false;
  if (!all_in(kTarget, head.path) || !settle_authority(head)) return false;
  head.expect_continue = !ended && equals_lower(head.headers.get("expect").value_or(""), "100-continue");
  return true;
}

bool finish_response(HeaderBlock& block, bool ended, std::string_view method, ResponseHead& head) {
  head.clear();
  head.version = Version::http2;
  head.status = static_cast<std::uint16_t>(parse_uint(block.status, 999).value_or(0));
  std::swap(head.headers, block.fields);
  set_framing(head.headers, ended, head.framing, head.content_length);
  if (head.status < 200) head.framing = Framing::none;
  if (method == "CONNECT" && head.status >= 200 && head.status < 300) head.framing = Framing::tunnel;
  return head.status >= 100 && head.status != 101;
}

void NvList::begin() {
  fields_.clear();
  lowered_.clear();
}

void NvList::add(std::string_view name, std::string_view value) {
  fields_.push_back({bytes_of(name), bytes_of(value), name.size(), value.size(),
                     static_cast<std::uint8_t>(is_secret(name) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE)});
}

void NvList::add_fields(const HeaderMap& headers) {
  for (const Field& field : headers) {
    std::string_view name = field.name;
    bool has_capitals = false;
    for (char c : name) has_capitals = has_capitals || c != lowered(c);
    if (has_capitals) name = lowered_.copy(to_lower(name));
    if (!is_dropped(name, field.value)) add(name, field.value);
  }
}

}  // namespace weir::http
