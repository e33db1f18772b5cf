// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "http/grpc.h"
#include "http/grpc_queue.h"

namespace weir::http {

namespace {

/// grpc/doc/PROTOCOL-HTTP2.md, "Errors".
GrpcCode code_of_reset(H2Code code) {
  switch (code) {
    case H2Code::refused_stream: return GrpcCode::unavailable;
    case H2Code::cancel: return GrpcCode::cancelled;
    case H2Code::enhance_your_calm: return GrpcCode::resource_exhausted;
    default: return GrpcCode::internal;
  }
}

}  // namespace

struct GrpcClientStream::Impl final : H2Events {
  Impl(Options options_, GrpcClientStream::Events& events_);

  Options options;
  GrpcClientStream::Events& events;
  H2Session session;
  H2Stream* stream = nullptr;  // null when it is over
  GrpcQueue queue;
  GrpcReader reader;
  std::optional<GrpcStatus> head_status;  // a trailers-only answer
  std::optional<GrpcStatus> trailer_status;
  std::optional<GrpcStatus> http_fault;  // the answer is not gRPC
  std::string goaway_text;
  std::uint64_t pongs = 0;
  bool half_closed = false;
  bool eof = false;
  bool done = false;

  void finish(const GrpcStatus& status);
  void on_request(H2Stream&, RequestHead&&) override {}
  void on_response(H2Stream&, ResponseHead&& head) override;
  void on_data(H2Stream& from, std::string_view bytes) override;
  void on_trailers(H2Stream&, HeaderMap&& trailers) override { trailer_status = grpc_status_of(trailers); }
  void on_end(H2Stream&) override;
  void on_close(H2Stream&, H2Code code) override;
  H2Pull on_pull(H2Stream&, std::size_t room) override;
  void on_ping_ack(std::uint64_t) override { ++pongs; }
  void on_goaway(H2Code code, std::string_view debug) override {
    goaway_text = fmt::format("GOAWAY {} {}", http::to_text(code), std::string(debug));
  }
};

GrpcClientStream::Impl::Impl(Options options_, GrpcClientStream::Events& events_)
    : options(std::move(options_)),
      events(events_),
      session(H2Role::client, options.h2, *this),
      reader(options.max_message_bytes) {
  RequestHead head;
  head.method = "POST";
  head.scheme = options.scheme;
  head.authority = options.authority;
  head.path = options.path;
  head.headers.append_view("te", "trailers");
  head.headers.append_view("content-type", "application/grpc");
  head.headers.append_view("grpc-accept-encoding", "identity");
  head.headers.append_view("user-agent", "weir/" WEIR_VERSION);
  for (const auto& [name, value] : options.metadata) head.headers.set(name, value);
  if (Result<H2Stream*> opened = session.submit_request(head, true)) stream = *opened;
}

void GrpcClientStream::Impl::finish(const GrpcStatus& status) {
  if (done) return;
  done = true;
  queue.clear();
  if (stream != nullptr) session.reset(*stream, H2Code::cancel);
  session.drain();
  events.on_status(status);
}

void GrpcClientStream::Impl::on_response(H2Stream&, ResponseHead&& head) {
  if (head.status < 200) return;
  head_status = grpc_status_of(head.headers);
  std::string_view type = head.headers.get("content-type").value_or("");
  if (head_status || (head.status == 200 && is_grpc_content_type(type))) return;
  http_fault = GrpcStatus{grpc_code_of_http(head.status), fmt::format("HTTP status {}, content-type \"{}\"", head.status, type)};
}

void GrpcClientStream::Impl::on_data(H2Stream& from, std::string_view bytes) {
  session.consume(from, bytes.size());
  if (done || http_fault) return;
  reader.feed(bytes);
  while (!done) {
    GrpcReader::Next next = reader.next();
    if (next.state == GrpcReader::Next::State::need_more) return;
    if (next.state == GrpcReader::Next::State::error) return finish(next.error);
    events.on_message(next.message);
  }
}

void GrpcClientStream::Impl::on_end(H2Stream&) {
  if (trailer_status || head_status) return finish(trailer_status ? *trailer_status : *head_status);
  if (http_fault) return finish(*http_fault);
  finish({GrpcCode::unknown, "the server ended the stream without grpc-status"});
}

void GrpcClientStream::Impl::on_close(H2Stream&, H2Code code) {
  stream = nullptr;
  if (eof) return finish({GrpcCode::unavailable, "connection closed" + (goaway_text.empty() ? "" : " after " + goaway_text)});
  std::string reason = "stream reset by the server: " + std::string(http::to_text(code));
  if (!goaway_text.empty()) reason += " after " + goaway_text;
  finish({code_of_reset(code), reason});
}

H2Pull GrpcClientStream::Impl::on_pull(H2Stream&, std::size_t room) {
  H2Pull pulled;
  pulled.bytes = queue.pull(room);
  bool ends = half_closed && queue.bytes() == 0;
  pulled.state = ends ? H2Pull::State::end : pulled.bytes.empty() ? H2Pull::State::wait : H2Pull::State::more;
  return pulled;
}

GrpcClientStream::GrpcClientStream(Options options, Events& events) : impl_(std::make_unique<Impl>(std::move(options), events)) {}
GrpcClientStream::~GrpcClientStream() = default;

void GrpcClientStream::send(std::string_view message) {
  if (impl_->done || impl_->half_closed) return;
  impl_->queue.push(message);
  if (impl_->stream != nullptr) impl_->session.resume(*impl_->stream);
}

std::size_t GrpcClientStream::queued_bytes() const { return impl_->queue.bytes(); }

void GrpcClientStream::finish() {
  if (impl_->done || impl_->half_closed) return;
  impl_->half_closed = true;
  if (impl_->stream != nullptr) impl_->session.resume(*impl_->stream);
}

void GrpcClientStream::cancel() { impl_->finish({GrpcCode::cancelled, "cancelled by us"}); }

void GrpcClientStream::ping() { impl_->session.ping(impl_->pongs); }
std::uint64_t GrpcClientStream::pongs() const { return impl_->pongs; }

Result<> GrpcClientStream::feed(std::string_view bytes) {
  Result<> result = impl_->session.feed(bytes);
  if (!result) impl_->finish({GrpcCode::unavailable, result.error().to_text()});
  return result;
}

void GrpcClientStream::on_eof() {
  impl_->eof = true;
  impl_->session.on_eof();
  impl_->finish({GrpcCode::unavailable, "connection closed"});
}

void GrpcClientStream::take(std::string& out, std::size_t limit) { impl_->session.take(out, limit); }
bool GrpcClientStream::wants_write() const { return impl_->session.wants_write(); }
bool GrpcClientStream::is_finished() const { return (impl_->done && !wants_write()) || impl_->session.is_finished(); }

}  // namespace weir::http
