// SPDX-License-Identifier: Apache-2.0
#include "agent/ads_service.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "base/log.h"
#include "http/grpc.h"
#include "kernel/socket.h"
#include "xds/resource_set.h"
#include "xds/snapshot.h"

namespace weir::agent {

namespace {

constexpr std::string_view kStreamPath = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
constexpr std::size_t kMaxConnections = 10'000;
constexpr auto kTick = std::chrono::seconds(1);
constexpr auto kStuckLimit = std::chrono::seconds(60);  // bytes to send, and the peer takes none
constexpr auto kPingEvery = std::chrono::seconds(30);
constexpr auto kAcceptPause = std::chrono::milliseconds(500);  // after an error (no descriptors left): don't spin on it
constexpr int kReadsAtOnce = 8;                                // then the other connections have their turn
constexpr std::uint32_t kCallsPerConnection = 8;               // a proxy needs one

/// What every call needs of the service.
struct Rules {
  std::shared_ptr<const mesh::Store> store;
  MeshSettings settings;
};

/// Which rules made the versions of one type that a proxy is to have, was sent, or accepted.
class RuleHistory {
 public:
  using Digests = std::shared_ptr<const std::vector<RuleDigest>>;

  void add(xds::ResourceType type, const xds::Snapshot& snapshot, const xds::ResourceSet& resources) {
    Digests& digests = by_version_[snapshot.version(type)];
    if (!digests) digests = std::make_shared<const std::vector<RuleDigest>>(digest_rules(resources, type));
  }
  Digests of(std::string_view version) const {
    auto found = by_version_.find(without_mark(version));
    return found == by_version_.end() ? nullptr : found->second;
  }
  void forget(const xds::TypeStatus& status, std::string_view wanted) {
    std::erase_if(by_version_, [&](const auto& entry) {
      return entry.first != wanted && entry.first != without_mark(status.sent_version) &&
             entry.first != without_mark(status.acked_version);
    });
  }

 private:
  /// "+" marks an answer that still holds clusters that are going.
  static std::string_view without_mark(std::string_view version) {
    return version.substr(0, version.size() - (version.ends_with('+') ? 1 : 0));
  }
  std::map<std::string, Digests, std::less<>> by_version_;
};

/// One ADS call: messages of the connection in and out of the state machine.
class AdsCall final : public http::GrpcHandler {
 public:
  AdsCall(http::GrpcServerStream& call, const Rules& rules, const std::string& control_plane, std::string peer,
          std::set<AdsCall*>& calls)
      : call_(call), rules_(rules), stream_({.control_plane = control_plane}), peer_(std::move(peer)), calls_(calls) {
    calls_.insert(this);
  }
  ~AdsCall() override { calls_.erase(this); }

  void on_message(std::string_view message) override {
    bool known = stream_.node().has_value();
    if (auto taken = stream_.on_request(message, now()); !taken) {
      log::warn("proxy at {}: {}", peer_, taken.error().to_text());
      finished_ = true;
      call_.finish({http::GrpcCode::invalid_argument, taken.error().to_text()});
      return;
    }
    if (!known && stream_.node()) {
      log::info("proxy {} at {} connected ({})", stream_.node()->id, peer_, stream_.node()->user_agent);
      update();
    }
    flush();
  }
  void on_half_close() override {
    finished_ = true;
    call_.finish({});
  }
  void on_closed() override {
    finished_ = true;
    if (stream_.node()) log::info("proxy {} at {} disconnected", stream_.node()->id, peer_);
  }

  /// The rules changed, or the proxy has just said who it is.
  void update() {
    if (finished_ || !stream_.node() || rules_.store == nullptr) return;
    const xds::ResourceSet resources = translate(*rules_.store, rules_.settings, *stream_.node());
    snapshot_ = xds::Snapshot::build(resources, snapshot_);
    for (xds::ResourceType type : xds::kResourceTypes) history_[xds::index(type)].add(type, *snapshot_, resources);
    stream_.set_snapshot(snapshot_, now());
    flush();
  }
  void on_time() {
    stream_.on_time(now());
    flush();
  }
  /// The proxy reconnects when it sees the end; its stream would live for ever otherwise.
  void leave() {
    if (finished_) return;
    finished_ = true;
    call_.finish({http::GrpcCode::unavailable, "the agent is leaving"});
  }
  std::optional<xds::TimePoint> deadline() const { return finished_ ? std::nullopt : stream_.deadline(); }
  std::optional<ProxyStatus> status() const {
    if (finished_ || !stream_.node()) return std::nullopt;
    ProxyStatus status{*stream_.node(), peer_, {}, {}, snapshot_};
    for (xds::ResourceType type : xds::kResourceTypes) {
      const std::size_t i = xds::index(type);
      status.types[i] = stream_.status(type);
      if (snapshot_ == nullptr) continue;
      status.rules[i] = {history_[i].of(snapshot_->version(type)), history_[i].of(status.types[i].acked_version)};
    }
    return status;
  }

