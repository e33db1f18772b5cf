// SPDX-License-Identifier: Apache-2.0
// What the server shows of itself.
#include "base/log.h"
#include "proxy/proto_time.h"
#include "proxy/server.h"
#include "xds/messages.h"
#include "xds/proto/admin.pb.h"
#include "xds/proto/bootstrap.pb.h"
#include "xds/proto/core.pb.h"

namespace weir::proxy {

namespace {

const char* to_text(log::Level level) {
  switch (level) {
    case log::Level::debug: return "debug";
    case log::Level::info: return "info";
    case log::Level::warn: return "warn";
    case log::Level::error: break;
  }
  return "error";
}

}  // namespace

ServerState Server::state() const {
  if (draining_) return ServerState::draining;
  return serving_ ? ServerState::live : ServerState::initializing;
}

AdminHooks Server::admin_hooks() {
  AdminHooks hooks;
  hooks.state = [this] { return state(); };
  hooks.dump = [this](const DumpQuery& query) { return dump(query); };
  hooks.config = [this] { return store_.config(); };
  hooks.figures = [this](auto done) { figures(std::move(done)); };
  hooks.samples = [this] { return samples(); };
  hooks.istio = [this] { return stats_.istio(); };
  hooks.server_info = [this] { return server_info(); };
  hooks.log_level = [this] { return std::string(to_text(options_.log_level)); };
  hooks.set_log_level = [this](std::string_view name) -> Result<> {
    auto level = log::parse_level(name);
    if (!level) return pass(level.error());
    options_.log_level = *level;
    log::set_level(*level);
    return {};
  };
  hooks.drain = [this](bool inbound_only, bool graceful) {
    const Worker::Side side = inbound_only ? Worker::Side::inbound : Worker::Side::all;
    for (const auto& worker : workers_) {
      worker->drain(side);
      if (!graceful) worker->stop_accepting(side);
    }
    if (!inbound_only) draining_ = true;
  };
  // The answer goes out first.
  hooks.quit = [this] { executor_.post([this] { leave(0); }); };
  return hooks;
}

HealthHooks Server::health_hooks() {
  HealthHooks hooks;
  hooks.is_ready = [this] { return state() == ServerState::live; };
  hooks.why_not = [this]() -> std::string {
    if (draining_) return "draining";
    return channel_ && channel_->figures().connected ? "waiting for the agent's configuration" : "no connection to the agent yet";
  };
  hooks.prometheus = [this] { return admin_.prometheus(); };
  hooks.drain = [this] { drain_all("asked to drain"); };
  hooks.quit = [this] { begin_leaving("asked to leave", options_.drain_time); };
  return hooks;
}

Result<std::string> Server::dump(const DumpQuery& query) const {
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  bootstrap.ParseFromString(bootstrap_bytes_);  // we wrote them
  const DumpSource source{
      bootstrap, ads_.get(), *store_.config(), store_.unsupported(), io::Clock::now(), std::chrono::system_clock::now()};
  return config_dump(source, query);
}

std::vector<Sample> Server::samples() {
  std::vector<Sample> samples = stats_.samples();
  auto add = [&](Sample::Type type, const char* scope, const char* name, auto value) {
    samples.push_back({type, scope, "", name, static_cast<std::int64_t>(value)});
  };
  constexpr auto kCounter = Sample::Type::counter;
  constexpr auto kGauge = Sample::Type::gauge;
  add(kGauge, "server", "uptime", std::chrono::duration_cast<std::chrono::seconds>(io::Clock::now() - started_).count());
  add(kGauge, "server", "live", state() == ServerState::live);
  add(kGauge, "server", "state", static_cast<int>(state()));
  add(kGauge, "server", "concurrency", workers_.size());
  const Config& config = *store_.config();
  add(kGauge, "cluster_manager", "active_clusters", config.clusters.size());
  add(kGauge, "listener_manager", "total_listeners_active", config.listeners->all().size());
  add(kGauge, "weir", "config_generation", config.generation);
  const LogFiles::Counters logs = log_files_.counters();
  add(kCounter, "access_log", "lines", logs.lines);
  add(kCounter, "access_log", "bytes_written", logs.written);
  add(kCounter, "access_log", "lines_dropped", logs.dropped);
  add(kCounter, "access_log", "write_failed", logs.failed_writes);
  if (channel_) {
    const AdsChannel::Figures& figures = channel_->figures();
    add(kGauge, "control_plane", "connected_state", figures.connected);
    add(kCounter, "control_plane", "connects", figures.connects);
    add(kCounter, "control_plane", "connection_failures", figures.failures);
    add(kCounter, "control_plane", "messages", figures.messages);
    add(kCounter, "control_plane", "rubbish", figures.rubbish);
  }
  return samples;
}

std::string Server::server_info() const {
  envoy::admin::v3::ServerInfo info;
  info.set_version("weir-proxy/" WEIR_VERSION);
  switch (state()) {
    case ServerState::live: info.set_state(envoy::admin::v3::ServerInfo::LIVE); break;
    case ServerState::draining: info.set_state(envoy::admin::v3::ServerInfo::DRAINING); break;
    case ServerState::initializing: info.set_state(envoy::admin::v3::ServerInfo::INITIALIZING); break;
  }
  set_duration(*info.mutable_uptime_current_epoch(), io::Clock::now() - started_);
  *info.mutable_uptime_all_epochs() = info.uptime_current_epoch();
  *info.mutable_node() = *identity_.node;
  return xds::to_json(info);
}

/// Asks every worker; the last answer completes it. Callbacks come on the workers' threads.
void Server::figures(std::function<void(std::vector<ClusterFigures>)> done) {
  struct Collected {
    std::vector<ClusterFigures> all;
    std::size_t missing = 0;
    std::function<void(std::vector<ClusterFigures>)> done;
  };
  auto collected = std::make_shared<Collected>();
  collected->missing = workers_.size();
  collected->done = std::move(done);
  for (const auto& worker : workers_) {
    worker->figures([this, collected](std::vector<ClusterFigures> part) {
      executor_.post([collected, part = std::move(part)]() mutable {
        std::move(part.begin(), part.end(), std::back_inserter(collected->all));
        if (--collected->missing == 0) collected->done(std::move(collected->all));
      });
    });
  }
}

}  // namespace weir::proxy
