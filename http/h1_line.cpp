// SPDX-License-Identifier: Apache-2.0
#include "http/h1_line.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "http/chars.h"

namespace weir::http {

namespace {

/// Off the fast path: the line is wrong, if it is complete.
FieldLine bad(const char* line, const char* end, const char* detail) {
  FieldLine result;
  if (std::memchr(line, '\n', static_cast<std::size_t>(end - line)) == nullptr) return result;
  result.kind = FieldLine::Kind::error;
  result.detail = detail;
  return result;
}

const char* name_fault(const char* line, const char* at) {
  switch (*at) {
    case '\n': return "http1.bare_lf";
    case '\r': return "http1.missing_colon";
    case ':': return "http1.empty_header_name";
    case ' ':
    case '\t': return at == line ? "http1.obs_fold" : "http1.space_before_colon";
    default: return "http1.invalid_header_name";
  }
}

const char* value_fault(const char* at) {
  switch (*at) {
    case '\n': return "http1.bare_lf";
    case '\r': return "http1.bare_cr";
    default: return "http1.invalid_header_value";
  }
}

}  // namespace

FieldLine scan_field_line(const char* line, const char* end) {
  FieldLine result;
  if (line == end) return result;
  if (*line == '\r') {
    if (end - line < 2) return result;
    if (line[1] != '\n') return bad(line, end, "http1.bare_cr");
    result.kind = FieldLine::Kind::end;
    result.next = line + 2;
    return result;
  }
  const char* colon = find_outside(kToken, line, end);
  if (colon == end) return result;
  if (*colon != ':' || colon == line) return bad(line, end, name_fault(line, colon));
  const char* first = colon + 1;
  while (first != end && is_blank(*first)) ++first;
  const char* last = find_control(first, end);
  if (last == end) return result;
  if (*last != '\r') return bad(line, end, value_fault(last));
  if (end - last < 2) return result;
  if (last[1] != '\n') return bad(line, end, "http1.bare_cr");
  result.kind = FieldLine::Kind::field;
  result.next = last + 2;
  result.name = {line, static_cast<std::size_t>(colon - line)};
  while (last != first && is_blank(last[-1])) --last;
  result.value = {first, static_cast<std::size_t>(last - first)};
  return result;
}

ParseResult scan_fields(std::string_view bytes, const Limits& limits, HeadProgress& progress, HeaderMap& headers) {
  const char* base = bytes.data();
  const char* end = base + std::min(bytes.size(), limits.head_bytes);
  for (;;) {
    FieldLine line = scan_field_line(base + progress.line, end);
    switch (line.kind) {
      case FieldLine::Kind::field:
        if (headers.size() == limits.fields) return parse_error(431, "http1.too_many_headers");
        headers.append_view(line.name, line.value);
        progress.line = static_cast<std::size_t>(line.next - base);
        break;
      case FieldLine::Kind::end: return {ParseResult::State::done, static_cast<std::size_t>(line.next - base), {}};
      case FieldLine::Kind::error: return parse_error(400, line.detail);
      case FieldLine::Kind::incomplete:
        if (bytes.size() > limits.head_bytes) return parse_error(431, "http1.headers_too_large");
        progress.scanned = bytes.size();
        return {};
    }
  }
}

std::string_view moved(std::string_view view, const char* from, const char* to) {
  if (view.data() == nullptr) return view;
  // Offsets as integers: the old buffer may be gone.
  auto offset = reinterpret_cast<std::uintptr_t>(view.data()) - reinterpret_cast<std::uintptr_t>(from);
  return {to + offset, view.size()};
}

void move_views(HeaderMap& headers, const char* from, const char* to) {
  headers.filter([&](Field& field) {
    field.name = moved(field.name, from, to);
    field.value = moved(field.value, from, to);
    return true;
  });
}

}  // namespace weir::http
