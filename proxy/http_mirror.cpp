// SPDX-License-Identifier: Apache-2.0
#include "proxy/http_mirror.h"

#include "proxy/context.h"

namespace weir::proxy {

namespace {
constexpr auto kLimit = std::chrono::seconds(15);  // Envoy's default for a route
}

HttpMirror::~HttpMirror() = default;

void HttpMirror::start(Context& context, ClusterRuntime& cluster, const SocketAddr& destination, std::string method,
                       std::string bytes) {
  Ref<EndpointRuntime> endpoint = cluster.choose(destination, {}, 1);
  if (!endpoint) return;
  auto idle = cluster.take_idle(*endpoint, std::nullopt);
  if (!idle && !cluster.may_connect(*endpoint)) {
    cluster.stats->upstream_cx_overflow.add();
    return;
  }
  std::unique_ptr<HttpMirror> owned(new HttpMirror(context));
  HttpMirror& mirror = *owned;
  mirror.endpoint_ = std::move(endpoint);
  mirror.method_ = std::move(method);
  mirror.out_.text() = std::move(bytes);
  context.sessions.add(std::move(owned));
  cluster.stats->upstream_rq_total.add();
  ++mirror.endpoint_->requests_total;
  mirror.limit_.emplace(context.executor, [&mirror] {
    Scope scope(mirror.context_.sessions);
    mirror.end(false);
  });
  mirror.limit_->expires_after(kLimit);
  if (idle) {
    idle->lend(mirror);
    mirror.upstream_ = std::move(idle);
  } else {
    mirror.upstream_ = UpstreamConnection::open(mirror.endpoint_, mirror);
  }
  mirror.drive();
}

void HttpMirror::on_socket_event() {
  Scope scope(context_.sessions);
  drive();
}

void HttpMirror::drive() {
  if (ended_ || upstream_->state() == UpstreamConnection::State::connecting) return;
  if (upstream_->state() == UpstreamConnection::State::failed || !send() || !receive()) end(false);
}

/// False if the connection failed.
bool HttpMirror::send() {
  if (out_.empty()) return true;
  int error = 0;
  switch (upstream_->socket().flush(out_, error)) {
    case Outgoing::Flush::done: return true;
    case Outgoing::Flush::blocked: upstream_->socket().wait_writable(); return true;
    case Outgoing::Flush::failed: break;
  }
  return false;
}

/// False if there will be no whole answer.
bool HttpMirror::receive() {
  Socket& socket = upstream_->socket();
  while (!ended_ && socket.readable()) {
    kernel::IoResult result = socket.receive_into(upstream_->in);
    if (result.would_block) break;
    if (result.eof || result.error != 0) return false;
    take();
  }
  if (!ended_) socket.wait_readable();
  return true;
}

void HttpMirror::take() {
  Buffer& in = upstream_->in;
  while (!ended_ && !in.empty()) {
    if (!has_head_) {
      http::ParseResult result = http::parse_response_head(in.view(), method_, {}, resume_, response_);
      if (result.state == http::ParseResult::State::error || response_.status == 101) return end(false);
      if (result.state == http::ParseResult::State::need_more) return in.full() ? end(false) : void();
      resume_ = 0;
      has_head_ = response_.status >= 200;
      if (has_head_) body_ = http::BodyReader(response_.framing, response_.content_length, {});
      in.consume(result.consumed);
    } else {
      http::BodyReader::Step step = body_.next(in.view());
      if (step.error) return end(false);
      if (step.consumed == 0 && !step.done) break;
      in.consume(step.consumed);
    }
    if (has_head_ && body_.done()) end(response_.keep_alive && out_.empty());
  }
  if (!ended_ && in.full()) end(false);
}

void HttpMirror::end(bool reusable) {
  if (ended_) return;
  ended_ = true;
  limit_->cancel();
  if (has_head_) endpoint_->cluster->stats->count_response(response_.status);
  if (reusable) {
    upstream_->count_request();
    UpstreamConnection::give_back(std::move(upstream_));
  }
  upstream_.reset();
  context_.sessions.retire(*this);
}

}  // namespace weir::proxy
