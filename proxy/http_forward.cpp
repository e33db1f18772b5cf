// SPDX-License-Identifier: Apache-2.0
// Bytes of a request and its response, both ways at once: an early response does not wait for the request's end, nor block it.
#include <charconv>

#include "base/text.h"
#include "proxy/http_session.h"

namespace weir::proxy {

/// True if there is something else to do now.
bool HttpSession::stream() { return pump_request() || pump_response() || stage_ != Stage::streaming; }

// ---- request

void HttpSession::add_request_body(std::string_view payload) {
  if (payload.empty()) return;
  bool chunked = ex_.request.framing == http::Framing::chunked;
  if (chunked) http::write_chunk_size(ex_.to_upstream.text(), payload.size());
  ex_.to_upstream.add(payload);
  if (chunked) ex_.to_upstream.text() += "\r\n";
}

void HttpSession::end_request_body() {
  if (ex_.request.framing == http::Framing::chunked) http::write_last_chunk(ex_.to_upstream.text(), ex_.request_body.trailers());
}

void HttpSession::refuse_request_body(const char* detail) {
  runtime_->stats->downstream_cx_protocol_error.add();
  close_after_ = true;
  if (!ex_.response_started) {
    reply({.status = 400, .details = detail, .body = "Bad Request", .flag = ResponseFlag::downstream_protocol_error});
    return;
  }
  ex_.info.flags.add(ResponseFlag::downstream_protocol_error);
  end_short(detail);
}

/// Takes what was received of the body. Replies and leaves the streaming stage if it is malformed.
void HttpSession::take_request_body() {
  Buffer& in = downstream_->in;
  while (!ex_.request_complete && !in.empty() && !ex_.to_upstream.full()) {
    http::BodyReader::Step step = ex_.request_body.next(in.view());
    if (step.error) {
      refuse_request_body(step.detail);
      return;
    }
    ex_.info.bytes_received += step.payload.size();
    if (ex_.replayable) {
      if (ex_.replay.size() + step.payload.size() > context().options.replay_bytes) {
        ex_.replayable = false;
        ex_.replay = {};
      } else {
        ex_.replay += step.payload;
      }
    }
    add_request_body(step.payload);
    in.consume(step.consumed);  // the bytes stay where they are until the next receive
    if (step.done) {
      ex_.request_complete = true;
      end_request_body();
      request_was_received();
      start_try_timer();
    } else if (step.consumed == 0) {
      break;
    }
  }
}

/// True if the stage changed.
bool HttpSession::pump_request() {
  Downstream& down = *downstream_;
  while (true) {
    // A response that came before its request was complete: what is left of the request is dealt with after it.
    if (ex_.response_complete) return false;
    take_request_body();
    if (stage_ != Stage::streaming) return true;
    if (!ex_.to_upstream.empty() && !ex_.upstream_write_failed) {
      Socket& socket = ex_.upstream->socket();
      int error = 0;
      switch (socket.writable() ? socket.flush(ex_.to_upstream, error) : Outgoing::Flush::blocked) {
        case Outgoing::Flush::done: break;
        case Outgoing::Flush::blocked: socket.wait_writable(); return false;
        case Outgoing::Flush::failed:
          // It may have answered before it stopped to listen: the reading side decides.
          ex_.upstream_write_failed = true;
          break;
      }
    }
    if (ex_.upstream_write_failed) return false;
    if (ex_.request_complete) {
      watch_client();
      return stage_ != Stage::streaming;
    }
    if (down.in.full()) {  // by the trailers, after a head that fills the block
      refuse_request_body("http1.trailers_too_large");
      return true;
    }
    if (!down.socket.readable()) break;
    kernel::IoResult result = down.socket.receive_into(down.in);
    if (result.would_block) break;
    if (result.eof || result.error != 0) {
      client_gone();
      return true;
    }
  }
  down.socket.wait_readable();
  return false;
}

// ---- response

/// True if a final head was taken. Leaves the streaming stage if it is none.
bool HttpSession::take_response_head() {
  Buffer& in = ex_.upstream->in;
  while (!in.empty()) {
    http::ParseResult result = http::parse_response_head(in.view(), ex_.request.method, {}, ex_.response_resume, ex_.response);
    if (result.state == http::ParseResult::State::need_more) {
      if (in.full()) in.reserve(2 * BlockPool::kBlockBytes);
      return false;
    }
    if (result.state == http::ParseResult::State::error) {
      ex_.cluster->stats->upstream_cx_protocol_error.add();
      attempt_failed(Failure::protocol, "");
      return false;
    }
    ex_.response_resume = 0;
    std::uint16_t status = ex_.response.status;
    bool is_final = status >= 200 || (status == 101 && ex_.is_upgrade);
    if (is_final) {
      in.pin(result.consumed);
      return true;
    }
    // A 101 that nobody asked for; or 1xx without an end, which together may be as large as one head.
    ex_.interim_bytes += result.consumed;
    if (status == 101 || ex_.interim_bytes > http::Limits{}.head_bytes) {
      ex_.cluster->stats->upstream_cx_protocol_error.add();
      attempt_failed(Failure::protocol, "");
      return false;
    }
    bool wanted = (status == 100 && ex_.request.expect_continue && manager_->proxy_100_continue) || status == 103;
    if (wanted && ex_.request.version == http::Version::http11) {
      http::remove_hop_by_hop(ex_.response.headers, false);
      http::write_response_head(to_client_.text(), status, http::reason_phrase(status), http::Version::http11,
                                ex_.response.headers);
    }
    in.consume(result.consumed);
  }
  return false;
}

void HttpSession::edit_response() {
  http::HeaderMap& headers = ex_.response.headers;
  http::remove_hop_by_hop(headers, ex_.plan.framing == http::Framing::tunnel);
  // The other side's proxy names the operation for our trace; the workload has no use for it.
  if (direction == routing::Direction::outbound) headers.remove("x-envoy-decorator-operation");
  auto now = context().executor.now();
  ex_.info.upstream_service_time = std::chrono::duration_cast<std::chrono::milliseconds>(now - ex_.attempt_started);
  ex_.info.response_duration = std::chrono::duration_cast<std::chrono::milliseconds>(now - ex_.started);
  char text[24];
  auto end = std::to_chars(text, text + sizeof text, ex_.info.upstream_service_time->count()).ptr;
  headers.set("x-envoy-upstream-service-time", {text, static_cast<std::size_t>(end - text)});
  if (manager_->overwrite_server || !headers.has("server")) headers.set("server", manager_->server_name);
  if (!headers.has("date")) headers.append("date", context().date.text(std::chrono::system_clock::now()));
  if (manager_->cors_filter && ex_.route->cors) add_cors_headers(headers);
  auto expander = [this](const routing::HeaderValue& value, std::string& out) { expand(value, out); };
  for (const routing::HeaderEdits* edits : {&ex_.weighted->response_headers, &ex_.route->response_headers,
                                            &ex_.host->response_headers, &runtime_->routes->response_headers()})
    if (!edits->empty()) apply_edits(headers, *edits, expander);
}

/// The final head has come.
void HttpSession::begin_response() {
  http::ResponseHead& head = ex_.response;
  ex_.cluster->stats->count_response(head.status);
  if (head.status >= 500) ++ex_.endpoint->errors;
  if (try_timer_) try_timer_->cancel();
  if (may_retry_response() && schedule_retry()) return;
  if (ex_.attempts > 1 && head.status < 500) ex_.cluster->stats->upstream_rq_retry_success.add();
  ex_.plan = plan_response(head, ex_.request.version, keeps_alive());
  ex_.info.code = head.status;
  ex_.info.code_details = "via_upstream";
  edit_response();
  write_client_head(to_client_.text(), head.status, head.reason.empty() ? http::reason_phrase(head.status) : head.reason,
                    head.headers, ex_.plan, ex_.request.version);
  ex_.response_started = true;
  if (ex_.plan.framing == http::Framing::tunnel) {
    begin_tunnel();
    return;
  }
  ex_.response_body = http::BodyReader(head.framing, head.content_length, {});
  ex_.response_complete = ex_.response_body.done();
}

void HttpSession::begin_tunnel() {
  stage_ = Stage::tunnel;
  if (route_timer_) route_timer_->cancel();
  runtime_->stats->downstream_cx_upgrades_total.add();
}

/// True if bytes were taken.
bool HttpSession::take_response_body() {
  Buffer& in = ex_.upstream->in;
  bool chunked = ex_.plan.framing == http::Framing::chunked;
  while (!ex_.response_complete && !in.empty() && !to_client_.full()) {
    http::BodyReader::Step step = ex_.response_body.next(in.view());
    if (step.error) {
      ex_.cluster->stats->upstream_cx_protocol_error.add();
      ex_.info.flags.add(ResponseFlag::upstream_protocol_error);
      end_short("upstream_reset_after_response_started{protocol_error}");
      return false;
    }
    ex_.info.bytes_sent += step.payload.size();
    if (!step.payload.empty()) {
      if (chunked) http::write_chunk_size(to_client_.text(), step.payload.size());
      to_client_.add(step.payload);
      if (chunked) to_client_.text() += "\r\n";
    }
    in.consume(step.consumed);
    if (step.done)
      complete_response();
    else if (step.consumed == 0)
      break;
  }
  return true;
}

void HttpSession::complete_response() {
  ex_.response_complete = true;
  if (auto status = ex_.response_body.trailers().get("grpc-status"))
    if (auto number = parse_uint(*status, 254)) ex_.grpc_status = static_cast<std::uint8_t>(*number);
  if (ex_.plan.framing == http::Framing::chunked) http::write_last_chunk(to_client_.text(), ex_.response_body.trailers());
}

/// The response cannot be completed: the client must not take it for whole.
void HttpSession::end_short(std::string_view details) {
  ex_.info.code_details = details;
  int error = 0;
  if (downstream_->socket.writable()) (void)downstream_->socket.flush(to_client_, error);
  record();
  close();
}

/// The upstream closed or failed.
void HttpSession::upstream_ended(int error) {
  ClusterCounters& stats = *ex_.cluster->stats;
  stats.upstream_cx_destroy_remote.add();
  if (ex_.response_started) {
    if (error == 0 && ex_.response_body.on_eof()) {
      complete_response();
      return;
    }
    stats.upstream_cx_destroy_remote_with_active_rq.add();
    ex_.info.flags.add(ResponseFlag::upstream_termination);
    end_short("upstream_reset_after_response_started{connection_termination}");
    return;
  }
  stats.upstream_cx_destroy_remote_with_active_rq.add();
  stats.upstream_rq_rx_reset.add();
  // A kept connection that closes without a byte of answer was closing already when the request went out. A reset says that
  // nobody read it; after a mere end only what may be sent twice is sent again.
  bool reset = error != 0 || ex_.upstream_write_failed;
  if (ex_.upstream->reused() && !ex_.upstream_byte_seen && !ex_.raced && ex_.replayable &&
      (reset || is_idempotent(ex_.request.method))) {
    ex_.raced = true;
    drop_upstream();
    attempt();
    return;
  }
  attempt_failed(reset ? Failure::reset : Failure::closed, "");
}

bool HttpSession::flush_client() {
  if (to_client_.empty()) return true;
  int error = 0;
  Socket& socket = downstream_->socket;
  switch (socket.writable() ? socket.flush(to_client_, error) : Outgoing::Flush::blocked) {
    case Outgoing::Flush::done: return true;
    case Outgoing::Flush::blocked: socket.wait_writable(); return false;
    case Outgoing::Flush::failed: break;
  }
  client_gone();
  return true;
}

/// True if the stage changed.
bool HttpSession::pump_response() {
  while (stage_ == Stage::streaming) {
    // Nothing is taken while views of this buffer wait to be sent.
    if (to_client_.empty() && !ex_.upstream->in.empty()) {
      if (!ex_.response_started && take_response_head()) begin_response();
      if (stage_ == Stage::streaming && ex_.response_started && !take_response_body()) return true;
      if (stage_ != Stage::streaming) return true;
    }
    if (!flush_client()) return false;
    if (stage_ != Stage::streaming) return true;
    if (ex_.response_complete) {
      ex_.upstream->count_request();
      finish_exchange();
      return true;
    }
    Socket& socket = ex_.upstream->socket();
    if (ex_.upstream->in.full()) {
      ex_.info.flags.add(ResponseFlag::upstream_protocol_error);
      end_short("upstream_reset_after_response_started{protocol_error}");
      return true;
    }
    if (!socket.readable()) {
      socket.wait_readable();
      return false;
    }
    kernel::IoResult result = socket.receive_into(ex_.upstream->in);
    if (result.would_block) {
      socket.wait_readable();
      return false;
    }
    if (result.eof || result.error != 0) {
      upstream_ended(result.error);
      if (!ex_.response_started) return true;  // perhaps with another connection
    } else {
      ex_.upstream_byte_seen = true;
    }
  }
  return true;
}

}  // namespace weir::proxy
