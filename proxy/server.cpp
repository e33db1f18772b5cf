// SPDX-License-Identifier: Apache-2.0
#include "proxy/server.h"

#include <csignal>
#include <random>
#include <thread>
#include <unistd.h>

#include "base/duration.h"
#include "base/log.h"
#include "base/text.h"
#include "base/well_known.h"
#include "kernel/socket.h"
#include "proxy/cgroup.h"
#include "proxy/circuit.h"
#include "proxy/heartbeat.h"
#include "proxy/process.h"
#include "xds/proto/bootstrap.pb.h"
#include "xds/proto/core.pb.h"

namespace weir::proxy {

namespace {

constexpr auto kSaveDelay = std::chrono::milliseconds(500);  // a burst of changes is one write
constexpr auto kSaveRetry = std::chrono::seconds(5);         // a disk may get room again
constexpr auto kReleaseDelay = std::chrono::seconds(1);      // likewise
constexpr auto kDrainCheck = std::chrono::milliseconds(20);

void log_problem(Problem problem) {
  const log::Level level = problem.severity == Severity::error ? log::Level::error : log::Level::warn;
  problem.severity = Severity::error;  // the line has its level already
  log::write(level, weir::to_text(problem));
}

std::function<double()> jitter() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
  };
}

}  // namespace

Server::Server(Options options, std::optional<Bootstrap> bootstrap, Identity identity, bool transparent)
    : options_(std::move(options)),
      bootstrap_(bootstrap ? std::move(*bootstrap) : Bootstrap{}),
      identity_(std::move(identity)),
      stats_(identity_.workload),
      log_files_([](const Error& error) { log::error("access log: {}", error.to_text()); }),
      store_({.check_listener = [this](const auto& listener, auto& problems) { check_listener(listener, problems); },
              .publish = [this](const auto& config) { publish(config); }}),
      transparent_(transparent),
      mark_(transparent ? std::optional(well_known::kSelfMark) : std::nullopt),
      admin_(admin_hooks()),
      health_(health_hooks()),
      started_(io::Clock::now()),
      config_wait_timer_(executor_,
                         [this] {
                           log::error("no configuration within {}: connections are reset until one comes",
                                      weir::to_text(Nanoseconds(options_.config_wait)));
                           for (const auto& worker : workers_) worker->refuse_until_config();
                         }),
      save_timer_(executor_, [this] { save_state(); }),
      drain_timer_(executor_, [this] { check_drain(); }),
      release_timer_(executor_, [] { release_free_memory(); }) {
  if (!bootstrap_.message) bootstrap_.message = std::make_shared<envoy::config::bootstrap::v3::Bootstrap>();
  *bootstrap_.message->mutable_node() = *identity_.node;
  has_static_listeners_ = bootstrap_.message->static_resources().listeners_size() > 0;
}

Server::~Server() {
  channel_.reset();
  for (const auto& worker : workers_) worker->stop();
}

Result<> Server::start() {
  if (auto raised = raise_open_files(); !raised) log::warn("{}", raised.error().to_text());
  if (auto bound = bind(); !bound) return bound;
  if (options_.follow) {
    auto follow = Follow::start(executor_, *options_.follow, [this] { workload_gone(); });
    if (!follow) return pass(follow.error());
    follow_ = std::move(*follow);
  }
  if (auto signals = executor_.on_signals({SIGTERM, SIGINT, SIGUSR1}, [this](int signal) { on_signal(signal); }); !signals)
    return signals;
  start_workers(std::move(sockets_));
  return start_configuration();
}

