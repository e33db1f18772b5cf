// SPDX-License-Identifier: Apache-2.0
// What others may ask from outside: readiness (15021, 15020) and metrics (15020, 15090).
#pragma once

#include <functional>
#include <string>

#include "proxy/http_server.h"

namespace weir::proxy {

struct HealthHooks {
  std::function<bool()> is_ready;           ///< configured, and not draining
  std::function<std::string()> why_not;     ///< a sentence, if not ready
  std::function<std::string()> prometheus;  ///< the exposition
  std::function<void()> drain;              ///< graceful, without exit
  std::function<void()> quit;
};

/// 15021: /healthz/ready.
void handle_readiness(const HealthHooks& hooks, const HttpRequest& request, const HttpServer::Respond& respond);
/// 15090: /stats/prometheus.
void handle_metrics(const HealthHooks& hooks, const HttpRequest& request, const HttpServer::Respond& respond);
/// 15020: both, and POST /quitquitquit and /drain, from loopback only (403 otherwise, 405 for other methods).
void handle_status(const HealthHooks& hooks, const HttpRequest& request, const HttpServer::Respond& respond);

}  // namespace weir::proxy