 private:
  static xds::TimePoint now() { return std::chrono::steady_clock::now(); }
  void flush() {
    for (const std::string& note : stream_.take_notes())
      log::warn("proxy {}: {}", stream_.node() ? stream_.node()->id : peer_, note);
    for (const std::string& response : stream_.take_responses()) call_.send(response);
    for (xds::ResourceType type : xds::kResourceTypes)
      if (snapshot_) history_[xds::index(type)].forget(stream_.status(type), snapshot_->version(type));
  }

  http::GrpcServerStream& call_;
  const Rules& rules_;
  xds::AdsServerStream stream_;
  xds::SnapshotPtr snapshot_;
  std::array<RuleHistory, xds::kTypeCount> history_;
  std::string peer_;
  bool finished_ = false;
  std::set<AdsCall*>& calls_;
};

/// One client's socket. Owned by the service's list; asks to be erased through `on_end`.
class Connection final : private io::ReadyHandler {
 public:
  Connection(io::Executor& executor, UniqueFd fd, std::string peer, const Rules& rules, const std::string& control_plane,
             std::function<void(Connection&)> on_end)
      : fd_(std::move(fd)),
        peer_(std::move(peer)),
        methods_{{std::string(kStreamPath),
                  [this, &rules, &control_plane](http::GrpcServerStream& call) {
                    return std::make_unique<AdsCall>(call, rules, control_plane, peer_, calls_);
                  }}},
        on_end_(std::move(on_end)),
        watch_(executor, fd_.ref(), *this),
        timer_(executor, [this] { on_timer(); }) {
    grpc_.emplace(http::GrpcServerConnection::Options{.max_message_bytes = 4 * 1024 * 1024,
                                                      .h2 = {.max_concurrent_streams = kCallsPerConnection}},
                  methods_);
    last_progress_ = last_ping_ = std::chrono::steady_clock::now();
    watch_.want_read();
  }

  void update() {
    for (AdsCall* call : std::vector<AdsCall*>(calls_.begin(), calls_.end())) call->update();
    pump();
  }
  void append_status(std::vector<ProxyStatus>& all) const {
    for (const AdsCall* call : calls_)
      if (auto status = call->status()) all.push_back(std::move(*status));
  }
  void drain() {
    for (AdsCall* call : std::vector<AdsCall*>(calls_.begin(), calls_.end())) call->leave();
    grpc_->drain();
    pump();
  }
  /// Once a second.
  void tick() {
    auto now = std::chrono::steady_clock::now();
    grpc_->forgive();
    if (now - last_progress_ > kStuckLimit && (!out_.empty() || pings_ > grpc_->pongs() + 1)) {
      log::warn("proxy at {}: no answer for {} s; connection closed", peer_, std::chrono::seconds(kStuckLimit).count());
      return end();
    }
    if (now - last_ping_ >= kPingEvery) {
      last_ping_ = now;
      ++pings_;
      grpc_->ping();
      pump();
    }
  }

 private:
  void on_readable() override {
    char buffer[65536];
    for (int reads = 0; reads < kReadsAtOnce; ++reads) {
      kernel::IoResult got = kernel::receive(fd_.ref(), buffer);
      if (got.would_block) break;
      if (!got.ok()) {
        grpc_->on_eof();
        return end();
      }
      last_progress_ = std::chrono::steady_clock::now();
      if (auto fed = grpc_->feed({buffer, got.bytes}); !fed) {
        log::warn("client at {}: {}; connection closed", peer_, fed.error().to_text());
        closing_ = true;
        break;
      }
    }
    if (!closing_) watch_.want_read();
    pump();
  }
  void on_writable() override { pump(); }
  void on_timer() {
    auto now = std::chrono::steady_clock::now();
    for (AdsCall* call : std::vector<AdsCall*>(calls_.begin(), calls_.end()))
      if (auto deadline = call->deadline(); deadline && *deadline <= now) call->on_time();
    pump();
  }

  /// Sends what there is; the last thing that a handler does, since it may end the connection.
  void pump() {
    for (;;) {
      if (out_.empty()) {
        grpc_->take(out_);
        if (out_.empty()) break;
      }
      kernel::IoResult sent = kernel::send(fd_.ref(), std::span<const char>(out_));
      if (sent.would_block) {
        watch_.want_write();
        break;
      }
      if (!sent.ok()) {
        grpc_->on_eof();
        return end();
      }
      last_progress_ = std::chrono::steady_clock::now();
      out_.erase(0, sent.bytes);
    }
    if (out_.empty() && (closing_ || grpc_->is_finished())) return end();
    std::optional<xds::TimePoint> next;
    for (const AdsCall* call : calls_)
      if (auto deadline = call->deadline()) next = next ? std::min(*next, *deadline) : *deadline;
    if (next) {
      timer_.expires_after(std::max(*next - std::chrono::steady_clock::now(), io::Duration(0)));
    } else {
      timer_.cancel();
    }
  }