/// The ports that only one process can have come first: capture ports are shared among workers (SO_REUSEPORT), and a second proxy
/// must not take connections before it notices that it is the second.
Result<> Server::bind() {
  struct Port4 {
    std::unique_ptr<HttpServer>& server;
    const char* what;
    const char* flag;
    std::optional<Port> port;
    bool loopback_only;
    HttpServer::Handler handler;
  };
  const auto health = [this](auto* handle) {
    return [this, handle](const HttpRequest& request, const HttpServer::Respond& respond) { handle(health_, request, respond); };
  };
  const Port4 ports[] = {
      {admin_server_, "admin", "--admin-port", options_.admin_port, true,
       [this](const HttpRequest& request, const HttpServer::Respond& respond) { admin_.handle(request, respond); }},
      {status_server_, "status", "--status-port", options_.status_port, false, health(&handle_status)},
      {health_server_, "readiness", "--health-port", options_.health_port, false, health(&handle_readiness)},
      {metrics_server_, "metrics", "--metrics-port", options_.metrics_port, false, health(&handle_metrics)},
  };
  ErrorList errors;
  for (const Port4& each : ports) {
    if (!each.port) continue;
    each.server = std::make_unique<HttpServer>(executor_, each.handler);
    errors.add_if_failed(listen_both(*each.server, each.what, each.flag, *each.port, each.loopback_only));
  }
  if (!errors.empty()) return errors.to_result();

  const unsigned workers = choose_workers(options_.concurrency, cpu_quota(read_small_file), std::thread::hardware_concurrency());
  sockets_.resize(workers);
  if (options_.capture_ports.empty()) return {};
  auto sockets = bind_capture_ports(options_.capture_ports, workers, transparent_);
  if (!sockets) return pass(sockets.error(), "binding the ports for captured connections (--capture-ports)");
  sockets_ = std::move(*sockets);
  return {};
}

/// Both families; IPv6 may be missing on a machine.
Result<> Server::listen_both(HttpServer& server, const char* what, const char* flag, Port port, bool loopback_only) {
  auto address = [&](Family family) { return SocketAddr{loopback_only ? IpAddr::loopback(family) : IpAddr::any(family), port}; };
  auto v4 = server.listen(address(Family::v4));
  if (!v4) return pass(v4.error(), fmt::format("{} ({})", what, flag));
  port = v4->port;
  if (auto v6 = server.listen(address(Family::v6)); !v6) {
    const int error = v6.error().sys_errno();
    if (error != EAFNOSUPPORT && error != EADDRNOTAVAIL) return pass(v6.error(), fmt::format("{} ({})", what, flag));
  }
  log::info("{}: listening on port {}", what, port);
  return {};
}

void Server::start_workers(std::vector<std::vector<ListeningSocket>> sockets) {
  auto circuits = std::make_shared<CircuitRegistry>();
  for (unsigned i = 0; i < sockets.size(); ++i) {
    for (const ListeningSocket& socket : sockets[i]) log::debug("worker {}: {}", i, socket.address.to_text());
    WorkerOptions options;
    options.index = i;
    options.workers = static_cast<unsigned>(sockets.size());
    options.capture_ports = options_.capture_ports;
    options.mark = mark_;
    options.circuits = circuits;
    options.detect_limit = options_.detect_limit;
    if (i == 0 && options_.heartbeat) options.heartbeat_interval = options_.heartbeat_interval;
    workers_.push_back(std::make_unique<Worker>(options, std::move(sockets[i]), stats_.add_worker()));
  }
  for (const auto& worker : workers_) worker->start();
  log::info("{} workers; node {}", workers_.size(), identity_.node_id);
  if (!options_.heartbeat) return;
  if (auto sent = Heartbeat(mark_).send(); !sent)
    log::warn("{}; a start gate opens only by its own time limit", sent.error().to_text());
}

Result<> Server::start_configuration() {
  std::optional<AgentTarget> agent = options_.agent ? options_.agent : bootstrap_.agent;
  if (agent) ads_ = std::make_unique<xds::AdsClient>(*identity_.node, xds::AdsClient::Options{}, store_, jitter());
  if (auto served = serve_static(); !served) return served;
  if (!agent) return {};
  if (!serving_ && options_.config_wait.count() > 0) config_wait_timer_.expires_after(options_.config_wait);
  load_state();
  channel_ = std::make_unique<AdsChannel>(executor_, std::move(*agent), *ads_, AdsChannel::Options{.mark = mark_},
                                          [this] { after_ads_event(); });
  channel_->start();
  return {};
}

