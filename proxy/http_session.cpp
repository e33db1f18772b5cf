// SPDX-License-Identifier: Apache-2.0
// The connection: from head to head, to its end.
#include "proxy/http_session.h"

#include <algorithm>

#include "proxy/tcp_session.h"

namespace weir::proxy {

namespace {
constexpr auto kLingerTime = std::chrono::seconds(1);
constexpr std::uint64_t kLingerBytes = 1024 * 1024;
constexpr std::size_t kPipelinedBytes = 16 * 1024;
}  // namespace

HttpSession::HttpSession(std::unique_ptr<Downstream> downstream)
    : downstream_(std::move(downstream)),
      manager_(&std::get<routing::HttpManager>(downstream_->chain->manager)),
      runtime_(&downstream_->snapshot->runtime(*manager_, downstream_->context)),
      last_activity_(downstream_->context.executor.now()) {
  direction = downstream_->listener->direction;
  downstream_->socket.set_user(*this);
  HttpStats& stats = *runtime_->stats;
  stats.downstream_cx_total.add();
  stats.downstream_cx_http1_total.add();
  stats.downstream_cx_active.add();
  stats.downstream_cx_http1_active.add();
}

HttpSession::~HttpSession() {
  if (ex_.in_line) ex_.cluster->stop_waiting(*this);
  if (ex_.active) {
    request_ends(context(), direction);
    runtime_->stats->downstream_rq_active.sub();
    if (ex_.open_counted) --ex_.endpoint->open_requests;
  }
  if (downstream_) count_closed();  // else it was handed on
}

void HttpSession::count_closed() {
  runtime_->stats->downstream_cx_active.sub();
  runtime_->stats->downstream_cx_http1_active.sub();
}

void HttpSession::start() {
  set_idle_timer();
  drive();
}

void HttpSession::on_socket_event() {
  Scope scope(context().sessions);
  last_activity_ = context().executor.now();
  if (stage_ == Stage::waiting && ex_.upstream) on_connecting();
  drive();
}

void HttpSession::drive() {
  if (driving_) return;
  driving_ = true;
  for (bool again = true; again;) {
    switch (stage_) {
      case Stage::reading: again = read_request(); break;
      case Stage::waiting:
        watch_client();
        again = stage_ != Stage::waiting;
        break;
      case Stage::streaming: again = stream(); break;
      case Stage::replying:
        again = flush_client();
        if (again && stage_ == Stage::replying) finish_exchange();
        break;
      case Stage::tunnel: again = run_tunnel(); break;
      case Stage::lingering: again = linger(); break;
      case Stage::closed: again = false; break;
    }
  }
  driving_ = false;
}

/// True if there is something else to do now.
bool HttpSession::read_request() {
  Downstream& down = *downstream_;
  while (true) {
    if (!down.in.empty()) {
      if (!served_any_ && down.in.view().starts_with("PRI * HTTP/2.0\r\n")) {
        pass_through();
        return stage_ != Stage::reading;
      }
      served_any_ = true;
      if (!ex_.active) {
        ex_.active = true;
        ex_.started = context().executor.now();
        ex_.info.start = std::chrono::system_clock::now();
        request_begins(context(), direction);
        runtime_->stats->downstream_rq_active.add();
      }
      http::Limits limits;
      limits.head_bytes = manager_->max_head_bytes;
      http::ParseResult result = http::parse_request_head(down.in.view(), limits, resume_, ex_.request);
      if (result.state == http::ParseResult::State::done) {
        resume_ = 0;
        down.in.pin(result.consumed);
        on_request();
        return true;
      }
      if (result.state == http::ParseResult::State::error) {
        runtime_->stats->downstream_cx_protocol_error.add();
        close_after_ = true;
        reply({.status = result.error.status,
               .details = result.error.detail,
               .body = http::reason_phrase(result.error.status),
               .flag = ResponseFlag::downstream_protocol_error});
        return true;
      }
      if (down.in.full()) down.in.reserve(manager_->max_head_bytes + BlockPool::kBlockBytes);
    } else if (context().draining(direction)) {
      close();
      return false;
    }
    if (!down.socket.readable()) break;
    kernel::IoResult result = down.socket.receive_into(down.in);
    if (result.would_block) break;
    if (result.eof || result.error != 0) {
      if (ex_.active) {
        client_gone();
      } else {
        close();
      }
      return false;
    }
  }
  down.socket.wait_readable();
  if (ex_.active && (!head_timer_ || !head_timer_->armed())) {
    auto limit = manager_->request_headers_timeout.count() > 0 ? manager_->request_headers_timeout : context().options.head_limit;
    if (limit.count() > 0) set_timer(head_timer_, limit, &HttpSession::on_head_timeout);
  }
  return false;
}

/// HTTP/2 where HTTP/1 was expected (a gRPC server's port, say): its bytes go unread to the cluster that takes everything.
void HttpSession::pass_through() {
  context().stats.proxy.detected_http2.add();
  const routing::FilterChain* raw = downstream_->snapshot->raw_chain(*downstream_->chain, context());
  if (raw == nullptr) {
    ex_.active = true;
    ex_.started = context().executor.now();
    ex_.info.start = std::chrono::system_clock::now();
    request_begins(context(), direction);
    runtime_->stats->downstream_rq_active.add();
    close_after_ = true;
    reply({.status = 505,
           .details = "http1.version",
           .body = "HTTP Version Not Supported",
           .flag = ResponseFlag::downstream_protocol_error});
    return;
  }
  downstream_->chain = raw;
  Context& worker = context();
  cancel_timers();
  count_closed();
  auto session = std::make_unique<TcpSession>(std::move(downstream_), nullptr);
  TcpSession& started = *session;
  worker.sessions.add(std::move(session));
  stage_ = Stage::closed;
  idle_timer_.reset();
  worker.sessions.retire(*this);
  started.start();
}

void HttpSession::on_head_timeout() {
  if (stage_ != Stage::reading) return;
  close_after_ = true;
  reply({.status = 408,
         .details = "request_header_timeout",
         .body = "request header timeout",
         .flag = ResponseFlag::duration_timeout});
}

/// While nothing is asked of the client: notice that it goes, take what it sends ahead.
void HttpSession::watch_client() {
  Downstream& down = *downstream_;
  while (down.socket.readable() && down.in.size() < kPipelinedBytes) {
    kernel::IoResult result = down.socket.receive_into(down.in);
    if (result.would_block) break;
    if (result.eof || result.error != 0) {
      client_gone();
      return;
    }
  }
  if (down.in.size() < kPipelinedBytes) down.socket.wait_readable();
}

void HttpSession::client_gone() {
  client_eof_ = true;
  ex_.info.flags.add(ResponseFlag::downstream_closed);
  ex_.info.code_details = "downstream_remote_disconnect";
  if (!ex_.response_started) ex_.info.code = 0;
  runtime_->stats->downstream_rq_rx_reset.add();
  if (ex_.cluster && !ex_.response_complete) ex_.cluster->stats->upstream_rq_cancelled.add();
  record();
  close();
}

/// All of the response has gone to the client.
void HttpSession::finish_exchange() {
  cancel_timers();
  record();
  bool reusable = ex_.upstream && ex_.response_complete && ex_.response.keep_alive && ex_.request_complete &&
                  ex_.to_upstream.empty() && !ex_.upstream_write_failed && ex_.response.framing != http::Framing::until_close;
  bool request_over = ex_.request_complete;
  bool ends = close_after_ || ex_.plan.close || !request_over;
  if (ex_.upstream) {
    ex_.upstream->in.unpin();
    if (reusable) UpstreamConnection::give_back(std::move(ex_.upstream));
  }
  ex_.clear();
  downstream_->in.unpin();
  if (!ends) {
    stage_ = Stage::reading;
    refresh();
    return;
  }
  if (request_over && downstream_->in.empty()) {
    close();
    return;
  }
  // Closing with unread bytes would send a reset, which may destroy the answer on its way.
  kernel::shutdown_write(downstream_->socket.fd());
  stage_ = Stage::lingering;
  later(kLingerTime, &HttpSession::close);
}

/// The next request is routed by the newest configuration.
void HttpSession::refresh() {
  Ref<Snapshot> former_snapshot = downstream_->snapshot;  // holds what runtime_ points to
  if (!downstream_->refresh()) {
    close_after_ = true;  // served once more as it was, then the client dials anew
    return;
  }
  std::shared_ptr<HttpStats> former = runtime_->stats;
  manager_ = &std::get<routing::HttpManager>(downstream_->chain->manager);
  runtime_ = &downstream_->snapshot->runtime(*manager_, context());
  if (former == runtime_->stats) return;
  former->downstream_cx_active.sub();
  former->downstream_cx_http1_active.sub();
  runtime_->stats->downstream_cx_active.add();
  runtime_->stats->downstream_cx_http1_active.add();
}

void HttpSession::on_config() {
  if (stage_ == Stage::reading && !ex_.active) refresh();
}

bool HttpSession::linger() {
  Downstream& down = *downstream_;
  while (true) {
    lingered_ += down.in.size();
    down.in.release();
    if (lingered_ > kLingerBytes) break;
    if (!down.socket.readable()) {
      down.socket.wait_readable();
      return false;
    }
    kernel::IoResult result = down.socket.receive_into(down.in);
    if (result.would_block) continue;
    if (result.eof || result.error != 0) break;
  }
  close();
  return false;
}

bool HttpSession::run_tunnel() {
  if (!flush_client()) return false;
  if (stage_ != Stage::tunnel) return true;
  if (!relay_) relay_.emplace(downstream_->socket, downstream_->in, ex_.upstream->socket(), ex_.upstream->in);
  Relay::State state = relay_->drive();
  ex_.info.bytes_received = relay_->bytes_from_downstream();
  ex_.info.bytes_sent = relay_->bytes_from_upstream();
  if (state == Relay::State::open) return false;
  if (state == Relay::State::downstream_failed) {
    ex_.info.flags.add(ResponseFlag::downstream_closed);
    (void)kernel::set_reset_on_close(ex_.upstream->socket().fd());
  } else if (state == Relay::State::upstream_failed) {
    ex_.info.flags.add(ResponseFlag::upstream_termination);
    (void)kernel::set_reset_on_close(downstream_->socket.fd());
  }
  record();
  close();
  return false;
}

void HttpSession::close() {
  if (stage_ == Stage::closed) return;
  stage_ = Stage::closed;
  if (ex_.in_line) ex_.cluster->stop_waiting(*this);
  ex_.in_line = false;
  cancel_timers();
  drop_upstream();
  context().sessions.retire(*this);
}

void HttpSession::drain() {
  if (stage_ == Stage::reading && !ex_.active) close();
}

bool HttpSession::keeps_alive() const {
  return ex_.request.keep_alive && !close_after_ && !client_eof_ && !downstream_->context.draining(direction);
}

void HttpSession::set_timer(std::optional<io::Timer>& timer, io::Duration delay, void (HttpSession::*handler)()) {
  if (!timer) {
    timer.emplace(context().executor, [this, handler] {
      Scope scope(context().sessions);
      if (stage_ == Stage::closed) return;
      (this->*handler)();
      drive();
    });
  }
  timer->expires_after(delay);
}

void HttpSession::later(io::Duration delay, void (HttpSession::*handler)()) {
  delay_handler_ = handler;
  set_timer(delay_timer_, delay, &HttpSession::on_later);
}

void HttpSession::on_later() { (this->*delay_handler_)(); }

void HttpSession::cancel_timers() {
  for (auto* timer : {&head_timer_, &delay_timer_, &route_timer_, &try_timer_})
    if (*timer) (*timer)->cancel();
}

void HttpSession::set_idle_timer() {
  io::Duration limit = manager_->idle_timeout;
  for (io::Duration other : {io::Duration(manager_->stream_idle_timeout), io::Duration(stream_idle_limit())})
    if (other.count() > 0 && (limit.count() == 0 || other < limit)) limit = other;
  if (limit.count() > 0) set_timer(idle_timer_, limit, &HttpSession::on_idle);
}

routing::Milliseconds HttpSession::stream_idle_limit() const {
  return ex_.forward != nullptr && ex_.forward->idle_timeout ? *ex_.forward->idle_timeout : manager_->stream_idle_timeout;
}

/// Set for the shortest of the limits and left to run; what applies is looked at here.
void HttpSession::on_idle() {
  bool in_stream = stage_ == Stage::waiting || stage_ == Stage::streaming || stage_ == Stage::replying;
  io::Duration limit = in_stream ? io::Duration(stream_idle_limit()) : io::Duration(manager_->idle_timeout);
  io::Duration idled = context().executor.now() - last_activity_;
  if (limit.count() == 0 || idled < limit) {
    if (limit.count() == 0)
      set_idle_timer();
    else
      idle_timer_->expires_after(limit - idled);
    return;
  }
  if (!in_stream) {
    runtime_->stats->downstream_cx_idle_timeout.add();
    if (stage_ == Stage::tunnel) record();
    close();
    return;
  }
  runtime_->stats->downstream_rq_idle_timeout.add();
  ex_.info.flags.add(ResponseFlag::stream_idle_timeout);
  if (ex_.response_started) {
    ex_.info.code_details = "stream_idle_timeout";
    record();
    close();
    return;
  }
  close_after_ = !ex_.request_complete;
  reply({.status = static_cast<std::uint16_t>(ex_.request_complete ? 504 : 408),
         .details = "stream_idle_timeout",
         .body = "stream timeout",
         .flag = ResponseFlag::stream_idle_timeout});
}

}  // namespace weir::proxy
