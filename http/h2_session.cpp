// SPDX-License-Identifier: Apache-2.0
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "http/chars.h"
#include "http/h2.h"
#include "http/h2_flood.h"
#include "http/h2_head.h"

namespace weir::http {

namespace {

constexpr std::size_t kPrefaceBytes = 24;
constexpr std::size_t kFrameHeaderBytes = 9;
constexpr std::size_t kSparesKept = 64;
constexpr std::uint64_t kDrainPing = 0x77656972647261ff;  // told apart from the owner's by its value
constexpr std::size_t kMaxSentBlock = 256 * 1024;

struct Stream : H2Stream {
  HeaderBlock block;
  RequestHead request;
  ResponseHead response;
  std::size_t index = 0;                   // in Impl::live
  std::size_t unconsumed = 0;              // received, not yet consume()d
  std::string_view pulled;                 // on the way from on_pull to the wire
  std::uint32_t fault = NGHTTP2_NO_ERROR;  // why we refused what came
  std::string_view method;                 // client: "HEAD", "CONNECT" or ""
  bool surfaced = false;                   // the owner knows it
  bool is_tunnel = false;
  bool has_final_head = false;  // client: the next block is trailers
  bool remote_ended = false;
  bool reset_by_us = false;
  void reuse() {
    block.clear();
    *static_cast<H2Stream*>(this) = {};
    unconsumed = 0;
    pulled = method = {};
    fault = NGHTTP2_NO_ERROR;
    surfaced = is_tunnel = has_final_head = remote_ended = reset_by_us = false;
  }
};

std::string_view method_kept(std::string_view method) {
  if (method == "HEAD") return "HEAD";
  return method == "CONNECT" ? "CONNECT" : "";
}

}  // namespace

struct H2Session::Impl {
  Impl(H2Role role, const H2Settings& settings, H2Events& events);
  ~Impl() { nghttp2_session_del(session); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  H2Role role;
  H2Settings settings;
  H2Events& events;
  FloodGuard flood;
  nghttp2_session* session = nullptr;
  std::vector<std::unique_ptr<Stream>> live;
  std::vector<std::unique_ptr<Stream>> spare;
  NvList nv;
  std::string* out = nullptr;  // during take()
  std::size_t out_limit = 0;
  std::uint32_t resets = 0;
  bool failed = false;
  bool eof = false;
  bool draining = false;
  bool final_goaway = false;  // server: queued, after the notice
  bool goaway_received = false;

  bool is_server() const { return role == H2Role::server; }
  Stream* find(std::int32_t id) { return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, id)); }
  Stream& open_stream();
  void close_stream(Stream& stream, std::uint32_t code);
  void reset(std::int32_t id, std::uint32_t code) { nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, code); }
  Result<> fail_protocol(std::string_view what);

  void on_headers_end(const nghttp2_frame& frame);
  void on_request_end(Stream& stream, bool ended);
  void on_response_end(Stream& stream, bool ended);
  void refuse(Stream& stream, std::uint32_t code);
  void end_remote(Stream& stream);
  void on_ping(const nghttp2_frame& frame);
  ssize_t pull(Stream& stream, std::size_t room, std::uint32_t& flags);
  int send_data(nghttp2_frame* frame, const std::uint8_t* head, std::size_t length, Stream& stream);
  void finish_drain_if_idle();

  void set_callbacks(nghttp2_session_callbacks* callbacks);
  void submit_settings();
};

namespace {

H2Session::Impl* impl_of(void* user) { return static_cast<H2Session::Impl*>(user); }

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
  return {static_cast<const char*>(static_cast<const void*>(bytes)), size};
}

}  // namespace

H2Session::Impl::Impl(H2Role role_, const H2Settings& settings_, H2Events& events_)
    : role(role_),
      settings(settings_),
      events(events_),
      flood(settings_.control_frame_burst, role_ == H2Role::server ? kPrefaceBytes : 0) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  std::unique_ptr<nghttp2_session_callbacks, Freed<nghttp2_session_callbacks_del>> callbacks_owner(callbacks);
  set_callbacks(callbacks);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  std::unique_ptr<nghttp2_option, Freed<nghttp2_option_del>> option_owner(option);
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_send_header_block_length(option, kMaxSentBlock);
  int made = is_server() ? nghttp2_session_server_new2(&session, callbacks, this, option)
                         : nghttp2_session_client_new2(&session, callbacks, this, option);
  failed = made != 0;
  if (!failed) submit_settings();
}

