// SPDX-License-Identifier: Apache-2.0
// Answers of our own, and the record of every request.
#include <algorithm>

#include "proxy/http_session.h"

namespace weir::proxy {

/// Envoy's local reply: text/plain, or trailers only for gRPC. Replaces whatever the exchange was waiting for.
void HttpSession::reply(const Reply& answer) {
  ex_.info.code_details = answer.details;
  if (answer.flag) ex_.info.flags.add(*answer.flag);
  ex_.is_local = true;
  if (ex_.in_line) ex_.cluster->stop_waiting(*this);
  ex_.in_line = false;
  drop_upstream();  // an answer that may still come is not wanted any more
  for (auto* timer : {&delay_timer_, &route_timer_, &try_timer_})
    if (*timer) (*timer)->cancel();

  http::HeaderMap& headers = ex_.reply_headers;
  std::uint16_t status = answer.status;
  std::string_view body = answer.body;
  if (ex_.is_grpc && answer.details != "cors_response") {
    if (!ex_.grpc_status) ex_.grpc_status = static_cast<std::uint8_t>(grpc_status_of(status));
    headers.append("content-type", "application/grpc");
    headers.append("grpc-status", std::to_string(*ex_.grpc_status));
    if (!body.empty()) headers.append("grpc-message", body);
    headers.append("content-length", "0");
    status = 200;
    body = {};
  } else {
    headers.append("content-length", std::to_string(body.size()));
    if (!body.empty()) headers.append("content-type", "text/plain");
  }
  headers.append("date", context().date.text(std::chrono::system_clock::now()));
  headers.append("server", manager_->server_name);
  if (ex_.route != nullptr && !ex_.is_grpc) edit_reply(headers);

  ex_.info.code = status;
  // A body that did not come yet would be taken for the next request: better no next one.
  if (!ex_.request_complete) close_after_ = true;
  ex_.plan = {.framing = http::Framing::length, .close = !keeps_alive()};
  write_client_head(to_client_.text(), status, http::reason_phrase(status), headers, ex_.plan, ex_.request.version);
  if (ex_.request.method != "HEAD") {
    to_client_.text() += body;
    ex_.info.bytes_sent = body.size();
  }
  ex_.response_started = ex_.response_complete = true;
  stage_ = Stage::replying;
}

/// Direct responses and redirects carry the route's response headers too.
void HttpSession::edit_reply(http::HeaderMap& headers) {
  auto expander = [this](const routing::HeaderValue& value, std::string& out) { expand(value, out); };
  for (const routing::HeaderEdits* edits :
       {&ex_.route->response_headers, &ex_.host->response_headers, &runtime_->routes->response_headers()})
    if (!edits->empty()) apply_edits(headers, *edits, expander);
}

void HttpSession::redirect(const routing::Redirect& action) {
  runtime_->stats->downstream_rq_redirect.add();
  routing::Request request{.scheme = ex_.info.scheme,
                           .method = ex_.request.method,
                           .authority = ex_.request.authority,
                           .path = ex_.path,
                           .headers = &ex_.request.headers};
  ex_.reply_headers.append("location", routing::redirect_location(*ex_.route, action, request));
  reply({.status = action.status, .details = "direct_response"});
}

void HttpSession::add_cors_headers(http::HeaderMap& headers) {
  const routing::Cors& cors = *ex_.route->cors;
  auto origin = ex_.request.headers.get("origin");
  if (!origin ||
      std::none_of(cors.origins.begin(), cors.origins.end(), [&](const auto& other) { return other.matches(*origin); }))
    return;
  headers.set("access-control-allow-origin", *origin);
  if (cors.credentials) headers.set("access-control-allow-credentials", "true");
  if (!cors.expose.empty()) headers.set("access-control-expose-headers", cors.expose);
}

/// Counters and access log; once a request.
void HttpSession::record() {
  if (!ex_.active) return;
  ex_.active = false;
  StreamInfo& info = ex_.info;
  info.duration = context().executor.now() - ex_.started;
  request_ends(context(), direction);
  HttpStats& stats = *runtime_->stats;
  stats.downstream_rq_active.sub();
  stats.count_response(info.code);
  stats.downstream_cx_rx_bytes_total.add(info.bytes_received);
  stats.downstream_cx_tx_bytes_total.add(info.bytes_sent);
  if (ex_.cluster) {
    if (ex_.open_counted) {
      --ex_.endpoint->open_requests;
      ex_.cluster->stats->upstream_rq_active.sub();
      ex_.open_counted = false;
    }
    RequestKey key{.reporter = direction == routing::Direction::inbound ? Reporter::destination : Reporter::source,
                   .protocol = ex_.is_grpc ? RequestProtocol::grpc : RequestProtocol::http,
                   .code = info.code,
                   .grpc_status = ex_.grpc_status.value_or(255),
                   .flags = info.flags.bits()};
    ex_.cluster->stats->record_request(key, ex_.endpoint ? std::string_view(ex_.endpoint->endpoint.workload) : "", info.duration,
                                       info.bytes_received, info.bytes_sent);
  }
  if (runtime_->log == nullptr) return;
  runtime_->log->log(context().logs, {.info = info,
                                      .request = &ex_.request.headers,
                                      .response = ex_.is_local ? &ex_.reply_headers : &ex_.response.headers,
                                      .trailers = &ex_.response_body.trailers()});
}

}  // namespace weir::proxy
