// SPDX-License-Identifier: Apache-2.0
#include "proxy/worker.h"

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "proxy/cluster_runtime.h"
#include "proxy/context.h"
#include "proxy/heartbeat.h"
#include "proxy/listener_socket.h"

namespace weir::proxy {

Result<std::vector<std::vector<ListeningSocket>>> bind_capture_ports(const std::vector<Port>& ports, unsigned workers,
                                                                     bool transparent) {
  std::vector<std::vector<ListeningSocket>> result(workers);
  for (Port port : ports) {
    bool bound = false;
    for (Family family : kBothFamilies) {
      SocketAddr address{IpAddr::any(family), port};
      for (unsigned i = 0; i < workers; ++i) {
        auto fd = kernel::listen_tcp(address, 4096, workers > 1);
        if (!fd && fd.error().sys_errno() == EAFNOSUPPORT) break;  // the machine has no such family
        if (!fd) return pass(fd.error());
        if (transparent)
          if (auto set = kernel::set_transparent(fd->ref(), family); !set) return pass(set.error());
        auto local = kernel::local_address(fd->ref());
        if (!local) return pass(local.error());
        address = *local;  // port 0 is chosen once
        result[i].push_back({std::move(*fd), address});
        bound = true;
      }
    }
    if (!bound) return fail(ErrorCode::environment, "cannot listen on port {}: this machine has neither IPv4 nor IPv6", port);
  }
  return result;
}

class Worker::Impl {
 public:
  Impl(WorkerOptions options, std::vector<ListeningSocket> sockets, WorkerStats& stats)
      : options_(std::move(options)), context_(executor_, options_, stats), tick_(executor_, [this] { on_tick(); }) {
    if (options_.heartbeat_interval.count() > 0) heartbeat_.emplace(executor_, options_.heartbeat_interval, options_.mark);
    for (ListeningSocket& socket : sockets)
      sockets_.push_back(std::make_unique<ListenerSocket>(context_, std::move(socket), true));
  }
  ~Impl() { stop(); }

  void start() {
    thread_ = std::thread([this] {
      tick_.expires_after(kTick);
      if (heartbeat_) heartbeat_->start();
      executor_.run();
      clear();
    });
  }
  void stop() {
    if (!thread_.joinable()) return;
    executor_.stop();
    thread_.join();
  }

  void set_config(std::shared_ptr<const Config> config, std::shared_ptr<const AccessLogTable> logs) {
    Scope scope(context_.sessions);
    context_.snapshot = Ref(new Snapshot(std::move(config), std::move(logs)));
    context_.clusters->update(*context_.snapshot->config);
    bind_listeners();
    for (auto& socket : sockets_) socket->serve(listener_of(*socket));
    context_.sessions.for_each([](Session& session) { session.on_config(); });
  }
  void refuse_until_config() {
    if (context_.snapshot) return;
    for (auto& socket : sockets_) socket->serve(nullptr);
  }
  void stop_accepting(Side side) {
    stopped_inbound_ = true;
    stopped_all_ = stopped_all_ || side == Side::all;
    std::erase_if(sockets_, [&](const auto& socket) { return stopped_all_ || socket->is_inbound(); });
  }
  void drain(Side side) {
    Scope scope(context_.sessions);
    context_.drain_inbound = true;
    context_.drain_all = context_.drain_all || side == Side::all;
    context_.sessions.for_each([&](Session& session) {
      if (context_.draining(session.direction)) session.drain();
    });
  }

  io::Executor& executor() { return executor_; }
  Context& context() { return context_; }

 private:
  static constexpr auto kTick = std::chrono::seconds(1);

  void on_tick() {
    context_.logs.flush();
    if (++ticks_ % 10 == 0) context_.blocks.trim();
    tick_.expires_after(kTick);
  }
  /// Before the executor goes: what is open points into it.
  void clear() {
    sockets_.clear();
    context_.sessions.clear();
    context_.clusters->clear();
    context_.logs.flush();
  }

