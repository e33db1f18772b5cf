// SPDX-License-Identifier: Apache-2.0
// The admin interface on 127.0.0.1 and ::1. Main thread; what workers know is asked for and waited for without blocking.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "proxy/config_dump.h"
#include "proxy/http_server.h"
#include "proxy/prometheus.h"
#include "proxy/worker.h"

namespace weir::proxy {

enum class ServerState : std::uint8_t { live, draining, initializing };

/// What the interface shows and does; given by the program. All are called on the main thread.
struct AdminHooks {
  std::function<ServerState()> state;
  std::function<Result<std::string>(const DumpQuery&)> dump;
  std::function<std::shared_ptr<const Config>()> config;
  std::function<void(std::function<void(std::vector<ClusterFigures>)>)> figures;  ///< of all workers together, later
  std::function<std::vector<Sample>()> samples;
  std::function<IstioMetrics()> istio;
  std::function<std::string()> server_info;  ///< JSON
  std::function<std::string()> log_level;
  std::function<Result<>(std::string_view)> set_log_level;
  std::function<void(bool inbound_only, bool graceful)> drain;
  std::function<void()> quit;
};

class Admin {
 public:
  explicit Admin(AdminHooks hooks) : hooks_(std::move(hooks)) {}
  /// HttpServer::Handler. Refuses (403) peers that are not loopback and Hosts that are neither loopback nor localhost (a web page
  /// must not reach it through a name that resolves here); GET of what changes something is 405.
  void handle(const HttpRequest& request, const HttpServer::Respond& respond);
  /// The exposition for the metrics ports.
  std::string prometheus(const StatsFilter& filter = {}) const;

 private:
  struct Page;
  static const std::vector<Page>& pages();
  void config_dump(const HttpRequest& request, const HttpServer::Respond& respond);
  void clusters(const HttpRequest& request, const HttpServer::Respond& respond);
  void listeners(const HttpRequest& request, const HttpServer::Respond& respond);
  void stats(const HttpRequest& request, const HttpServer::Respond& respond);
  void stats_prometheus(const HttpRequest& request, const HttpServer::Respond& respond);
  void server_info(const HttpRequest& request, const HttpServer::Respond& respond);
  void ready(const HttpRequest& request, const HttpServer::Respond& respond);
  void certs(const HttpRequest& request, const HttpServer::Respond& respond);
  void logging(const HttpRequest& request, const HttpServer::Respond& respond);
  void drain_listeners(const HttpRequest& request, const HttpServer::Respond& respond);
  void quit(const HttpRequest& request, const HttpServer::Respond& respond);
  void help(const HttpRequest& request, const HttpServer::Respond& respond);

  AdminHooks hooks_;
};

inline constexpr const char* kPrometheusType = "text/plain; version=0.0.4; charset=utf-8";
inline constexpr const char* kJsonType = "application/json";
/// "LIVE", "DRAINING", "INITIALIZING".
std::string_view to_text(ServerState state);
/// Loopback addresses and localhost, as they may stand in Host.
bool is_loopback_host(std::string_view host);

}  // namespace weir::proxy