  void end() {
    watch_.reset();
    timer_.cancel();
    on_end_(*this);
  }

  UniqueFd fd_;
  std::string peer_;
  std::set<AdsCall*> calls_;
  http::GrpcMethods methods_;
  std::function<void(Connection&)> on_end_;
  io::Watch watch_;
  io::Timer timer_;
  std::string out_;
  bool closing_ = false;
  io::TimePoint last_progress_, last_ping_;
  std::uint64_t pings_ = 0;
  std::optional<http::GrpcServerConnection> grpc_;  // last: its calls refer to the members above
};

}  // namespace

struct AdsService::Impl {
  /// A listening socket.
  struct Acceptor final : private io::ReadyHandler {
    Acceptor(Impl& service, UniqueFd listener)
        : owner(service),
          fd(std::move(listener)),
          watch(service.executor, fd.ref(), *this),
          pause(service.executor, [this] { watch.want_read(); }) {
      watch.want_read();
    }
    void on_readable() override {
      if (owner.accept(fd.ref())) {
        watch.want_read();
      } else {
        pause.expires_after(kAcceptPause);
      }
    }
    void on_writable() override {}
    Impl& owner;
    UniqueFd fd;
    io::Watch watch;
    io::Timer pause;
  };

  Impl(io::Executor& executor_in, std::string control_plane_in)
      : executor(executor_in), control_plane(std::move(control_plane_in)), ticker(executor_in, [this] { tick(); }) {
    ticker.expires_after(kTick);
  }

  /// False: it failed, try again later.
  bool accept(FdRef listener) {
    for (;;) {
      auto accepted = kernel::accept(listener);
      if (!accepted) {
        log::warn("accepting a proxy: {}", accepted.error().to_text());
        return false;
      }
      if (!*accepted) return true;
      if (connections.size() >= kMaxConnections) {
        log::warn("{} proxies are connected already; one more is turned away", kMaxConnections);
        continue;
      }
      std::string peer = (*accepted)->peer.port == 0 ? "unix" : (*accepted)->peer.to_text();
      if (peer != "unix") (void)kernel::set_nodelay((*accepted)->fd.ref());
      connections.push_back(std::make_unique<Connection>(executor, std::move((*accepted)->fd), std::move(peer), rules,
                                                         control_plane, [this](Connection& ended) { retire(ended); }));
    }
  }

  /// Destroys later: the connection is still on the stack.
  void retire(Connection& ended) {
    auto it = std::find_if(connections.begin(), connections.end(), [&](const auto& c) { return c.get() == &ended; });
    if (it == connections.end()) return;
    std::shared_ptr<Connection> dying = std::move(*it);
    connections.erase(it);
    executor.post([dying] {});
  }

  /// The list may shrink while a connection is told.
  template <class Tell>
  void tell_all(Tell tell) {
    std::vector<Connection*> all;
    for (const auto& connection : connections) all.push_back(connection.get());
    for (Connection* connection : all) tell(*connection);
  }

  void tick() {
    tell_all([](Connection& connection) { connection.tick(); });
    ticker.expires_after(kTick);
  }

  io::Executor& executor;
  std::string control_plane;
  Rules rules;
  std::list<std::unique_ptr<Connection>> connections;
  std::list<Acceptor> acceptors;
  SocketAddr tcp_address;
  io::Timer ticker;
};

AdsService::AdsService(io::Executor& executor, std::string control_plane)
    : impl_(std::make_unique<Impl>(executor, std::move(control_plane))) {}

AdsService::~AdsService() = default;

Result<> AdsService::listen_unix(const std::string& path, mode_t mode) {
  auto fd = kernel::listen_unix(path, mode);
  if (!fd) return pass(fd.error());
  impl_->acceptors.emplace_back(*impl_, std::move(*fd));
  return {};
}

Result<> AdsService::listen_tcp(const SocketAddr& address) {
  auto fd = kernel::listen_tcp(address);
  if (!fd) return pass(fd.error());
  auto bound = kernel::local_address(fd->ref());
  if (!bound) return pass(bound.error());
  impl_->tcp_address = *bound;
  impl_->acceptors.emplace_back(*impl_, std::move(*fd));
  return {};
}

const SocketAddr& AdsService::tcp_address() const { return impl_->tcp_address; }

void AdsService::set_rules(std::shared_ptr<const mesh::Store> store, MeshSettings settings) {
  impl_->rules = {std::move(store), std::move(settings)};
  impl_->tell_all([](Connection& connection) { connection.update(); });
}

std::vector<ProxyStatus> AdsService::proxies() const {
  std::vector<ProxyStatus> all;
  for (const auto& connection : impl_->connections) connection->append_status(all);
  return all;
}

void AdsService::drain() {
  impl_->acceptors.clear();
  impl_->tell_all([](Connection& connection) { connection.drain(); });
}

}  // namespace weir::agent