/// Compiles the bootstrap's own resources. Only their bytes are kept: as messages they are several times as large.
Result<> Server::serve_static() {
  std::vector<Problem> problems = store_.set_static(bootstrap_.message->static_resources());
  if (!problems.empty()) {
    locate(bootstrap_, problems);
    return pass(to_error(problems));
  }
  for (Problem& warning : store_.take_new_warnings()) log_problem(std::move(warning));
  bootstrap_bytes_ = bootstrap_.message->SerializeAsString();
  bootstrap_.message.reset();
  bootstrap_.lines.clear();
  release_free_memory();
  return {};
}

/// Formats and files of access logs are the proxy's, not routing's: a listener with a wrong one is refused as a whole. So is one
/// that asks for what this process may not do.
void Server::check_listener(const std::shared_ptr<const routing::Listener>& listener, std::vector<Problem>& problems) {
  if ((listener->transparent || listener->original_src_mark) && !kernel::can_be_transparent())
    problems.push_back({Severity::error,
                        {},
                        "",
                        listener->transparent ? "transparent" : "listener_filters",
                        "this proxy may not take connections addressed to others: it has no CAP_NET_ADMIN",
                        "start it with ISTIO_META_INTERCEPTION_MODE=TPROXY as uid 0 with NET_ADMIN, SETUID and SETGID"});
  auto logs = AccessLogTable::compile(routing::ListenerTable({listener}), log_files_);
  if (logs) return;
  const std::string faults = logs.error().to_text();  // a line each
  for (std::string_view fault : split(faults, '\n'))
    problems.push_back({Severity::error, {}, "", "access_log", std::string(fault), ""});
}

bool Server::is_configured() const { return ads_ ? ads_->is_ready() : true; }

/// Workers get nothing before the first configuration is whole: a listener that is not there yet would be passed through.
void Server::publish(const std::shared_ptr<const Config>& config) {
  if (!serving_ && !has_static_listeners_ && !is_configured()) return;
  if (!serving_) {
    config_wait_timer_.cancel();
    log::info("serving: {} listeners, {} clusters, {} route tables", config->listeners->all().size(), config->clusters.size(),
              config->routes.size());
  }
  if (logged_listeners_ != config->listeners) {
    auto logs = AccessLogTable::compile(*config->listeners, log_files_);
    if (logs) logs_ = std::move(*logs);
    if (!logs) log::error("access log: {}", logs.error().to_text());
    logged_listeners_ = config->listeners;
  }
  serving_ = config;
  for (const auto& worker : workers_) worker->set_config(config, logs_);
  if (!release_timer_.armed()) release_timer_.expires_after(kReleaseDelay);
}

void Server::after_ads_event() {
  for (Problem& note : ads_->take_notes()) log_problem(std::move(note));
  for (Problem& warning : store_.take_new_warnings()) log_problem(std::move(warning));
  if (!serving_ && is_configured()) publish(store_.config());
  if (serving_ == store_.config() && !options_.state_dir.empty() && !state_dirty_ && ads_->is_open()) {
    state_dirty_ = true;
    save_timer_.expires_after(kSaveDelay);
  }
}

void Server::load_state() {
  if (options_.state_dir.empty()) return;
  auto dir = StateDir::open(options_.state_dir);
  if (!dir) return save_failed(dir.error());
  state_dir_ = std::move(*dir);
  auto stored = state_dir_->load(identity_.node_id);
  if (!stored) return log::warn("last good configuration ignored, waiting for the agent's: {}", stored.error().to_text());
  if (!*stored) return;
  const std::size_t taken = ads_->load(**stored, io::Clock::now());
  log::info("last good configuration loaded from {}: {} resources", state_dir_->file(), taken);
  after_ads_event();
}

