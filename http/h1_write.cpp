// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstring>

#include "http/chars.h"
#include "http/h1.h"
#include "http/h1_framing.h"

namespace weir::http {

namespace {

char* put(char* to, std::string_view text) {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

char* put_fields(char* to, const HeaderMap& headers) {
  for (const Field& field : headers) {
    to = put(to, field.name);
    to = put(to, ": ");
    to = put(to, field.value);
    to = put(to, "\r\n");
  }
  return put(to, "\r\n");
}

std::size_t size_of(const HeaderMap& headers) {
  std::size_t size = 2;
  for (const Field& field : headers) size += field.name.size() + field.value.size() + 4;
  return size;
}

std::string_view version_text(Version version) { return version == Version::http10 ? "HTTP/1.0" : "HTTP/1.1"; }

/// Grows `out` once and returns where to write.
char* grow(std::string& out, std::size_t size) {
  std::size_t before = out.size();
  out.resize(before + size);
  return out.data() + before;
}

}  // namespace

void write_request_head(std::string& out, std::string_view method, std::string_view target, Version version,
                        const HeaderMap& headers) {
  char* to = grow(out, method.size() + target.size() + 12 + size_of(headers));
  to = put(to, method);
  to = put(to, " ");
  to = put(to, target);
  to = put(to, " ");
  to = put(to, version_text(version));
  to = put(to, "\r\n");
  put_fields(to, headers);
}

void write_response_head(std::string& out, std::uint16_t status, std::string_view reason, Version version,
                         const HeaderMap& headers) {
  char* to = grow(out, reason.size() + 15 + size_of(headers));
  to = put(to, version_text(version));
  const char digits[] = {' ', static_cast<char>('0' + status / 100 % 10), static_cast<char>('0' + status / 10 % 10),
                         static_cast<char>('0' + status % 10), ' '};
  to = put(to, {digits, sizeof digits});
  to = put(to, reason);
  to = put(to, "\r\n");
  put_fields(to, headers);
}

void write_chunk_size(std::string& out, std::size_t size) {
  char digits[16];
  char* end = std::to_chars(digits, digits + sizeof digits, size, 16).ptr;
  out.append(digits, end);
  out += "\r\n";
}

void write_last_chunk(std::string& out, const HeaderMap& trailers) {
  char* to = grow(out, 3 + size_of(trailers));
  put_fields(put(to, "0\r\n"), trailers);
}

namespace {

bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 2: return equals_lower(name, "te");
    case 7: return equals_lower(name, "upgrade");
    case 10: return equals_lower(name, "connection") || equals_lower(name, "keep-alive");
    case 16: return equals_lower(name, "proxy-connection");
    case 17: return equals_lower(name, "transfer-encoding");
    default: return false;
  }
}

bool same_without_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lowered(a[i]) != lowered(b[i])) return false;
  }
  return true;
}

bool lists(std::string_view list, std::string_view name) {
  bool found = false;
  for_each_listed(list, [&](std::string_view element) { found = found || same_without_case(element, name); });
  return found;
}

/// An option that is also the name of a field to drop; not those that every Connection has, nor what frames and routes.
bool names_a_field(std::string_view option) {
  for (std::string_view other : {"close", "keep-alive", "upgrade", "te", "host", "content-length"}) {
    if (equals_lower(option, other)) return false;
  }
  return true;
}

void remove_listed(HeaderMap& headers) {
  bool any = false;
  for (const Field& field : headers) {
    if (!equals_lower(field.name, "connection")) continue;
    for_each_listed(field.value, [&](std::string_view option) { any = any || names_a_field(option); });
  }
  if (!any) return;
  headers.filter([&](const Field& field) {
    if (equals_lower(field.name, "connection") || !names_a_field(field.name)) return true;
    // filter() moves kept fields only towards the front, onto ones it has asked about: the Connection fields are still all there.
    for (const Field& connection : headers) {
      if (equals_lower(connection.name, "connection") && lists(connection.value, field.name)) return false;
    }
    return true;
  });
}

}  // namespace

void remove_hop_by_hop(HeaderMap& headers, bool keep_upgrade) {
  remove_listed(headers);
  bool connection_kept = false;
  headers.filter([&](Field& field) {
    if (!is_hop_by_hop(field.name)) return true;
    if (equals_lower(field.name, "te")) {
      if (!lists(field.value, "trailers")) return false;
      field.value = "trailers";
      return true;
    }
    if (!keep_upgrade) return false;
    if (equals_lower(field.name, "upgrade")) return true;
    if (!equals_lower(field.name, "connection") || connection_kept || !lists(field.value, "upgrade")) return false;
    field.value = "Upgrade";
    connection_kept = true;
    return true;
  });
}

std::string_view reason_phrase(std::uint16_t status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 102: return "Processing";
    case 103: return "Early Hints";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 207: return "Multi-Status";
    case 208: return "Already Reported";
    case 226: return "IM Used";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 305: return "Use Proxy";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Payload Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 418: return "I'm a teapot";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Entity";
    case 423: return "Locked";
    case 424: return "Failed Dependency";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 506: return "Variant Also Negotiates";
    case 507: return "Insufficient Storage";
    case 508: return "Loop Detected";
    case 510: return "Not Extended";
    case 511: return "Network Authentication Required";
    default: return "Unknown";
  }
}

}  // namespace weir::http
