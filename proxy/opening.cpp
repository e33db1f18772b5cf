// SPDX-License-Identifier: Apache-2.0
#include "proxy/opening.h"

#include "proxy/http_session.h"
#include "proxy/tcp_session.h"

namespace weir::proxy {

namespace {
constexpr auto kSilence = std::chrono::hours(1);  // as idle connections elsewhere
}

Opening::Opening(Context& context, UniqueFd fd)
    : downstream_(std::make_unique<Downstream>(context, std::move(fd), static_cast<SocketUser&>(*this))) {}
Opening::~Opening() = default;

void Opening::start(Context& context, UniqueFd fd, const SocketAddr& peer, const SocketAddr& original,
                    const routing::Listener& bound, std::shared_ptr<ListenerStats> stats) {
  std::unique_ptr<Opening> opening(new Opening(context, std::move(fd)));
  Downstream& downstream = *opening->downstream_;
  downstream.peer = peer;
  downstream.listener_stats = std::move(stats);
  downstream.original = original;
  if (bound.original_src_mark) downstream.source = ClientSource{peer.ip, *bound.original_src_mark};
  downstream.accepted = std::chrono::system_clock::now();
  downstream.started = context.executor.now();
  downstream.snapshot = context.snapshot;
  downstream.bound_name = bound.name;
  downstream.listener = bound.use_original_dst ? &context.snapshot->config->listeners->for_destination(bound, original) : &bound;
  downstream.id = ++context.next_stream;
  opening->direction = downstream.listener->direction;
  Opening& self = *opening;
  context.sessions.add(std::move(opening));
  if (needs_detection(*downstream.listener, original))
    self.drive();
  else
    self.proceed();
}

void Opening::on_socket_event() {
  Scope scope(downstream_->context.sessions);
  drive();
}

void Opening::drain() {
  // Nothing was asked yet; who speaks after this finds a closed connection, as with any keep-alive limit.
  if (downstream_->in.empty()) end();
}

void Opening::drive() {
  if (ended_) return;
  if (speculative_) listen_to_server();
  if (!ended_) read_client();
  if (ended_ || !downstream_->in.empty() || speculated_) return;
  if (downstream_->context.server_first.expected(downstream_->original)) {
    speculate();
  } else if (!timer_) {
    timer_.emplace(downstream_->context.executor, [this] { on_timer(); });
    timer_->expires_after(downstream_->context.options.server_first_wait);
  }
}

void Opening::read_client() {
  Downstream& downstream = *downstream_;
  bool was_empty = downstream.in.empty();
  while (downstream.socket.readable() && downstream.in.size() < kDetectBytes) {
    kernel::IoResult result = downstream.socket.receive_into(downstream.in);
    if (result.would_block) break;
    if (result.error != 0 || (result.eof && downstream.in.empty())) {
      end();
      return;
    }
    if (result.eof) {
      // Whatever it is, there will not be more of it.
      Detection detection = detect(downstream.in.view());
      if (detection.protocol == Detection::Protocol::undecided) detection.protocol = Detection::Protocol::raw;
      decide(std::move(detection));
      return;
    }
  }
  if (downstream.in.empty()) {
    downstream.socket.wait_readable();
    return;
  }
  Detection detection = detect(downstream.in.view());
  if (detection.protocol != Detection::Protocol::undecided) {
    decide(std::move(detection));
    return;
  }
  downstream.socket.wait_readable();
  if (!was_empty) return;
  auto limit = downstream.context.options.detect_limit;
  if (downstream.listener->detect_timeout.count() > 0) limit = std::min(limit, downstream.listener->detect_timeout);
  if (!timer_) timer_.emplace(downstream.context.executor, [this] { on_timer(); });
  timer_->expires_after(limit);
}

void Opening::on_timer() {
  Scope scope(downstream_->context.sessions);
  if (ended_) return;
  if (downstream_->in.empty()) {
    if (speculated_)
      end();  // both sides silent for an hour
    else
      speculate();
    return;
  }
  downstream_->context.stats.proxy.detect_timeout.add();
  if (downstream_->listener_stats) downstream_->listener_stats->downstream_pre_cx_timeout.add();
  Detection detection;
  detection.protocol = Detection::Protocol::raw;
  decide(std::move(detection));
}

void Opening::speculate() {
  speculated_ = true;
  if (!timer_) timer_.emplace(downstream_->context.executor, [this] { on_timer(); });
  timer_->expires_after(kSilence);
  speculative_chain_ = downstream_->match();
  if (speculative_chain_ == nullptr) return;
  const auto* manager = std::get_if<routing::TcpManager>(&speculative_chain_->manager);
  if (manager == nullptr) return;
  speculative_ = std::make_unique<TcpConnector>(downstream_->context, *downstream_->snapshot, *manager, downstream_->original,
                                                downstream_->source, static_cast<SocketUser&>(*this));
  speculative_->start();
  listen_to_server();
}

void Opening::listen_to_server() {
  if (speculative_->state() == TcpConnector::State::connecting) return;
  if (speculative_->state() == TcpConnector::State::connected) {
    UpstreamConnection& upstream = speculative_->connection();
    kernel::IoResult result;
    if (upstream.socket().readable()) result = upstream.socket().receive_into(upstream.in);
    if (!upstream.in.empty()) {
      downstream_->context.stats.proxy.detected_server_first.add();
      downstream_->context.server_first.learn(downstream_->original);
      proceed();
      return;
    }
    if (!result.eof && result.error == 0) {
      upstream.socket().wait_readable();
      return;
    }
  }
  // Nobody there, or it went without a word: when the client speaks, the attempt is made anew, and its failure is recorded then.
  speculative_.reset();
}

void Opening::decide(Detection detection) {
  Downstream& downstream = *downstream_;
  ProxyStats& stats = downstream.context.stats.proxy;
  const routing::Listener& listener = *downstream.listener;
  bool sees_http = listener.detect_http && !listener.detect_http_off.contains(downstream.original.port);
  bool sees_tls = listener.detect_tls && !listener.detect_tls_off.contains(downstream.original.port);
  if (speculated_) downstream.context.server_first.forget(downstream.original);
  switch (detection.protocol) {
    case Detection::Protocol::http1:
      stats.detected_http1.add();
      if (sees_http) downstream.application = "http/1.1";
      break;
    case Detection::Protocol::http2:
      // Passed through as it is by the chain for raw TCP.
      stats.detected_http2.add();
      break;
    case Detection::Protocol::tls:
      stats.detected_tls.add();
      if (!sees_tls) break;
      downstream.is_tls = true;
      downstream.server_name = std::move(detection.server_name);
      if (!detection.application_protocols.empty()) downstream.application = std::move(detection.application_protocols.front());
      break;
    case Detection::Protocol::raw:
    case Detection::Protocol::undecided: stats.detected_raw.add(); break;
  }
  proceed();
}

void Opening::proceed() {
  Downstream& downstream = *downstream_;
  downstream.chain = downstream.match();
  if (downstream.chain == nullptr) {
    refuse();
    return;
  }
  ended_ = true;
  timer_.reset();
  Context& context = downstream.context;
  if (speculative_ && speculative_chain_ != downstream.chain) speculative_.reset();
  if (std::holds_alternative<routing::TcpManager>(downstream.chain->manager)) {
    auto session = std::make_unique<TcpSession>(std::move(downstream_), std::move(speculative_));
    TcpSession& started = *session;
    context.sessions.add(std::move(session));
    context.sessions.retire(*this);
    started.start();
    return;
  }
  auto session = std::make_unique<HttpSession>(std::move(downstream_));
  HttpSession& started = *session;
  context.sessions.add(std::move(session));
  context.sessions.retire(*this);
  started.start();
}

void Opening::refuse() {
  Downstream& downstream = *downstream_;
  if (downstream.listener_stats) downstream.listener_stats->no_filter_chain_match.add();
  if (const AccessLog* log = downstream.snapshot->listener_log(*downstream.listener)) {
    StreamInfo info;
    info.start = downstream.accepted;
    info.flags.add(ResponseFlag::no_route);
    info.code_details = "filter_chain_not_found";
    info.downstream_local = downstream.original;
    info.downstream_remote = downstream.peer;
    info.server_name = downstream.server_name;
    info.stream_id = downstream.id;
    log->log(downstream.context.logs, {.info = info});
  }
  (void)kernel::set_reset_on_close(downstream.socket.fd());
  end();
}

void Opening::end() {
  ended_ = true;
  downstream_->context.sessions.retire(*this);
}

}  // namespace weir::proxy
