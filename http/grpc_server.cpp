// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <unordered_map>

#include "http/grpc.h"
#include "http/grpc_queue.h"

namespace weir::http {

namespace {

struct Call final : GrpcServerStream {
  Call(H2Session& session_, H2Stream& stream_, RequestHead&& head_, std::size_t max_message_bytes)
      : session(session_), stream(stream_), head(std::move(head_)), reader(max_message_bytes) {}

  H2Session& session;
  H2Stream& stream;
  RequestHead head;
  GrpcReader reader;
  GrpcQueue queue;
  HeaderMap trailers;
  std::unique_ptr<GrpcHandler> handler;
  bool answered = false;
  bool finished = false;

  std::string_view path() const override { return head.path; }
  const HeaderMap& headers() const override { return head.headers; }
  std::size_t queued_bytes() const override { return queue.bytes(); }

  void send(std::string_view message) override {
    if (finished) return;
    answer();
    queue.push(message);
    session.resume(stream);
  }

  void finish(const GrpcStatus& status) override {
    if (finished) return;
    finished = true;
    HeaderMap& to = trailers;
    to.append("grpc-status", std::to_string(static_cast<int>(status.code)));
    if (!status.message.empty()) to.append("grpc-message", encode_grpc_message(status.message));
    if (answered) return session.resume(stream);
    answered = true;
    ResponseHead response = good_head();
    for (const Field& field : trailers) response.headers.append_view(field.name, field.value);
    (void)session.submit_response(stream, response, false);
  }

  /// A message that cannot be read, a stream cut inside one …
  void fault(const GrpcStatus& status) {
    queue.clear();
    finish(status);
  }

  H2Pull pull(std::size_t room) {
    H2Pull pulled;
    pulled.bytes = queue.pull(room);
    pulled.trailers = &trailers;
    bool ends = finished && queue.bytes() == 0;
    pulled.state = ends ? H2Pull::State::trailers : pulled.bytes.empty() ? H2Pull::State::wait : H2Pull::State::more;
    return pulled;
  }

 private:
  static ResponseHead good_head() {
    ResponseHead response;
    response.status = 200;
    response.headers.append_view("content-type", "application/grpc");
    response.headers.append_view("grpc-accept-encoding", "identity");
    return response;
  }
  void answer() {
    if (answered) return;
    answered = true;
    (void)session.submit_response(stream, good_head(), true);
  }
};

}  // namespace

struct GrpcServerConnection::Impl final : H2Events {
  Impl(Options options_, const GrpcMethods& methods_)
      : options(options_), methods(methods_), session(H2Role::server, options.h2, *this) {}

  Options options;
  const GrpcMethods& methods;
  H2Session session;
  std::unordered_map<H2Stream*, std::unique_ptr<Call>> calls;
  std::uint64_t pongs = 0;

  void refuse(H2Stream& stream, std::uint16_t status) {
    ResponseHead response;
    response.status = status;
    (void)session.submit_response(stream, response, false);
  }

  void on_request(H2Stream& stream, RequestHead&& head) override {
    if (head.method != "POST") return refuse(stream, 405);
    if (!is_grpc_content_type(head.headers.get("content-type").value_or(""))) return refuse(stream, 415);
    auto owned = std::make_unique<Call>(session, stream, std::move(head), options.max_message_bytes);
    Call& call = *owned;
    stream.user = &call;
    calls.emplace(&stream, std::move(owned));
    auto method = methods.find(call.path());
    if (method == methods.end()) {
      return call.finish({GrpcCode::unimplemented, fmt::format("unknown method {}", call.path())});
    }
    call.handler = method->second(call);
    if (!call.handler) call.finish({GrpcCode::internal, "the service made no handler"});
  }

  void on_response(H2Stream&, ResponseHead&&) override {}

  void on_data(H2Stream& stream, std::string_view bytes) override {
    session.consume(stream, bytes.size());
    Call* call = static_cast<Call*>(stream.user);
    if (call == nullptr || call->finished) return;
    call->reader.feed(bytes);
    while (!call->finished) {
      GrpcReader::Next next = call->reader.next();
      if (next.state == GrpcReader::Next::State::need_more) return;
      if (next.state == GrpcReader::Next::State::error) return call->fault(next.error);
      call->handler->on_message(next.message);
    }
  }

  void on_trailers(H2Stream&, HeaderMap&&) override {}

  void on_end(H2Stream& stream) override {
    Call* call = static_cast<Call*>(stream.user);
    if (call == nullptr || call->finished) return;
    if (call->reader.is_partial()) return call->fault({GrpcCode::internal, "the request ended inside a message"});
    call->handler->on_half_close();
  }

  void on_close(H2Stream& stream, H2Code) override {
    auto it = calls.find(&stream);
    if (it == calls.end()) return;
    std::unique_ptr<Call> call = std::move(it->second);
    calls.erase(it);
    call->finished = true;
    if (call->handler) call->handler->on_closed();
    call->handler.reset();  // before its stream
  }

  H2Pull on_pull(H2Stream& stream, std::size_t room) override {
    Call* call = static_cast<Call*>(stream.user);
    if (call != nullptr) return call->pull(room);
    H2Pull end;
    end.state = H2Pull::State::end;
    return end;
  }

  void on_ping_ack(std::uint64_t) override { ++pongs; }
};

GrpcServerConnection::GrpcServerConnection(Options options, const GrpcMethods& methods)
    : impl_(std::make_unique<Impl>(options, methods)) {}
GrpcServerConnection::~GrpcServerConnection() { impl_->session.on_eof(); }

Result<> GrpcServerConnection::feed(std::string_view bytes) { return impl_->session.feed(bytes); }
void GrpcServerConnection::on_eof() { impl_->session.on_eof(); }
void GrpcServerConnection::take(std::string& out, std::size_t limit) { impl_->session.take(out, limit); }
bool GrpcServerConnection::wants_write() const { return impl_->session.wants_write(); }
bool GrpcServerConnection::is_finished() const { return impl_->session.is_finished(); }
void GrpcServerConnection::drain() { impl_->session.drain(); }
void GrpcServerConnection::ping() { impl_->session.ping(impl_->pongs); }
std::uint64_t GrpcServerConnection::pongs() const { return impl_->pongs; }
void GrpcServerConnection::forgive() { impl_->session.forgive(); }
std::size_t GrpcServerConnection::open_calls() const { return impl_->calls.size(); }

}  // namespace weir::http