void H2Session::Impl::submit_settings() {
  std::array<nghttp2_settings_entry, 5> entries = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, is_server() ? settings.max_concurrent_streams : 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, settings.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(settings.head_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
  }};
  if (is_server()) entries[4] = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, settings.extended_connect ? 1u : 0u};
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries.data(), entries.size());
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, static_cast<std::int32_t>(settings.connection_window));
}

void H2Session::Impl::set_callbacks(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
                                                          [](nghttp2_session* s, const nghttp2_frame* frame, void* user) {
                                                            Impl* impl = impl_of(user);
                                                            Stream* stream = impl->find(frame->hd.stream_id);
                                                            if (stream == nullptr) {
                                                              stream = &impl->open_stream();
                                                              stream->id = frame->hd.stream_id;
                                                              nghttp2_session_set_stream_user_data(s, stream->id, stream);
                                                            }
                                                            stream->block.clear();
                                                            return 0;
                                                          });
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
        Impl* impl = impl_of(user);
        if (Stream* stream = impl->find(frame->hd.stream_id)) {
          stream->block.add(text_of(name, name_size), text_of(value, value_size), impl->settings.head_bytes,
                            impl->settings.fields);
        }
        return 0;
      });
  // By default nghttp2 drops a field that it finds invalid and goes on; a proxy must not.
  nghttp2_session_callbacks_set_on_invalid_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t*, std::size_t, const std::uint8_t*,
                    std::size_t, std::uint8_t, void* user) {
        if (Stream* stream = impl_of(user)->find(frame->hd.stream_id)) stream->block.malformed = true;
        return 0;
      });
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Impl* impl = impl_of(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: impl->on_headers_end(*frame); break;
      case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
          if (Stream* stream = impl->find(frame->hd.stream_id)) impl->end_remote(*stream);
        }
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) impl->events.on_settings();
        break;
      case NGHTTP2_PING: impl->on_ping(*frame); break;
      case NGHTTP2_GOAWAY:
        impl->goaway_received = true;
        impl->events.on_goaway(static_cast<H2Code>(frame->goaway.error_code),
                               text_of(frame->goaway.opaque_data, frame->goaway.opaque_data_len));
        break;
      default: break;
    }
    return 0;
  });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks, [](nghttp2_session* s, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size, void* user) {
        Impl* impl = impl_of(user);
        Stream* stream = impl->find(id);
        if (stream == nullptr || !stream->surfaced || stream->reset_by_us) {
          nghttp2_session_consume(s, id, size);
          return 0;
        }
        stream->unconsumed += size;
        impl->events.on_data(*stream, text_of(data, size));
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                         [](nghttp2_session*, std::int32_t id, std::uint32_t code, void* user) {
                                                           if (Stream* stream = impl_of(user)->find(id))
                                                             impl_of(user)->close_stream(*stream, code);
                                                           return 0;
                                                         });
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Impl* impl = impl_of(user);
    bool ends =
        (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_DATA) impl->flood.sent_data();
    if (!ends || !impl->is_server()) return 0;
    // The answer is complete before the request: the rest of it is not wanted (RFC 9113, 8.1).
    Stream* stream = impl->find(frame->hd.stream_id);
    if (stream != nullptr && !stream->remote_ended && !stream->is_tunnel) {
      stream->reset_by_us = true;
      impl->reset(stream->id, NGHTTP2_NO_ERROR);
    }
    return 0;
  });
  nghttp2_session_callbacks_set_send_data_callback(callbacks, [](nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* head,
                                                                 std::size_t length, nghttp2_data_source* source, void* user) {
    return impl_of(user)->send_data(frame, head, length, *static_cast<Stream*>(source->ptr));
  });
}

Stream& H2Session::Impl::open_stream() {
  std::unique_ptr<Stream> stream;
  if (spare.empty()) {
    stream = std::make_unique<Stream>();
  } else {
    stream = std::move(spare.back());
    spare.pop_back();
    stream->reuse();
  }
  stream->index = live.size();
  live.push_back(std::move(stream));
  return *live.back();
}

