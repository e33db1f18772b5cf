// SPDX-License-Identifier: Apache-2.0
// Streams from their first block to their end.
#include <cstring>

#include "http/h2_impl.h"

namespace weir::http {

namespace {

constexpr std::size_t kFrameHeaderBytes = 9;
constexpr std::size_t kSparesKept = 64;

}  // namespace

H2StreamState& H2Session::Impl::open_stream() {
  std::unique_ptr<H2StreamState> stream;
  if (spare.empty()) {
    stream = std::make_unique<H2StreamState>();
  } else {
    stream = std::move(spare.back());
    spare.pop_back();
    stream->reuse();
  }
  stream->index = live.size();
  live.push_back(std::move(stream));
  return *live.back();
}

void H2Session::Impl::close_stream(H2StreamState& stream, std::uint32_t code) {
  // A bad last block closes the stream in peace before our RST_STREAM is sent.
  if (code == NGHTTP2_NO_ERROR) code = stream.fault;
  if (code != NGHTTP2_NO_ERROR && !stream.reset_by_us) {
    // Reset by the peer, or by nghttp2 for what the peer did: either costs us work for nothing.
    if (is_server() && ++resets > settings.reset_burst) nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
  } else if (resets > 0) {
    --resets;
  }
  if (stream.unconsumed != 0) nghttp2_session_consume_connection(session, stream.unconsumed);
  if (stream.surfaced) events.on_close(stream, static_cast<H2Code>(code));
  nghttp2_session_set_stream_user_data(session, stream.id, nullptr);
  std::size_t index = stream.index;
  std::unique_ptr<H2StreamState> closed = std::move(live[index]);
  if (index + 1 != live.size()) {
    live[index] = std::move(live.back());
    live[index]->index = index;
  }
  live.pop_back();
  if (spare.size() < kSparesKept) spare.push_back(std::move(closed));
  finish_drain_if_idle();
}

void H2Session::Impl::finish_drain_if_idle() {
  if (draining && !is_server() && live.empty()) nghttp2_session_terminate_session(session, NGHTTP2_NO_ERROR);
}

void H2Session::Impl::refuse(H2StreamState& stream, std::uint32_t code) {
  stream.fault = code;
  reset(stream.id, code);
}

void H2Session::Impl::end_remote(H2StreamState& stream) {
  if (stream.remote_ended) return;
  stream.remote_ended = true;
  if (stream.surfaced && !stream.reset_by_us) events.on_end(stream);
}

void H2Session::Impl::on_headers_end(const nghttp2_frame& frame) {
  H2StreamState* stream = find(frame.hd.stream_id);
  if (stream == nullptr) return;
  bool ended = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (stream->reset_by_us) {
    stream->remote_ended = stream->remote_ended || ended;
    return;
  }
  bool is_trailers = is_server() ? frame.headers.cat != NGHTTP2_HCAT_REQUEST : stream->has_final_head;
  if (stream->block.malformed) return refuse(*stream, NGHTTP2_PROTOCOL_ERROR);
  if (is_trailers) {
    if (stream->block.too_large) return refuse(*stream, NGHTTP2_ENHANCE_YOUR_CALM);
    if (stream->surfaced) events.on_trailers(*stream, std::move(stream->block.fields));
    if (ended) end_remote(*stream);
  } else if (is_server()) {
    on_request_end(*stream, ended);
  } else {
    on_response_end(*stream, ended);
  }
}

void H2Session::Impl::on_request_end(H2StreamState& stream, bool ended) {
  stream.remote_ended = ended;
  if (stream.block.too_large) {
    // An answer that a person can read, instead of a bare reset.
    nv.begin();
    nv.add(":status", "431");
    nghttp2_submit_response(session, stream.id, nv.data(), nv.size(), nullptr);
    return;
  }
  if (!finish_request(stream.block, ended, stream.request)) return refuse(stream, NGHTTP2_PROTOCOL_ERROR);
  stream.is_tunnel = stream.request.framing == Framing::tunnel;
  stream.surfaced = true;
  stream.remote_ended = false;
  events.on_request(stream, std::move(stream.request));
  if (ended) end_remote(stream);
}

void H2Session::Impl::on_response_end(H2StreamState& stream, bool ended) {
  if (stream.block.too_large) return refuse(stream, NGHTTP2_ENHANCE_YOUR_CALM);
  if (!finish_response(stream.block, ended, stream.method, stream.response)) return refuse(stream, NGHTTP2_PROTOCOL_ERROR);
  stream.has_final_head = stream.response.status >= 200;
  events.on_response(stream, std::move(stream.response));
  if (ended) end_remote(stream);
}

void H2Session::Impl::on_ping(const nghttp2_frame& frame) {
  if ((frame.hd.flags & NGHTTP2_FLAG_ACK) == 0) return;
  std::uint64_t opaque = 0;
  std::memcpy(&opaque, frame.ping.opaque_data, sizeof opaque);
  if (opaque != kDrainPing) return events.on_ping_ack(opaque);
  if (!draining || final_goaway) return;
  // Whatever the client sent before it saw the notice has arrived by now.
  final_goaway = true;
  nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR, nullptr,
                        0);
}

ssize_t H2Session::Impl::pull(H2StreamState& stream, std::size_t room, std::uint32_t& flags) {
  H2Pull pulled = events.on_pull(stream, room);
  if (pulled.state == H2Pull::State::wait || (pulled.state == H2Pull::State::more && pulled.bytes.empty()))
    return NGHTTP2_ERR_DEFERRED;
  stream.pulled = pulled.bytes.substr(0, room);
  flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (pulled.state != H2Pull::State::more) flags |= NGHTTP2_DATA_FLAG_EOF;
  if (pulled.state == H2Pull::State::trailers) {
    flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nv.begin();
    if (pulled.trailers != nullptr) nv.add_fields(*pulled.trailers);
    nghttp2_submit_trailer(session, stream.id, nv.data(), nv.size());
  }
  return static_cast<ssize_t>(stream.pulled.size());
}

int H2Session::Impl::send_data(nghttp2_frame* frame, const std::uint8_t* head, std::size_t length, H2StreamState& stream) {
  if (out->size() >= out_limit) return NGHTTP2_ERR_WOULDBLOCK;
  // We never pad: the frame is its header and what was pulled.
  if (frame->data.padlen != 0 || length != stream.pulled.size()) return NGHTTP2_ERR_CALLBACK_FAILURE;
  out->append(text_of(head, kFrameHeaderBytes)).append(stream.pulled);
  stream.pulled = {};
  return 0;
}

Result<> H2Session::Impl::fail_protocol(std::string_view what) {
  failed = true;
  return fail(ErrorCode::protocol, "HTTP/2 {}: {}", is_server() ? "client" : "server", what);
}

}  // namespace weir::http