  const routing::Listener* listener_of(const ListenerSocket& socket) const {
    const routing::Listener* by_port = nullptr;
    for (const auto& listener : context_.snapshot->config->listeners->all()) {
      if (!listener->bind_to_port) continue;
      auto is_it = [&](const SocketAddr& address) {
        if (address == socket.address()) return true;
        // The capture ports are bound on both families, whichever of them the listener names.
        if (socket.is_capture() && address.port == socket.address().port) by_port = listener.get();
        return false;
      };
      if (is_it(listener->address) || std::any_of(listener->additional.begin(), listener->additional.end(), is_it))
        return listener.get();
    }
    return by_port;
  }

  /// Those that the configuration itself binds.
  void bind_listeners() {
    std::vector<SocketAddr> wanted;
    for (const auto& listener : context_.snapshot->config->listeners->all()) {
      bool stopped = stopped_all_ || (stopped_inbound_ && listener->direction == routing::Direction::inbound);
      if (!listener->bind_to_port || stopped) continue;
      wanted.push_back(listener->address);
      wanted.insert(wanted.end(), listener->additional.begin(), listener->additional.end());
    }
    auto contains = [](const auto& list, const SocketAddr& address) {
      return std::find(list.begin(), list.end(), address) != list.end();
    };
    std::erase_if(sockets_, [&](const auto& socket) { return !socket->is_capture() && !contains(wanted, socket->address()); });
    for (const SocketAddr& address : wanted) {
      bool is_capture =
          std::find(options_.capture_ports.begin(), options_.capture_ports.end(), address.port) != options_.capture_ports.end();
      bool there =
          std::any_of(sockets_.begin(), sockets_.end(), [&](const auto& socket) { return socket->address() == address; });
      if (is_capture || there) continue;
      auto fd = kernel::listen_tcp(address, 4096, options_.workers > 1);
      if (fd)
        sockets_.push_back(std::make_unique<ListenerSocket>(context_, ListeningSocket{std::move(*fd), address}, false));
      else if (options_.index == 0)
        log::error("{}", fd.error().to_text());
    }
  }

  const WorkerOptions options_;
  io::Executor executor_;
  Context context_;
  std::vector<std::unique_ptr<ListenerSocket>> sockets_;
  io::Timer tick_;
  std::optional<HeartbeatTimer> heartbeat_;  // before the thread starts
  unsigned ticks_ = 0;
  bool stopped_inbound_ = false, stopped_all_ = false;
  std::thread thread_;
};

Worker::Worker(WorkerOptions options, std::vector<ListeningSocket> sockets, WorkerStats& stats)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(sockets), stats)) {}
Worker::~Worker() = default;

void Worker::start() { impl_->start(); }
void Worker::stop() { impl_->stop(); }

void Worker::set_config(std::shared_ptr<const Config> config, std::shared_ptr<const AccessLogTable> logs) {
  impl_->executor().post(
      [impl = impl_.get(), config = std::move(config), logs = std::move(logs)] { impl->set_config(config, logs); });
}
void Worker::refuse_until_config() {
  impl_->executor().post([impl = impl_.get()] { impl->refuse_until_config(); });
}
void Worker::stop_accepting(Side side) {
  impl_->executor().post([impl = impl_.get(), side] { impl->stop_accepting(side); });
}
void Worker::drain(Side side) {
  impl_->executor().post([impl = impl_.get(), side] { impl->drain(side); });
}

std::int64_t Worker::open_connections() const { return impl_->context().open_connections.load(std::memory_order_relaxed); }
std::int64_t Worker::open_requests() const {
  const OpenWork open = open_work();
  return open.inbound + open.outbound;
}
OpenWork Worker::open_work() const {
  const Context& context = impl_->context();
  return {.inbound = context.open_inbound.load(std::memory_order_relaxed),
          .outbound = context.open_outbound.load(std::memory_order_relaxed),
          .outbound_begun = context.begun_outbound.load(std::memory_order_relaxed)};
}

void Worker::figures(std::function<void(std::vector<ClusterFigures>)> done) {
  impl_->executor().post([impl = impl_.get(), done = std::move(done)] { done(impl->context().clusters->figures()); });
}

}  // namespace weir::proxy
