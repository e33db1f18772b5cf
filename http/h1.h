// SPDX-License-Identifier: Apache-2.0
// HTTP/1.0 and 1.1 as values over bytes (RFC 9112): strict, no sockets, no clock. Heads are parsed in place; bodies are
// framed without copying. Whatever this accepts, every careful peer must frame alike: anything ambiguous is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/header_map.h"

namespace weir::http {

enum class Version : std::uint8_t { http10, http11, http2 };
/// "HTTP/1.0", "HTTP/1.1", "HTTP/2".
std::string_view to_text(Version version);

struct Limits {
  std::size_t head_bytes = 60 * 1024;  ///< request or status line and all fields (Envoy's max_request_headers_kb default)
  std::size_t fields = 100;
  std::size_t target_bytes = 32 * 1024;
  std::size_t chunk_line_bytes = 256;  ///< chunk size with its extensions
  std::size_t trailer_bytes = 16 * 1024;
};

/// How the end of a body is known (RFC 9112, 6.3).
enum class Framing : std::uint8_t {
  none,    ///< no body
  length,  ///< Content-Length
  chunked,
  until_close,  ///< responses only
  tunnel,       ///< after 101 or a successful CONNECT: bytes both ways until both sides close
};

/// Where the parsing of a head that comes in pieces stands: the parser's own.
struct HeadProgress {
  const char* base = nullptr;   ///< where the bytes lay at the last call
  std::size_t line = 0;         ///< offset of the first line that is not parsed
  std::size_t scanned = 0;      ///< no end of line between `line` and here
  std::size_t empty_lines = 0;  ///< skipped before the request line
};

struct RequestHead {
  std::string_view method;
  std::string_view target;     ///< as sent; origin, absolute, authority or asterisk form
  std::string_view scheme;     ///< from an absolute-form target, else ""
  std::string_view authority;  ///< absolute form's authority if present, else Host; "" only in HTTP/1.0
  std::string_view
      path;  ///< origin-form path with query ("/" for an absolute form without one; "*" for asterisk form; "" for CONNECT)
  Version version = Version::http11;
  HeaderMap headers;  ///< all fields as sent, Host included
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;  ///< if framing is length
  bool keep_alive = true;            ///< what the sender wants
  bool expect_continue = false;
  std::string_view upgrade;  ///< value of Upgrade if Connection lists it, else "" (also "" if Upgrade is repeated)
  HeadProgress progress;
  void clear();
};

struct ResponseHead {
  Version version = Version::http11;
  std::uint16_t status = 0;
  std::string_view reason;
  HeaderMap headers;
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;
  bool keep_alive = true;
  HeadProgress progress;
  void clear();
};

/// What is wrong with the bytes, as an answer and as a log detail.
struct ParseError {
  std::uint16_t status = 400;  ///< for requests: 400, 414, 431, 501 or 505
  const char* detail = "";     ///< static text, Envoy's style: "http1.headers_too_large", "http1.invalid_header_name" …
};

struct ParseResult {
  enum class State : std::uint8_t { need_more, done, error } state = State::need_more;
  std::size_t consumed = 0;  ///< bytes of the head, if done
  ParseError error;
};

/// Parses one request head at the start of `bytes`. `head` is cleared first; on `done` its views point into `bytes` or into
/// its own arena. Leading empty lines (CRLF, at most 2) are skipped. `need_more` is answered only while the limits are not yet
/// exceeded. `resume`: pass 0 at first, later what it was set to, with the same untouched `head` and the bytes so far (wherever
/// they lie by then): so a head in many pieces is parsed once. The result does not depend on how the bytes were cut.
ParseResult parse_request_head(std::string_view bytes, const Limits& limits, std::size_t& resume, RequestHead& head);

/// The same for a response to a request of `method`; 1xx heads are returned as they are (framing none; 101 = tunnel).
ParseResult parse_response_head(std::string_view bytes, std::string_view method, const Limits& limits, std::size_t& resume,
                                ResponseHead& head);

/// Walks a body. One per message; not thread-safe.
class BodyReader {
 public:
  BodyReader() = default;
  BodyReader(Framing framing, std::uint64_t content_length, const Limits& limits);

  struct Step {
    std::size_t consumed = 0;  ///< bytes of the input that are dealt with
    std::string_view payload;  ///< body bytes among them (a view into the input), may be empty
    bool done = false;         ///< the message ends here; trailers() is complete
    bool error = false;        ///< malformed: the connection must be closed
    const char* detail = "";   ///< static text if error
  };
  /// Takes the next piece; call again with the rest while consumed > 0 and neither done nor error. Needs more input behind the
  /// same bytes if consumed == 0 (a chunk or trailer line must lie in one piece: up to chunk_line_bytes, trailer_bytes).
  /// until_close and tunnel: everything is payload, never done: see on_eof().
  Step next(std::string_view bytes);
  /// The sender closed. True if the message is complete by that (until_close, or already done).
  bool on_eof() const;
  bool done() const { return done_; }
  const HeaderMap& trailers() const { return trailers_; }

 private:
  enum class State : std::uint8_t { size_line, data, data_end, trailers, whole, finished };
  Framing framing_ = Framing::none;
  State state_ = State::finished;
  bool done_ = true;
  std::uint64_t left_ = 0;
  Limits limits_;
  std::size_t extension_bytes_ = 0;  // of all chunks, less what their data excuses
  std::size_t trailer_bytes_ = 0;
  HeaderMap trailers_;

  const char* take_size_line(std::string_view bytes, std::size_t& at, bool& more);
  const char* take_trailers(std::string_view bytes, std::size_t& at, bool& more);
};

/// Appends "METHOD target VERSION\r\n" and the fields and the empty line. The caller has made the fields right.
void write_request_head(std::string& out, std::string_view method, std::string_view target, Version version,
                        const HeaderMap& headers);
void write_response_head(std::string& out, std::uint16_t status, std::string_view reason, Version version,
                         const HeaderMap& headers);
/// "1f\r\n": goes before a chunk; "\r\n" goes after it.
void write_chunk_size(std::string& out, std::size_t size);
/// "0\r\n" trailers "\r\n".
void write_last_chunk(std::string& out, const HeaderMap& trailers);

/// Drops Connection, the fields it lists, Keep-Alive, Proxy-Connection, TE (but "trailers"), Transfer-Encoding and Upgrade (RFC
/// 9110, 7.6.1). Pass keep_upgrade to leave Connection/Upgrade for an upgrade that is forwarded.
void remove_hop_by_hop(HeaderMap& headers, bool keep_upgrade);

/// The standard phrase, "Unknown" if there is none.
std::string_view reason_phrase(std::uint16_t status);

}  // namespace weir::http