void Server::save_state() {
  state_dirty_ = false;
  if (options_.state_dir.empty() || !ads_) return;
  if (!state_dir_) {
    auto dir = StateDir::open(options_.state_dir);
    if (!dir) return save_failed(dir.error());
    state_dir_ = std::move(*dir);
  }
  xds::StoredSet set = ads_->stored();
  set.node_id = identity_.node_id;
  if (auto saved = state_dir_->save(set); !saved) return save_failed(saved.error());
  if (!save_failure_.empty()) log::info("last good configuration saved again in {}", state_dir_->file());
  save_failure_.clear();
}

/// Said once for each reason, tried again until it works.
void Server::save_failed(const Error& error) {
  if (const std::string why = error.to_text(); why != save_failure_) {
    log::error(
        "last good configuration not saved: {}; what serves is not touched, but a restart while the agent is away would find {}",
        why, state_dir_ ? "the one saved before" : "none");
    save_failure_ = why;
  }
  state_dirty_ = true;
  save_timer_.expires_after(kSaveRetry);
}

void Server::on_signal(int signal) {
  if (signal == SIGUSR1) {
    log_files_.reopen();
    return log::info("access logs opened again");
  }
  if (drain_) {
    log::warn("second signal: leaving at once");
    return leave(0);
  }
  begin_leaving(signal == SIGTERM ? "SIGTERM" : "SIGINT", options_.drain_time);
}

void Server::drain_all(const std::string& why) {
  log::info("{}: draining", why);
  for (const auto& worker : workers_) worker->drain(Worker::Side::all);
  draining_ = true;
}

void Server::begin_leaving(const std::string& why, std::chrono::milliseconds least) {
  if (drain_) return;
  const bool has_workload = follow_ && !workload_gone_;
  if (workload_gone_) {
    drain_all(why);
  } else {
    log::info("{}: draining inbound connections; outbound requests are served {}", why,
              has_workload ? fmt::format("until process {} has gone", *options_.follow)
                           : fmt::format("until there was none for {}", weir::to_text(Nanoseconds(least))));
    for (const auto& worker : workers_) worker->drain(Worker::Side::inbound);
    draining_ = true;
  }
  drain_.emplace(io::Clock::now(), Drain::Limits{.least = least, .limit = options_.drain_limit, .has_workload = has_workload});
  check_drain();
}

void Server::workload_gone() {
  workload_gone_ = true;
  const std::string why = fmt::format("process {} has gone", *options_.follow);
  if (!drain_) return begin_leaving(why, std::chrono::milliseconds(0));
  drain_all(why);
  drain_->workload_gone();
}

void Server::check_drain() {
  OpenWork open;
  for (const auto& worker : workers_) {
    const OpenWork part = worker->open_work();
    open.inbound += part.inbound;
    open.outbound += part.outbound;
    open.outbound_begun += part.outbound_begun;
  }
  const auto now = io::Clock::now();
  if (takes_inbound_ && !drain_->takes_inbound(now)) {
    takes_inbound_ = false;
    for (const auto& worker : workers_) worker->stop_accepting(Worker::Side::inbound);
  }
  switch (drain_->at(now, open)) {
    case Drain::Step::wait: return drain_timer_.expires_after(kDrainCheck);
    case Drain::Step::give_up:
      log::warn("leaving after {} with {} inbound and {} outbound requests open{}",
                weir::to_text(Nanoseconds(options_.drain_limit)), open.inbound, open.outbound,
                drain_->has_workload() ? fmt::format("; process {} is still there", *options_.follow) : "");
      break;
    case Drain::Step::leave: log::info("drained"); break;
  }
  for (const auto& worker : workers_) worker->stop_accepting(Worker::Side::all);
  leave(0);
}

void Server::leave(int code) {
  exit_code_ = code;
  if (state_dirty_) save_state();
  executor_.stop();
}

int Server::run() {
  executor_.run();
  return exit_code_;
}

}  // namespace weir::proxy
