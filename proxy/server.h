// SPDX-License-Identifier: Apache-2.0
// The proxy as a whole: workers, configuration, agent, admin and health, from start to drain. Lives on the main thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/executor.h"
#include "proxy/access_log.h"
#include "proxy/admin.h"
#include "proxy/ads_channel.h"
#include "proxy/bootstrap.h"
#include "proxy/config_store.h"
#include "proxy/drain.h"
#include "proxy/follow.h"
#include "proxy/health.h"
#include "proxy/options.h"
#include "proxy/state_dir.h"
#include "proxy/stats.h"
#include "proxy/worker.h"

namespace weir::proxy {

class Server {
 public:
  /// `bootstrap` may be empty (no file). `transparent`: connections come by TPROXY too. Starts a thread (the logs'): privileges
  /// must be dropped before.
  Server(Options options, std::optional<Bootstrap> bootstrap, Identity identity, bool transparent);
  ~Server();

  /// In this order, so that nothing of the proxy's own leaves before the listeners stand: binds admin and health, then the
  /// capture ports, starts workers, sends the heartbeat, then speaks to the agent. All or nothing.
  Result<> start();
  /// Until the end; returns the exit code.
  int run();

 private:
  // server.cpp
  Result<> bind();
  Result<> listen_both(HttpServer& server, const char* what, const char* flag, Port port, bool loopback_only);
  void start_workers(std::vector<std::vector<ListeningSocket>> sockets);
  Result<> start_configuration();
  Result<> serve_static();
  void check_listener(const std::shared_ptr<const routing::Listener>& listener, std::vector<Problem>& problems);
  void publish(const std::shared_ptr<const Config>& config);
  void after_ads_event();
  void load_state();
  void save_state();
  void save_failed(const Error& error);
  bool is_configured() const;
  void on_signal(int signal);
  void drain_all(const std::string& why);
  void begin_leaving(const std::string& why, std::chrono::milliseconds least);
  void workload_gone();
  void check_drain();
  void leave(int code);
  // server_admin.cpp
  AdminHooks admin_hooks();
  HealthHooks health_hooks();
  ServerState state() const;
  Result<std::string> dump(const DumpQuery& query) const;
  std::vector<Sample> samples();
  std::string server_info() const;
  void figures(std::function<void(std::vector<ClusterFigures>)> done);

  Options options_;
  Bootstrap bootstrap_;          // its message and lines only until they are compiled
  std::string bootstrap_bytes_;  // the message, for the dump
  bool has_static_listeners_ = false;
  Identity identity_;
  io::Executor executor_;
  Stats stats_;
  LogFiles log_files_;
  ConfigStore store_;
  std::unique_ptr<xds::AdsClient> ads_;
  std::unique_ptr<AdsChannel> channel_;
  std::optional<StateDir> state_dir_;
  std::vector<std::vector<ListeningSocket>> sockets_;
  std::vector<std::unique_ptr<Worker>> workers_;
  const bool transparent_;
  const std::optional<std::uint32_t> mark_;  // SO_MARK of the proxy's own connections, where it may set one
  Admin admin_;
  HealthHooks health_;
  std::unique_ptr<HttpServer> admin_server_, status_server_, health_server_, metrics_server_;
  std::unique_ptr<Follow> follow_;

  std::shared_ptr<const Config> serving_;  // what the workers have; null before the first
  std::shared_ptr<const AccessLogTable> logs_;
  std::shared_ptr<const routing::ListenerTable> logged_listeners_;  // that logs_ is made of
  bool state_dirty_ = false;
  std::string save_failure_;  // why the last save failed
  std::optional<Drain> drain_;
  bool draining_ = false;  // readiness says so
  bool takes_inbound_ = true, workload_gone_ = false;
  int exit_code_ = 0;
  io::TimePoint started_;
  io::Timer config_wait_timer_, save_timer_, drain_timer_, release_timer_;
};

}  // namespace weir::proxy
