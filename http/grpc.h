// SPDX-License-Identifier: Apache-2.0
// gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md): framing, status, one bidirectional stream for a client, a dispatcher for a
// server. No sockets, no clock: an owner moves bytes between its socket and feed()/take().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "http/h2.h"
#include "http/header_map.h"

namespace weir::http {

/// grpc/doc/statuscodes.md.
enum class GrpcCode : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16,
};
/// "UNAVAILABLE".
std::string_view to_text(GrpcCode code);
/// From "UNAVAILABLE" or "14"; nullopt if it is neither.
std::optional<GrpcCode> parse_grpc_code(std::string_view text);
/// For an answer without grpc-status (grpc/doc/http-grpc-status-mapping.md): 400→internal, 401→unauthenticated,
/// 403→permission_denied, 404→unimplemented, 429, 502, 503, 504→unavailable, else unknown.
GrpcCode grpc_code_of_http(std::uint16_t status);

struct GrpcStatus {
  GrpcCode code = GrpcCode::ok;
  std::string message;
  bool ok() const { return code == GrpcCode::ok; }
  /// "UNAVAILABLE: no such host", "OK".
  std::string to_text() const;
};

/// grpc-message: bytes outside 0x20..0x7e and '%' as %XX. Decoding leaves bad escapes as they are, as the standard asks.
std::string encode_grpc_message(std::string_view text);
std::string decode_grpc_message(std::string_view text);

/// grpc-status and grpc-message of trailers (or of a trailers-only head); nullopt if there is no valid grpc-status.
std::optional<GrpcStatus> grpc_status_of(const HeaderMap& trailers);
/// "content-type: application/grpc" with or without a suffix (+proto, ;charset).
bool is_grpc_content_type(std::string_view value);
/// grpc-timeout "100m" → 100 ms; nullopt if malformed.
std::optional<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view value);

/// Appends the 5-byte prefix (uncompressed) and the message.
void write_grpc_frame(std::string& out, std::string_view message);

/// Cuts a byte stream into messages.
class GrpcReader {
 public:
  explicit GrpcReader(std::size_t max_message_bytes) : max_(max_message_bytes) {}
  /// Copies `bytes` to the end of the buffer; the view of the last next() dies.
  void feed(std::string_view bytes);
  struct Next {
    enum class State : std::uint8_t { need_more, message, error } state = State::need_more;
    std::string_view message;  ///< valid until the next call of any method
    GrpcStatus error;          ///< too large: resource_exhausted; compressed: unimplemented; bad flag: internal
  };
  Next next();
  /// Inside a message: the stream must not end here.
  bool is_partial() const { return begin_ != buffer_.size(); }

 private:
  std::size_t max_;
  std::string buffer_;
  std::size_t begin_ = 0;
};

using GrpcMetadata = std::vector<std::pair<std::string, std::string>>;

/// One connection with one bidirectional stream, as ADS wants it. Not thread-safe; single use: make a new one to reconnect.
class GrpcClientStream {
 public:
  /// Called during feed(), take(), cancel() and on_eof(). May call send(), finish(), cancel(); must not destroy the stream.
  class Events {
   public:
    virtual ~Events() = default;
    virtual void on_message(std::string_view message) = 0;
    /// Once, the last event: the server's status, or why there is none (unavailable: connection lost or refused).
    virtual void on_status(const GrpcStatus& status) = 0;
  };
  struct Options {
    std::string path;       ///< "/package.Service/Method"
    std::string authority;  ///< "istiod.istio-system.svc:15010"; "localhost" for a unix socket
    std::string scheme = "http";
    GrpcMetadata metadata;  ///< further request headers, lower case
    std::size_t max_message_bytes = 64 * 1024 * 1024;
    H2Settings h2;
  };
  /// Preface and request are ready in take() at once.
  GrpcClientStream(Options options, Events& events);
  ~GrpcClientStream();

  /// Queues one message (copied); dropped after on_status, finish() or cancel().
  void send(std::string_view message);
  /// Bytes queued by send() and not yet taken: the owner's back-pressure.
  std::size_t queued_bytes() const;
  /// Half-close: no more send().
  void finish();
  /// RST_STREAM; on_status(cancelled) at once.
  void cancel();
  /// A PING, to notice a dead peer: see pongs().
  void ping();
  /// How many pings were answered.
  std::uint64_t pongs() const;

  /// Bytes from the socket. An error: take(), write, close; on_status was called.
  Result<> feed(std::string_view bytes);
  /// The socket closed: on_status(unavailable) unless it came before.
  void on_eof();
  void take(std::string& out, std::size_t limit = 64 * 1024);
  bool wants_write() const;
  /// on_status came and nothing is left to write: close.
  bool is_finished() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The server's end of one call. Owned by its connection; dies after GrpcHandler::on_closed.
class GrpcServerStream {
 public:
  virtual ~GrpcServerStream() = default;
  virtual std::string_view path() const = 0;
  /// Request headers (metadata).
  virtual const HeaderMap& headers() const = 0;
  /// Queues one message (copied); dropped after finish().
  virtual void send(std::string_view message) = 0;
  /// Bytes queued and not yet taken.
  virtual std::size_t queued_bytes() const = 0;
  /// Sends the queued messages, then the status; nothing more can be sent.
  virtual void finish(const GrpcStatus& status) = 0;
};

/// What a service does with one call. Called during the connection's feed(), take() and on_eof().
class GrpcHandler {
 public:
  virtual ~GrpcHandler() = default;
  virtual void on_message(std::string_view message) = 0;
  /// The client sends no more.
  virtual void on_half_close() = 0;
  /// The call is over: finished, cancelled or the connection was lost; the last event before the handler is destroyed.
  virtual void on_closed() {}
};

/// Path → maker of a handler. The stream outlives the handler. Shared by connections; not changed while they live.
using GrpcMethods = std::map<std::string, std::function<std::unique_ptr<GrpcHandler>(GrpcServerStream&)>, std::less<>>;

/// One connection of a server; any number of calls. Unknown paths are answered with UNIMPLEMENTED, other content with HTTP 415.
class GrpcServerConnection {
 public:
  struct Options {
    std::size_t max_message_bytes = 4 * 1024 * 1024;  ///< received
    H2Settings h2;
  };
  /// `methods` must outlive the connection.
  GrpcServerConnection(Options options, const GrpcMethods& methods);
  ~GrpcServerConnection();

  Result<> feed(std::string_view bytes);
  /// The socket closed: every live call gets on_closed. The destructor does it, too.
  void on_eof();
  void take(std::string& out, std::size_t limit = 64 * 1024);
  /// True also after a send() from outside feed(): ask after each push.
  bool wants_write() const;
  bool is_finished() const;
  /// Graceful GOAWAY; calls that live go on. is_finished() when the last is over.
  void drain();
  void ping();
  std::uint64_t pongs() const;
  /// About once a second: see H2Session::forgive.
  void forgive();
  std::size_t open_calls() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::http
