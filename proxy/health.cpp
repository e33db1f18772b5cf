// SPDX-License-Identifier: Apache-2.0
#include "proxy/health.h"

#include "proxy/admin.h"

namespace weir::proxy {

namespace {

bool is_read(const HttpRequest& request) { return request.method == "GET" || request.method == "HEAD"; }

void not_found(const HttpServer::Respond& respond) { respond({.status = 404, .body = "no such page\n"}); }

void wrong_method(const HttpServer::Respond& respond, const char* allow) {
  respond({.status = 405, .body = fmt::format("{} only\n", allow), .allow = allow});
}

void act(const HttpRequest& request, const HttpServer::Respond& respond, const std::function<void()>& action) {
  const bool rebound = !request.host.empty() && !is_loopback_host(request.host);
  if (!request.peer.ip.unmapped().is_loopback() || rebound)
    return respond({.status = 403, .body = "only loopback may ask that\n"});
  if (request.method != "POST") return wrong_method(respond, "POST");
  respond({.body = "OK\n"});
  action();
}

}  // namespace

void handle_readiness(const HealthHooks& hooks, const HttpRequest& request, const HttpServer::Respond& respond) {
  if (request.path != "/healthz/ready") return not_found(respond);
  if (!is_read(request)) return wrong_method(respond, "GET");
  if (hooks.is_ready()) return respond({.body = ""});
  respond({.status = 503, .body = hooks.why_not() + "\n"});
}

void handle_metrics(const HealthHooks& hooks, const HttpRequest& request, const HttpServer::Respond& respond) {
  if (request.path != "/stats/prometheus" && request.path != "/metrics") return not_found(respond);
  if (!is_read(request)) return wrong_method(respond, "GET");
  respond({.body = hooks.prometheus(), .content_type = kPrometheusType});
}

void handle_status(const HealthHooks& hooks, const HttpRequest& request, const HttpServer::Respond& respond) {
  if (request.path == "/quitquitquit") return act(request, respond, hooks.quit);
  if (request.path == "/drain") return act(request, respond, hooks.drain);
  if (request.path == "/healthz/ready") return handle_readiness(hooks, request, respond);
  handle_metrics(hooks, request, respond);
}

}  // namespace weir::proxy
