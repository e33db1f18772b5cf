// SPDX-License-Identifier: Apache-2.0
// Attempts: endpoint, connection, failure, retry.
#include <algorithm>

#include "proxy/http_mirror.h"
#include "proxy/http_session.h"

namespace weir::proxy {

namespace {

struct FailureText {
  std::uint16_t status;
  ResponseFlag flag;
  std::string_view reason;
};

constexpr std::string_view kResetText = "upstream connect error or disconnect/reset before headers. reset reason: ";
constexpr std::string_view kRetriedText =
    "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: ";

}  // namespace

void HttpSession::attempt() {
  const CircuitLimits& limits = ex_.cluster->config().limits;
  if (!ex_.request_limit.take(ex_.cluster->circuit->requests, limits.max_requests)) {
    ex_.cluster->stats->upstream_rq_pending_overflow.add();
    attempt_failed(Failure::overflow, "");
    return;
  }
  ex_.endpoint = ex_.cluster->choose(downstream_->original, ex_.tried, std::max(1U, ex_.forward->retry.host_attempts));
  if (!ex_.endpoint) {
    ex_.cluster->stats->upstream_cx_none_healthy.add();
    reply({.status = 503,
           .details = "no_healthy_upstream",
           .body = "no healthy upstream",
           .flag = ResponseFlag::no_healthy_upstream});
    return;
  }
  ex_.info.upstream_host = ex_.endpoint->dial_address();
  ex_.info.attempts = ++ex_.attempts;
  connect_or_wait();
}

void HttpSession::connect_or_wait() {
  ClusterRuntime& cluster = *ex_.cluster;
  // After a lost race with an idle close only a fresh connection will do.
  if (auto idle = ex_.raced ? nullptr : cluster.take_idle(*ex_.endpoint, downstream_->source)) {
    idle->lend(*this);
    use(std::move(idle));
    return;
  }
  if (!ex_.pending_limit.take(cluster.circuit->pending, cluster.config().limits.max_pending_requests)) {
    cluster.stats->upstream_rq_pending_overflow.add();
    attempt_failed(Failure::overflow, "");
    return;
  }
  cluster.stats->upstream_rq_pending_total.add();
  stage_ = Stage::waiting;
  if (!cluster.may_connect(*ex_.endpoint)) {
    cluster.stats->upstream_cx_overflow.add();
    cluster.wait(*this, ex_.endpoint, downstream_->source);
    ex_.in_line = true;
    return;
  }
  ex_.upstream = UpstreamConnection::open(ex_.endpoint, *this, downstream_->source);
  on_connecting();
}

void HttpSession::on_connecting() {
  switch (ex_.upstream->state()) {
    case UpstreamConnection::State::connecting: return;
    case UpstreamConnection::State::connected: use(std::move(ex_.upstream)); return;
    case UpstreamConnection::State::failed: break;
  }
  Failure failure = ex_.upstream->timed_out() ? Failure::connect_timeout : Failure::connect;
  std::string reason = ex_.upstream->failure();
  ex_.info.upstream_transport_failure_reason = reason;
  drop_upstream();
  attempt_failed(failure, reason);
}

void HttpSession::on_connection_offered(std::unique_ptr<UpstreamConnection> connection) {
  Scope scope(context().sessions);
  ex_.in_line = false;
  connection->lend(*this);
  use(std::move(connection));
  drive();
}

void HttpSession::on_connection_allowed() {
  Scope scope(context().sessions);
  ex_.in_line = false;
  ex_.upstream = UpstreamConnection::open(ex_.endpoint, *this, downstream_->source);
  on_connecting();
  drive();
}

/// Connected: the request goes out, as far as it is there.
void HttpSession::use(std::unique_ptr<UpstreamConnection> connection) {
  ex_.upstream = std::move(connection);
  ex_.pending_limit.reset();
  stage_ = Stage::streaming;
  if (runtime_->log != nullptr) ex_.info.upstream_local = ex_.upstream->local_address();
  ++ex_.endpoint->open_requests;
  ++ex_.endpoint->requests_total;
  ex_.open_counted = true;
  ex_.cluster->stats->upstream_rq_total.add();
  ex_.cluster->stats->upstream_rq_active.add();
  ex_.attempt_started = context().executor.now();
  ex_.upstream_byte_seen = ex_.upstream_write_failed = false;
  if (ex_.host->attempt_count) ex_.request.headers.set("x-envoy-attempt-count", std::to_string(ex_.attempts));
  write_upstream_head(ex_.to_upstream.text(), ex_.request, ex_.path);
  if (!ex_.replay.empty()) add_request_body(ex_.replay);
  if (ex_.request_complete) {
    end_request_body();
    start_try_timer();
  }
}

void HttpSession::start_try_timer() {
  auto limit = ex_.forward->retry.per_try_timeout;
  if (limit.count() > 0) set_timer(try_timer_, limit, &HttpSession::on_try_timeout);
}

/// Copies go out when the request is complete; one whose body was too large to keep is not copied.
void HttpSession::send_mirrors() {
  for (const routing::Mirror& mirror : ex_.forward->mirrors) {
    if (!ex_.replayable || !context().random.chance(mirror.share)) continue;
    ClusterRuntime* cluster = context().clusters->find(*ex_.snapshot->config, mirror.cluster);
    if (cluster == nullptr) continue;
    http::RequestHead& head = ex_.request;
    std::string bytes;
    write_upstream_head(bytes, head, ex_.path);
    // As Envoy marks them: from inside, for this client.
    bytes.resize(bytes.size() - 2);
    bytes += "x-envoy-internal: true\r\n";
    if (!head.headers.has("x-forwarded-for")) bytes += "x-forwarded-for: " + downstream_->peer.ip.to_text() + "\r\n";
    bytes += "\r\n";
    bool chunked = head.framing == http::Framing::chunked;
    if (chunked && !ex_.replay.empty()) http::write_chunk_size(bytes, ex_.replay.size());
    bytes += ex_.replay;
    if (chunked && !ex_.replay.empty()) bytes += "\r\n";
    if (chunked) http::write_last_chunk(bytes, ex_.request_body.trailers());
    HttpMirror::start(context(), *cluster, downstream_->original, std::string(head.method), std::move(bytes));
  }
}

/// The whole request is here: the time limits of the route begin.
void HttpSession::request_was_received() {
  if (!ex_.forward->mirrors.empty() && !ex_.is_upgrade) send_mirrors();
  ex_.info.request_duration = std::chrono::duration_cast<std::chrono::milliseconds>(context().executor.now() - ex_.started);
  if (ex_.forward->timeout.count() > 0) set_timer(route_timer_, ex_.forward->timeout, &HttpSession::on_route_timeout);
}

void HttpSession::drop_upstream() {
  if (try_timer_) try_timer_->cancel();
  ex_.to_upstream.clear();
  ex_.pending_limit.reset();
  if (ex_.open_counted) {
    --ex_.endpoint->open_requests;
    ex_.cluster->stats->upstream_rq_active.sub();
    ex_.open_counted = false;
  }
  if (ex_.upstream) ex_.cluster->stats->upstream_cx_destroy_local.add();
  // The response's views are of this connection's buffer.
  ex_.response.clear();
  ex_.response_resume = 0;
  relay_.reset();
  ex_.upstream.reset();
}

bool HttpSession::may_retry(Failure failure) const {
  using routing::RetryOn;
  const routing::RetryPolicy& policy = ex_.forward->retry;
  if (failure == Failure::overflow || !ex_.replayable || ex_.response_started) return false;
  if (policy.has(RetryOn::five_xx) || policy.has(RetryOn::gateway_error) || policy.has(RetryOn::reset)) return true;
  bool connecting = failure == Failure::connect || failure == Failure::connect_timeout;
  return connecting && (policy.has(RetryOn::connect_failure) || policy.has(RetryOn::reset_before_request));
}

bool HttpSession::may_retry_response() const {
  using routing::RetryOn;
  const routing::RetryPolicy& policy = ex_.forward->retry;
  if (policy.on == 0 || !ex_.replayable || ex_.is_upgrade) return false;
  std::uint16_t code = ex_.response.status;
  if (code >= 500 && policy.has(RetryOn::five_xx)) return true;
  if (code >= 502 && code <= 504 && policy.has(RetryOn::gateway_error)) return true;
  if (code == 409 && policy.has(RetryOn::retriable_4xx)) return true;
  if (policy.has(RetryOn::envoy_ratelimited) && ex_.response.headers.has("x-envoy-ratelimited")) return true;
  if (policy.has(RetryOn::retriable_status_codes) &&
      std::find(policy.status_codes.begin(), policy.status_codes.end(), code) != policy.status_codes.end())
    return true;
  auto status = ex_.response.headers.get("grpc-status");  // only where it comes in the head
  if (!status) return false;
  return (*status == "1" && policy.has(RetryOn::cancelled)) || (*status == "4" && policy.has(RetryOn::deadline_exceeded)) ||
         (*status == "8" && policy.has(RetryOn::resource_exhausted)) || (*status == "13" && policy.has(RetryOn::internal)) ||
         (*status == "14" && policy.has(RetryOn::unavailable));
}

/// False if there is none left (flag URX) or the cluster has too many under way (UO).
bool HttpSession::schedule_retry() {
  if (ex_.retries_left == 0) {
    if (ex_.forward->retry.retries > 0) {
      ex_.info.flags.add(ResponseFlag::retry_limit);
      ex_.cluster->stats->upstream_rq_retry_limit_exceeded.add();
    }
    return false;
  }
  if (!ex_.retry_limit.take(ex_.cluster->circuit->retries, ex_.cluster->config().limits.max_retries)) {
    ex_.info.flags.add(ResponseFlag::upstream_overflow);
    ex_.cluster->stats->upstream_rq_retry_overflow.add();
    return false;
  }
  --ex_.retries_left;
  ex_.cluster->stats->upstream_rq_retry.add();
  if (ex_.endpoint) ex_.tried.push_back(ex_.endpoint);
  drop_upstream();
  stage_ = Stage::waiting;
  // Envoy: random in [0, (2^n - 1) * base), at most the cap.
  const routing::RetryPolicy& policy = ex_.forward->retry;
  auto n = std::min(ex_.attempts, 20U);
  auto ceiling = std::min<std::int64_t>(policy.base_interval.count() * ((1LL << n) - 1), policy.max_interval.count());
  auto wait = context().random.below(static_cast<std::uint64_t>(std::max<std::int64_t>(ceiling, 1)));
  later(std::chrono::milliseconds(wait), &HttpSession::on_retry_time);
  return true;
}

void HttpSession::on_retry_time() { attempt(); }

void HttpSession::attempt_failed(Failure failure, std::string_view transport_reason) {
  if (ex_.endpoint && failure != Failure::overflow) ++ex_.endpoint->errors;
  if (may_retry(failure) && schedule_retry()) return;
  FailureText text{};
  switch (failure) {
    case Failure::connect: text = {503, ResponseFlag::upstream_connect_failure, "remote connection failure"}; break;
    case Failure::connect_timeout: text = {503, ResponseFlag::upstream_connect_failure, "connection timeout"}; break;
    case Failure::closed:
    case Failure::reset: text = {503, ResponseFlag::upstream_termination, "connection termination"}; break;
    case Failure::protocol: text = {502, ResponseFlag::upstream_protocol_error, "protocol error"}; break;
    case Failure::overflow: text = {503, ResponseFlag::upstream_overflow, "overflow"}; break;
    case Failure::try_timeout:
      drop_upstream();
      reply({.status = 504,
             .details = "upstream_per_try_timeout",
             .body = "upstream request timeout",
             .flag = ResponseFlag::upstream_timeout});
      return;
  }
  drop_upstream();
  std::string details = "upstream_reset_before_response_started{";
  details += text.reason;
  if (!transport_reason.empty() && failure == Failure::connect) details.append("|").append(transport_reason);
  details += '}';
  ex_.reply_body = ex_.attempts > 1 ? kRetriedText : kResetText;
  ex_.reply_body += text.reason;
  if (failure == Failure::overflow) ex_.reply_headers.append("x-envoy-overloaded", "true");
  reply({.status = text.status, .details = details, .body = ex_.reply_body, .flag = text.flag});
}

void HttpSession::on_try_timeout() {
  if (stage_ != Stage::streaming || ex_.response_started) return;
  ex_.cluster->stats->upstream_rq_per_try_timeout.add();
  attempt_failed(Failure::try_timeout, "");
}

void HttpSession::on_route_timeout() {
  ex_.cluster->stats->upstream_rq_timeout.add();
  if (ex_.in_line) ex_.cluster->stop_waiting(*this);
  ex_.in_line = false;
  if (delay_timer_) delay_timer_->cancel();
  if (ex_.response_started) {
    // Nothing can be said any more but that it ends too early.
    ex_.info.flags.add(ResponseFlag::upstream_timeout);
    ex_.info.code_details = "response_timeout";
    record();
    close();
    return;
  }
  drop_upstream();
  reply(
      {.status = 504, .details = "response_timeout", .body = "upstream request timeout", .flag = ResponseFlag::upstream_timeout});
}

}  // namespace weir::proxy
