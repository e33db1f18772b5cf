// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "http/chars.h"
#include "http/h1.h"
#include "http/h1_line.h"

namespace weir::http {

namespace {

constexpr std::size_t kMaxExtensionBytes = 16 * 1024;
constexpr std::size_t kMaxSizeDigits = 16;

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  char low = lowered(c);
  return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

void skip_blanks(std::string_view& text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
}

bool skip_token(std::string_view& text) {
  const char* end = find_outside(kToken, text.data(), text.data() + text.size());
  auto size = static_cast<std::size_t>(end - text.data());
  text.remove_prefix(size);
  return size != 0;
}

/// Controls were excluded before.
bool skip_quoted(std::string_view& text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

/// `;name`, `;name=token`, `;name="quoted"`, any number, blanks between the parts (RFC 9112, 7.1.1). Their meaning is nothing to
/// us.
bool are_extensions(std::string_view text) {
  if (find_control(text.data(), text.data() + text.size()) != text.data() + text.size()) return false;
  while (!text.empty()) {
    skip_blanks(text);
    if (text.empty() || text.front() != ';') return false;
    text.remove_prefix(1);
    skip_blanks(text);
    if (!skip_token(text)) return false;
    std::string_view behind = text;
    skip_blanks(behind);
    if (behind.empty() || behind.front() != '=') continue;
    text = behind.substr(1);
    skip_blanks(text);
    bool is_quoted = !text.empty() && text.front() == '"';
    if (!(is_quoted ? skip_quoted(text) : skip_token(text))) return false;
  }
  return true;
}

/// A chunk line without its CRLF.
const char* parse_size(std::string_view line, std::uint64_t& size) {
  std::size_t digits = 0;
  size = 0;
  for (; digits < line.size() && hex_value(line[digits]) >= 0; ++digits) {
    if (digits == kMaxSizeDigits) return "http1.invalid_chunk_size";
    size = size << 4 | static_cast<std::uint64_t>(hex_value(line[digits]));
  }
  if (digits == 0 || size > INT64_MAX) return "http1.invalid_chunk_size";
  std::string_view rest = line.substr(digits);
  if (rest.empty()) return nullptr;
  std::size_t first = rest.find_first_not_of(" \t");
  if (first == std::string_view::npos || rest[first] != ';') return "http1.invalid_chunk_size";
  return are_extensions(rest) ? nullptr : "http1.invalid_chunk_extension";
}

/// Fields that frame or route the message: in a trailer they are an attack (RFC 9110, 6.5.1).
bool is_refused_trailer(std::string_view name) {
  for (std::string_view refused : {"transfer-encoding", "content-length", "host", "connection"}) {
    if (equals_lower(name, refused)) return true;
  }
  return false;
}

/// Fields that mean something only before the body: dropped.
bool is_dropped_trailer(std::string_view name) {
  for (std::string_view dropped :
       {"authorization", "cache-control", "content-encoding", "content-range", "content-type", "cookie", "expect", "keep-alive",
        "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "proxy-connection", "range", "set-cookie", "te",
        "trailer", "upgrade", "www-authenticate"}) {
    if (equals_lower(name, dropped)) return true;
  }
  return false;
}

}  // namespace

BodyReader::BodyReader(Framing framing, std::uint64_t content_length, const Limits& limits)
    : framing_(framing), left_(content_length), limits_(limits) {
  switch (framing) {
    case Framing::none: return;
    case Framing::length:
      if (content_length == 0) return;
      state_ = State::data;
      break;
    case Framing::chunked: state_ = State::size_line; break;
    case Framing::until_close:
    case Framing::tunnel: state_ = State::whole; break;
  }
  done_ = false;
}

/// Returns a fault or null; `more`: the line is not complete.
const char* BodyReader::take_size_line(std::string_view bytes, std::size_t& at, bool& more) {
  std::string_view rest = bytes.substr(at, limits_.chunk_line_bytes + 2);
  std::size_t lf = rest.find('\n');
  if (lf == std::string_view::npos) {
    more = rest.size() < limits_.chunk_line_bytes + 2;
    return more ? nullptr : "http1.chunk_line_too_large";
  }
  if (lf == 0 || rest[lf - 1] != '\r') return "http1.bare_lf";
  std::string_view line = rest.substr(0, lf - 1);
  if (const char* fault = parse_size(line, left_)) return fault;
  std::size_t semicolon = line.find(';');
  if (semicolon != std::string_view::npos) {
    extension_bytes_ += line.size() - semicolon;
    // Extensions on chunks that carry something are paid for by it; endless ones on tiny chunks are an attack.
    extension_bytes_ -= std::min<std::uint64_t>(extension_bytes_, left_ / 8);
    if (extension_bytes_ > kMaxExtensionBytes) return "http1.chunk_extensions_too_large";
  }
  at += lf + 1;
  state_ = left_ == 0 ? State::trailers : State::data;
  return nullptr;
}

/// One trailer line, or the end.
const char* BodyReader::take_trailers(std::string_view bytes, std::size_t& at, bool& more) {
  std::size_t room = limits_.trailer_bytes - trailer_bytes_;
  std::string_view rest = bytes.substr(at, room);
  FieldLine line = scan_field_line(rest.data(), rest.data() + rest.size());
  if (line.kind == FieldLine::Kind::error) return line.detail;
  if (line.kind == FieldLine::Kind::incomplete) {
    more = rest.size() < room;
    return more ? nullptr : "http1.trailers_too_large";
  }
  std::size_t taken = static_cast<std::size_t>(line.next - rest.data());
  if (line.kind == FieldLine::Kind::field) {
    if (is_refused_trailer(line.name)) return "http1.forbidden_trailer";
    if (trailers_.size() == limits_.fields) return "http1.too_many_trailers";
    if (!is_dropped_trailer(line.name)) trailers_.append(line.name, line.value);
  } else {
    state_ = State::finished;
    done_ = true;
  }
  trailer_bytes_ += taken;
  at += taken;
  return nullptr;
}

BodyReader::Step BodyReader::next(std::string_view bytes) {
  Step step;
  std::size_t at = 0;
  const char* fault = nullptr;
  bool more = false;
  while (fault == nullptr && !more && state_ != State::finished) {
    switch (state_) {
      case State::size_line: fault = take_size_line(bytes, at, more); break;
      case State::trailers: fault = take_trailers(bytes, at, more); break;
      case State::data:
        if (!step.payload.empty() || at == bytes.size()) {
          more = true;
          break;
        }
        step.payload = bytes.substr(at, static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - at)));
        at += step.payload.size();
        left_ -= step.payload.size();
        if (left_ != 0) break;
        state_ = framing_ == Framing::chunked ? State::data_end : State::finished;
        done_ = state_ == State::finished;
        break;
      case State::data_end:
        more = bytes.size() - at < 2;
        if (bytes.substr(at, 2) == "\r\n") {
          at += 2;
          state_ = State::size_line;
        } else if (at < bytes.size() && (!more || bytes[at] != '\r')) {
          fault = "http1.missing_chunk_end";
        }
        break;
      case State::whole:
        step.payload = bytes;
        at = bytes.size();
        more = true;
        break;
      case State::finished: break;
    }
  }
  step.consumed = at;
  step.done = done_;
  // A fault behind good bytes is told by the next call, so that the cut between pieces doesn't matter.
  if (fault != nullptr && at == 0) {
    step.error = true;
    step.detail = fault;
  }
  return step;
}

bool BodyReader::on_eof() const { return done_ || framing_ == Framing::until_close || framing_ == Framing::tunnel; }

}  // namespace weir::http
