// SPDX-License-Identifier: Apache-2.0
// From a request head to what is done with it: checks, headers, route, faults, action.
#include <algorithm>

#include "base/text.h"
#include "proxy/http_session.h"

namespace weir::proxy {

void HttpSession::on_request() {
  if (head_timer_) head_timer_->cancel();
  HttpStats& stats = *runtime_->stats;
  stats.downstream_rq_total.add();
  ex_.snapshot = downstream_->snapshot;
  http::RequestHead& head = ex_.request;
  StreamInfo& info = ex_.info;
  info.method = head.method;
  info.path = head.path;
  info.protocol = http::to_text(head.version);
  info.downstream_local = downstream_->original;
  info.downstream_remote = downstream_->peer;
  info.server_name = downstream_->server_name;
  info.stream_id = ++context().next_stream;
  ex_.request_body = http::BodyReader(head.framing, head.content_length, {});
  ex_.request_complete =
      head.framing == http::Framing::none || (head.framing == http::Framing::length && head.content_length == 0);
  ex_.is_grpc = is_grpc(head.headers);
  ex_.replayable = head.framing != http::Framing::length || head.content_length <= context().options.replay_bytes;
  if (prepare_request()) route_request();
}

/// Upgrades that the chain lets through become tunnels; h2c is answered in HTTP/1.1, as RFC 9110, 7.8 allows. CONNECT is refused:
/// no route can allow it (connect_matcher is not understood).
bool HttpSession::accept_upgrade() {
  http::RequestHead& head = ex_.request;
  if (head.method == "CONNECT") {
    ex_.request_complete = close_after_ = true;  // what follows are the tunnel's bytes, no request
    reply({.status = 403, .details = "upgrade_failed"});
    return false;
  }
  if (head.upgrade.empty() || equals_ignore_case(head.upgrade, "h2c")) return true;
  std::string wanted = to_lower(head.upgrade);
  if (std::find(manager_->upgrades.begin(), manager_->upgrades.end(), wanted) == manager_->upgrades.end()) {
    reply({.status = 403, .details = "upgrade_failed"});
    return false;
  }
  ex_.is_upgrade = true;
  return true;
}

bool HttpSession::prepare_request() {
  http::RequestHead& head = ex_.request;
  http::HeaderMap& headers = head.headers;
  StreamInfo& info = ex_.info;
  if (head.authority.empty()) {
    ex_.authority = downstream_->original.to_text();
    head.authority = ex_.authority;
    headers.set("Host", head.authority);
  } else if (!head.scheme.empty()) {
    headers.set("Host", head.authority);  // RFC 9112, 3.2.2: the absolute form rules
  }
  info.authority = head.authority;
  ex_.path = head.path;
  if (manager_->normalize_path && head.path.starts_with('/')) {
    auto normal = routing::normalize_path(head.path, ex_.normal_path);
    if (!normal) {
      reply({.status = 400, .details = "path_normalization_failed"});
      return false;
    }
    ex_.path = *normal;
  }
  info.path = ex_.path;
  if (!accept_upgrade()) return false;
  clean_request(headers, ex_.is_upgrade, manager_->sanitize_client_cert_header);

  if (head.expect_continue && !manager_->proxy_100_continue) {
    if (!ex_.request_complete) to_client_.text() += "HTTP/1.1 100 Continue\r\n\r\n";
    headers.remove("expect");
  }
  if (auto scheme = headers.get("x-forwarded-proto")) {
    info.scheme = *scheme;
  } else {
    info.scheme = "http";
    headers.append_view("x-forwarded-proto", "http");
  }
  if (auto id = headers.get("x-request-id"); id && !id->empty()) {
    info.request_id = *id;
  } else if (manager_->generate_request_id) {
    append_uuid(ex_.request_id, context().random);
    headers.set("x-request-id", ex_.request_id);
    info.request_id = ex_.request_id;
  }
  info.forwarded_for = headers.get("x-forwarded-for").value_or("");
  info.user_agent = headers.get("user-agent").value_or("");
  return true;
}

void HttpSession::route_request() {
  http::RequestHead& head = ex_.request;
  routing::RouteTable::Found found;
  if (runtime_->routes != nullptr)
    found = runtime_->routes->match({.scheme = ex_.info.scheme,
                                     .method = head.method,
                                     .authority = head.authority,
                                     .path = ex_.path,
                                     .headers = &head.headers},
                                    static_cast<std::uint32_t>(context().random.below(1'000'000)));
  if (found.route == nullptr) {
    runtime_->stats->no_route.add();
    reply({.status = 404, .details = "route_not_found", .flag = ResponseFlag::no_route});
    return;
  }
  ex_.host = found.host;
  ex_.route = found.route;
  ex_.info.route_name = found.route->name;
  ex_.info.rule = &found.route->rule;
  inject_faults();
}

void HttpSession::inject_faults() {
  const routing::Fault& fault = ex_.route->fault;
  if (!manager_->fault_filter || ex_.route->fault_disabled || fault.empty()) {
    act();
    return;
  }
  if (fault.delay && context().random.chance(fault.delay_share)) {
    runtime_->stats->fault_delays_injected.add();
    ex_.info.flags.add(ResponseFlag::delay_injected);
    stage_ = Stage::waiting;
    later(*fault.delay, &HttpSession::on_delay_over);
    return;
  }
  on_delay_over();
}

void HttpSession::on_delay_over() {
  const routing::Fault& fault = ex_.route->fault;
  if (!(fault.abort_status || fault.abort_grpc_status) || !context().random.chance(fault.abort_share)) {
    act();
    return;
  }
  runtime_->stats->fault_aborts_injected.add();
  // On a request that is not gRPC a gRPC status has no place: 200, as Envoy answers.
  if (fault.abort_grpc_status) ex_.grpc_status = static_cast<std::uint8_t>(*fault.abort_grpc_status);
  reply({.status = fault.abort_status.value_or(200),
         .details = "fault_filter_abort",
         .body = "fault filter abort",
         .flag = ResponseFlag::fault_injected});
}

void HttpSession::act() {
  if (manager_->cors_filter && ex_.route->cors && answer_preflight()) return;
  if (const auto* forward = std::get_if<routing::Forward>(&ex_.route->action)) {
    prepare_forward(*forward);
  } else if (const auto* to = std::get_if<routing::Redirect>(&ex_.route->action)) {
    redirect(*to);
  } else {
    const auto& direct = std::get<routing::DirectResponse>(ex_.route->action);
    reply({.status = direct.status, .details = "direct_response", .body = direct.body});
  }
}

/// Names the cluster, or answers 503 NC.
void HttpSession::prepare_forward(const routing::Forward& forward) {
  ex_.forward = &forward;
  ex_.weighted = &routing::pick(forward, context().random.next());
  if (forward.cluster_header.empty()) {
    ex_.cluster = Ref(context().clusters->find(*ex_.snapshot->config, ex_.weighted->cluster));
  } else if (auto name = ex_.request.headers.get(forward.cluster_header)) {
    ex_.cluster = Ref(context().clusters->find(*ex_.snapshot->config, std::string(*name)));
  }
  if (!ex_.cluster) {
    runtime_->stats->no_cluster.add();
    reply({.status = forward.cluster_not_found_status, .details = "cluster_not_found", .flag = ResponseFlag::no_cluster});
    return;
  }
  ex_.info.upstream_cluster = ex_.cluster->config().name;
  ex_.info.cluster_rule = &ex_.cluster->config().rule;
  edit_request(*ex_.weighted);
  ex_.retries_left = forward.retry.on != 0 ? forward.retry.retries : 0;
  if (forward.idle_timeout) set_idle_timer();
  if (ex_.request_complete) request_was_received();
  attempt();
}

void HttpSession::edit_request(const routing::WeightedCluster& cluster) {
  http::RequestHead& head = ex_.request;
  const routing::Forward& forward = *ex_.forward;
  auto expander = [this](const routing::HeaderValue& value, std::string& out) { expand(value, out); };
  for (const routing::HeaderEdits* edits :
       {&cluster.request_headers, &ex_.route->request_headers, &ex_.host->request_headers, &runtime_->routes->request_headers()})
    if (!edits->empty()) apply_edits(head.headers, *edits, expander);

  std::string_view path = routing::rewrite_path(*ex_.route, forward, ex_.path, ex_.rewritten_path);
  if (path != ex_.path) {
    head.headers.set("x-envoy-original-path", ex_.path);
    ex_.info.original_path = ex_.path;
    ex_.path = path;
    ex_.info.path = path;
  }
  const std::string& host = cluster.host_rewrite.empty() ? forward.host_rewrite : cluster.host_rewrite;
  if (!host.empty()) head.headers.set("Host", host);
  if (forward.timeout.count() > 0) head.headers.set("x-envoy-expected-rq-timeout-ms", std::to_string(forward.timeout.count()));
}

void HttpSession::expand(const routing::HeaderValue& value, std::string& out) {
  if (const Format* format = ex_.snapshot->format(value))
    format->append(out, {.info = ex_.info, .request = &ex_.request.headers, .response = &ex_.response.headers},
                   context().time_cache);
}

bool HttpSession::answer_preflight() {
  const http::HeaderMap& headers = ex_.request.headers;
  const routing::Cors& cors = *ex_.route->cors;
  auto origin = headers.get("origin");
  if (ex_.request.method != "OPTIONS" || !origin || !headers.has("access-control-request-method")) return false;
  bool matches = std::any_of(cors.origins.begin(), cors.origins.end(), [&](const auto& other) { return other.matches(*origin); });
  if (!matches && cors.forward_unmatched_preflights) return false;
  http::HeaderMap& out = ex_.reply_headers;
  if (matches) {
    out.append("access-control-allow-origin", *origin);
    if (cors.credentials) out.append("access-control-allow-credentials", "true");
  }
  if (!cors.methods.empty()) out.append("access-control-allow-methods", cors.methods);
  if (!cors.headers.empty()) out.append("access-control-allow-headers", cors.headers);
  if (!cors.max_age.empty()) out.append("access-control-max-age", cors.max_age);
  reply({.status = 200, .details = "cors_response"});
  return true;
}

}  // namespace weir::proxy