void H2Session::Impl::close_stream(Stream& stream, std::uint32_t code) {
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
  std::unique_ptr<Stream> closed = std::move(live[index]);
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

void H2Session::Impl::refuse(Stream& stream, std::uint32_t code) {
  stream.fault = code;
  reset(stream.id, code);
}

void H2Session::Impl::end_remote(Stream& stream) {
  if (stream.remote_ended) return;
  stream.remote_ended = true;
  if (stream.surfaced && !stream.reset_by_us) events.on_end(stream);
}

void H2Session::Impl::on_headers_end(const nghttp2_frame& frame) {
  Stream* stream = find(frame.hd.stream_id);
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

void H2Session::Impl::on_request_end(Stream& stream, bool ended) {
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

void H2Session::Impl::on_response_end(Stream& stream, bool ended) {
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

ssize_t H2Session::Impl::pull(Stream& stream, std::size_t room, std::uint32_t& flags) {
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

int H2Session::Impl::send_data(nghttp2_frame* frame, const std::uint8_t* head, std::size_t length, Stream& stream) {
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

std::string_view to_text(H2Code code) {
  const char* name = nghttp2_http2_strerror(static_cast<std::uint32_t>(code));
  return name == std::string_view("unknown") ? "UNKNOWN" : std::string_view(name);
}

H2Session::H2Session(H2Role role, const H2Settings& settings, H2Events& events)
    : impl_(std::make_unique<Impl>(role, settings, events)) {}
H2Session::~H2Session() = default;

Result<> H2Session::feed(std::string_view bytes) {
  if (impl_->failed) return fail(ErrorCode::protocol, "HTTP/2 connection has failed before");
  if (!impl_->flood.feed(bytes)) {
    nghttp2_session_terminate_session(impl_->session, NGHTTP2_ENHANCE_YOUR_CALM);
    return impl_->fail_protocol("too many control or empty frames (ENHANCE_YOUR_CALM)");
  }
  ssize_t taken = nghttp2_session_mem_recv(
      impl_->session, static_cast<const std::uint8_t*>(static_cast<const void*>(bytes.data())), bytes.size());
  if (taken < 0) return impl_->fail_protocol(nghttp2_strerror(static_cast<int>(taken)));
  return {};
}

void H2Session::take(std::string& out, std::size_t limit) {
  impl_->out = &out;
  impl_->out_limit = limit;
  while (!impl_->eof && out.size() < limit) {
    const std::uint8_t* data = nullptr;
    ssize_t size = nghttp2_session_mem_send(impl_->session, &data);
    if (size < 0) impl_->failed = true;
    if (size <= 0) break;
    out.append(text_of(data, static_cast<std::size_t>(size)));
  }
  impl_->out = nullptr;
}

bool H2Session::wants_write() const { return !impl_->eof && nghttp2_session_want_write(impl_->session) != 0; }

bool H2Session::is_finished() const {
  if (wants_write()) return false;
  if (impl_->failed) return true;
  // nghttp2 takes the notice for the end; requests may still be on their way.
  if (impl_->draining && impl_->is_server() && !impl_->final_goaway) return false;
  return nghttp2_session_want_read(impl_->session) == 0;
}

void H2Session::on_eof() {
  impl_->failed = impl_->eof = true;
  while (!impl_->live.empty()) impl_->close_stream(*impl_->live.back(), NGHTTP2_INTERNAL_ERROR);
}

namespace {

ssize_t read_source(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t length, std::uint32_t* flags,
                    nghttp2_data_source* source, void* user) {
  return impl_of(user)->pull(*static_cast<Stream*>(source->ptr), length, *flags);
}

}  // namespace

Result<H2Stream*> H2Session::submit_request(const RequestHead& head, bool has_body, void* user) {
  if (!can_open()) return fail(ErrorCode::protocol, "HTTP/2 connection takes no new stream");
  NvList& nv = impl_->nv;
  nv.begin();
  nv.add(":method", head.method);
  if (head.method != "CONNECT" || !head.upgrade.empty()) {
    nv.add(":scheme", head.scheme.empty() ? std::string_view("http") : head.scheme);
    nv.add(":path", head.path);
  }
  std::string_view authority = head.authority.empty() ? head.headers.get("host").value_or("") : head.authority;
  if (!authority.empty()) nv.add(":authority", authority);
  if (!head.upgrade.empty() && head.method == "CONNECT") nv.add(":protocol", head.upgrade);
  nv.add_fields(head.headers);
  Stream& stream = impl_->open_stream();
  stream.user = user;
  nghttp2_data_provider provider{{.ptr = &stream}, read_source};
  std::int32_t id =
      nghttp2_submit_request(impl_->session, nullptr, nv.data(), nv.size(), has_body ? &provider : nullptr, &stream);
  if (id < 0) {
    impl_->live.pop_back();
    return fail(ErrorCode::protocol, "HTTP/2 request refused: {}", nghttp2_strerror(id));
  }
  stream.id = id;
  stream.surfaced = true;
  stream.method = method_kept(head.method);
  stream.is_tunnel = head.method == "CONNECT";
  return &stream;
}

Result<> H2Session::submit_response(H2Stream& base, const ResponseHead& head, bool has_body) {
  Stream& stream = static_cast<Stream&>(base);
  const char status[] = {static_cast<char>('0' + head.status / 100 % 10), static_cast<char>('0' + head.status / 10 % 10),
                         static_cast<char>('0' + head.status % 10)};
  NvList& nv = impl_->nv;
  nv.begin();
  nv.add(":status", {status, sizeof status});
  nv.add_fields(head.headers);
  nghttp2_data_provider provider{{.ptr = &stream}, read_source};
  int rv = nghttp2_submit_response(impl_->session, stream.id, nv.data(), nv.size(), has_body ? &provider : nullptr);
  if (rv != 0) return fail(ErrorCode::protocol, "HTTP/2 response refused: {}", nghttp2_strerror(rv));
  return {};
}

Result<> H2Session::submit_informational(H2Stream& stream, std::uint16_t status, const HeaderMap& headers) {
  if (status < 100 || status >= 200 || status == 101)
    return fail(ErrorCode::protocol, "HTTP/2 has no informational status {}", status);
  const std::string text = std::to_string(status);
  NvList& nv = impl_->nv;
  nv.begin();
  nv.add(":status", text);
  nv.add_fields(headers);
  int rv = nghttp2_submit_headers(impl_->session, NGHTTP2_FLAG_NONE, stream.id, nullptr, nv.data(), nv.size(), nullptr);
  if (rv != 0) return fail(ErrorCode::protocol, "HTTP/2 informational response refused: {}", nghttp2_strerror(rv));
  return {};
}

void H2Session::resume(H2Stream& stream) { nghttp2_session_resume_data(impl_->session, stream.id); }

void H2Session::consume(H2Stream& base, std::size_t bytes) {
  Stream& stream = static_cast<Stream&>(base);
  bytes = std::min(bytes, stream.unconsumed);
  stream.unconsumed -= bytes;
  if (bytes != 0) nghttp2_session_consume(impl_->session, stream.id, bytes);
}

void H2Session::reset(H2Stream& base, H2Code code) {
  Stream& stream = static_cast<Stream&>(base);
  if (stream.reset_by_us) return;
  stream.reset_by_us = true;
  impl_->reset(stream.id, static_cast<std::uint32_t>(code));
}

void H2Session::ping(std::uint64_t opaque) {
  std::uint8_t bytes[8];
  std::memcpy(bytes, &opaque, sizeof bytes);
  nghttp2_submit_ping(impl_->session, NGHTTP2_FLAG_NONE, bytes);
}

void H2Session::drain() {
  if (impl_->draining) return;
  impl_->draining = true;
  if (!impl_->is_server()) return impl_->finish_drain_if_idle();
  nghttp2_submit_shutdown_notice(impl_->session);
  ping(kDrainPing);
}

void H2Session::terminate(H2Code code) { nghttp2_session_terminate_session(impl_->session, static_cast<std::uint32_t>(code)); }

void H2Session::forgive() {
  impl_->flood.forgive();
  impl_->resets /= 2;
}

std::size_t H2Session::open_streams() const { return impl_->live.size(); }

std::uint32_t H2Session::max_streams() const {
  return nghttp2_session_get_remote_settings(impl_->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool H2Session::can_open() const {
  return !impl_->is_server() && !impl_->failed && !impl_->draining && !impl_->goaway_received && open_streams() < max_streams() &&
         nghttp2_session_check_request_allowed(impl_->session) != 0;
}

}  // namespace weir::http
