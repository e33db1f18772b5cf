// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "http/h2_impl.h"

namespace weir::http {

namespace {

constexpr std::size_t kQueuedFrames = 1000;

std::string_view method_kept(std::string_view method) {
  if (method == "HEAD") return "HEAD";
  return method == "CONNECT" ? "CONNECT" : "";
}

}  // namespace

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
  // Refusals pile up while a peer sends and never reads; no honest one can have more than some frames a stream under way.
  std::size_t most = kQueuedFrames + std::size_t{4} * impl_->settings.max_concurrent_streams;
  if (impl_->is_server() && nghttp2_session_get_outbound_queue_size(impl_->session) > most) {
    nghttp2_session_terminate_session(impl_->session, NGHTTP2_ENHANCE_YOUR_CALM);
    return impl_->fail_protocol("too many frames to answer (ENHANCE_YOUR_CALM)");
  }
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
  return static_cast<H2Session::Impl*>(user)->pull(*static_cast<H2StreamState*>(source->ptr), length, *flags);
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
  H2StreamState& stream = impl_->open_stream();
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
  H2StreamState& stream = static_cast<H2StreamState&>(base);
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
  H2StreamState& stream = static_cast<H2StreamState&>(base);
  bytes = std::min(bytes, stream.unconsumed);
  stream.unconsumed -= bytes;
  if (bytes != 0) nghttp2_session_consume(impl_->session, stream.id, bytes);
}

void H2Session::reset(H2Stream& base, H2Code code) {
  H2StreamState& stream = static_cast<H2StreamState&>(base);
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
