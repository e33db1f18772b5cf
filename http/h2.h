// SPDX-License-Identifier: Apache-2.0
// One HTTP/2 connection (RFC 9113) as a value over bytes: no sockets, no clock. Framing and HPACK are nghttp2's; limits, floods,
// back-pressure and the strictness of heads are ours. Bytes in by feed(), bytes out by take(); all else are events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/h1.h"

namespace weir::http {

enum class H2Role : std::uint8_t { client, server };

/// Error codes of RST_STREAM and GOAWAY (RFC 9113, 7); only those that callers name.
enum class H2Code : std::uint32_t {
  no_error = 0,
  protocol_error = 1,
  internal_error = 2,
  flow_control_error = 3,
  refused_stream = 7,  ///< nothing was processed: safe to retry
  cancel = 8,
  enhance_your_calm = 11,
  http_1_1_required = 13,
};
/// "REFUSED_STREAM"; "UNKNOWN" beyond RFC 9113.
std::string_view to_text(H2Code code);

/// What we announce and what we put up with.
struct H2Settings {
  std::uint32_t max_concurrent_streams = 1000;  ///< that the peer may open
  std::uint32_t stream_window = 256 * 1024;     ///< bytes a stream may send before consume()
  std::uint32_t connection_window = 1024 * 1024;
  std::size_t head_bytes = 60 * 1024;  ///< names, values and 32 a field, as SETTINGS_MAX_HEADER_LIST_SIZE counts
  std::size_t fields = 100;
  bool extended_connect = false;  ///< server: allow RFC 8441 (WebSocket over HTTP/2)
  /// PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown and empty frames beyond what the traffic explains; then GOAWAY
  /// ENHANCE_YOUR_CALM. forgive() gives half of it back.
  std::uint32_t control_frame_burst = 2000;
  /// Streams that the peer opened and reset before we ended them ("rapid reset"); a stream ended in peace pays for one.
  std::uint32_t reset_burst = 200;
};

/// A stream: lives from submit_request() or on_request() until on_close() has returned.
struct H2Stream {
  std::int32_t id = 0;
  void* user = nullptr;  ///< the owner's, never touched here
};

/// What a stream has to send next: see H2Events::on_pull.
struct H2Pull {
  enum class State : std::uint8_t {
    more,     ///< `bytes`, and perhaps more later (at least one byte)
    wait,     ///< nothing now: resume() asks again
    end,      ///< `bytes` (may be empty), then END_STREAM
    trailers  ///< `bytes` (may be empty), then `trailers` with END_STREAM
  } state = State::wait;
  std::string_view bytes;               ///< at most `room`; must stay until the next on_pull of the stream or on_close
  const HeaderMap* trailers = nullptr;  ///< as long as `bytes`
};

/// Called during feed() and take(). May call anything of the session but feed(), take() and the destructor.
class H2Events {
 public:
  virtual ~H2Events() = default;
  /// Server. `head`: version http2; names lower case; cookie crumbs joined; framing none (ended by the head), length, chunked
  /// (length unknown) or tunnel (CONNECT; `upgrade` is then RFC 8441's :protocol). `host` is in `headers` only if it was sent.
  /// Movable: its bytes are in its own arena. Set stream.user here.
  virtual void on_request(H2Stream& stream, RequestHead&& head) = 0;
  /// Client. Also for each 1xx head (framing none, status < 200).
  virtual void on_response(H2Stream& stream, ResponseHead&& head) = 0;
  /// Body bytes, which count against the windows until consume().
  virtual void on_data(H2Stream& stream, std::string_view bytes) = 0;
  virtual void on_trailers(H2Stream& stream, HeaderMap&& trailers) = 0;
  /// The peer's side of the stream is complete (after the head, data or trailers).
  virtual void on_end(H2Stream& stream) = 0;
  /// The stream is over, whoever ended it; always the last event. no_error: both sides completed (or a server answered early and
  /// asks for no more). refused_stream also for streams above the peer's GOAWAY.
  virtual void on_close(H2Stream& stream, H2Code code) = 0;
  /// Bytes to send, at most `room`: asked while the windows allow and take() wants more.
  virtual H2Pull on_pull(H2Stream& stream, std::size_t room) = 0;
  /// The peer opens or accepts no new streams: finish those that live.
  virtual void on_goaway(H2Code /*code*/, std::string_view /*debug*/) {}
  virtual void on_ping_ack(std::uint64_t /*opaque*/) {}
  /// The peer's SETTINGS came (the first or new ones): max_streams() may have changed.
  virtual void on_settings() {}
};

class H2Session {
 public:
  /// The client's preface or the server's SETTINGS are ready in take() at once. `events` must outlive the session.
  H2Session(H2Role role, const H2Settings& settings, H2Events& events);
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  /// Takes all of `bytes`. An error (protocol) means: take() what is left (GOAWAY), write it, close. Later calls fail alike. Also
  /// without an error is_finished() may become true: the peer broke the protocol and its GOAWAY is on its way.
  Result<> feed(std::string_view bytes);
  /// Appends what is to be sent, until `out` holds `limit` bytes (a frame more at most) or nothing is left.
  void take(std::string& out, std::size_t limit = 64 * 1024);
  /// take() would append something.
  bool wants_write() const;
  /// Nothing more to read or write: close the connection.
  bool is_finished() const;
  /// The transport closed: every live stream gets on_close(internal_error), and nothing is taken any more. To be called before
  /// the destructor wherever streams may still live.
  void on_eof();

  /// Client. Sends method, :scheme, :authority, :path (`upgrade` as :protocol with CONNECT) and `headers` without Host and
  /// hop-by-hop fields, names lowered. `has_body`: on_pull will be asked. Errors (protocol): can_open() is false.
  Result<H2Stream*> submit_request(const RequestHead& head, bool has_body, void* user = nullptr);
  /// Server. Status >= 200 once per stream; `has_body` false ends the stream.
  Result<> submit_response(H2Stream& stream, const ResponseHead& head, bool has_body);
  /// Server. 100, 103 …, before the response.
  Result<> submit_informational(H2Stream& stream, std::uint16_t status, const HeaderMap& headers);
  /// After H2Pull::State::wait. Harmless otherwise.
  void resume(H2Stream& stream);
  /// Body bytes are dealt with: opens the windows. Unconsumed bytes of a closed stream are given back by itself.
  void consume(H2Stream& stream, std::size_t bytes);
  /// RST_STREAM; on_close follows during take(), no other event of the stream. Not needed after an early answer: a server whose
  /// response is complete before the request asks for the rest to be stopped by itself (tunnels excepted).
  void reset(H2Stream& stream, H2Code code);

  void ping(std::uint64_t opaque);
  /// Graceful: a server sends GOAWAY(2^31-1) and a PING, and the final GOAWAY when that is answered, so that no request in flight
  /// is lost; a client only opens no more. is_finished() once the last stream is over.
  void drain();
  /// GOAWAY at once with a code; live streams are lost.
  void terminate(H2Code code);
  /// Time passes: call about once a second while the connection lives, so that floods are judged by rate, not by life.
  void forgive();

  /// Streams that live, of both sides.
  std::size_t open_streams() const;
  /// Client: what the peer allows (100 until its SETTINGS came).
  std::uint32_t max_streams() const;
  /// Client: neither drained nor told to go away, and below max_streams().
  bool can_open() const;

  struct Impl;  ///< the room's own

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::http
