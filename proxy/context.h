// SPDX-License-Identifier: Apache-2.0
// What one worker's parts share. Everything here is touched by that worker's thread only.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "io/executor.h"
#include "proxy/access_log.h"
#include "proxy/balancer.h"
#include "proxy/buffer.h"
#include "proxy/config.h"
#include "proxy/date_cache.h"
#include "proxy/ref.h"
#include "proxy/server_first.h"
#include "proxy/stats.h"
#include "proxy/worker.h"

namespace weir::proxy {

class ClusterSet;
struct Context;

/// A chain's manager with what the data path looks up once for it.
struct HttpRuntime {
  const AccessLog* log = nullptr;  ///< null: none
  std::shared_ptr<HttpStats> stats;
  const routing::RouteTable* routes = nullptr;  ///< null: its RDS table has not come
};
struct TcpRuntime {
  const AccessLog* log = nullptr;
  std::shared_ptr<TcpStats> stats;
};

/// A Config as one worker holds it; requests keep the one they started with.
class Snapshot : public RefCounted {
 public:
  Snapshot(std::shared_ptr<const Config> config_, std::shared_ptr<const AccessLogTable> logs_)
      : config(std::move(config_)), logs(std::move(logs_)) {}
  HttpRuntime& runtime(const routing::HttpManager& manager, Context& context);
  TcpRuntime& runtime(const routing::TcpManager& manager, Context& context);
  /// The compiled form of a header value with operators; null if it does not compile (then it was reported when it came).
  const Format* format(const routing::HeaderValue& value);
  /// A TCP chain to the cluster of the manager's route for everything; null if it has none. For what an HTTP chain gets and
  /// cannot read.
  const routing::FilterChain* raw_chain(const routing::FilterChain& chain, Context& context);
  const AccessLog* listener_log(const routing::Listener& listener) const {
    return logs ? logs->find(listener.access_logs) : nullptr;
  }

  const std::shared_ptr<const Config> config;
  const std::shared_ptr<const AccessLogTable> logs;

 private:
  std::unordered_map<const void*, HttpRuntime> http_;
  std::unordered_map<const void*, TcpRuntime> tcp_;
  std::unordered_map<const void*, std::optional<Format>> formats_;
  std::unordered_map<const void*, std::unique_ptr<const routing::FilterChain>> raw_chains_;
};

/// A small generator (xorshift64*), for balancing and fractions; not for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed | 1) {}
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }
  /// In [0, n); n > 0.
  std::uint64_t below(std::uint64_t n) { return scale(next(), n); }
  bool chance(routing::Fraction share) { return share.per_million != 0 && below(1'000'000) < share.per_million; }

 private:
  std::uint64_t state_;
};

/// One downstream connection in whatever stage; in the worker's list while it lives.
class Session {
 public:
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session();
  /// The worker drains: end as soon as nothing is in flight.
  virtual void drain() {}
  /// There is a newer configuration: let go of the old one if it is not in use.
  virtual void on_config() {}
  routing::Direction direction = routing::Direction::unspecified;

 private:
  friend class SessionList;
  Session* previous_ = nullptr;
  Session* next_ = nullptr;
};

/// Owns the sessions. What retires is destroyed when the outermost Scope ends, so that code on the stack may still use it.
class SessionList {
 public:
  ~SessionList();
  void add(std::unique_ptr<Session> session);
  void retire(Session& session);
  template <class Visit>
  void for_each(Visit visit) {
    for (Session* session = first_; session != nullptr;) {
      Session* next = session->next_;
      visit(*session);
      session = next;
    }
  }
  void clear();

 private:
  friend class Scope;
  void sweep();
  Session* first_ = nullptr;
  Session* retired_ = nullptr;
  int depth_ = 0;
};

/// Put one on the stack in every entry from the executor.
class Scope {
 public:
  explicit Scope(SessionList& list) : list_(list) { ++list_.depth_; }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() {
    if (--list_.depth_ == 0 && list_.retired_ != nullptr) list_.sweep();
  }

 private:
  SessionList& list_;
};

struct Context {
  Context(io::Executor& executor_, const WorkerOptions& options_, WorkerStats& stats_);
  ~Context();
  bool draining(routing::Direction direction) const {
    return drain_all || (drain_inbound && direction == routing::Direction::inbound);
  }

  io::Executor& executor;
  const WorkerOptions& options;
  WorkerStats& stats;
  BlockPool blocks;
  LogBuffers logs;
  TimeCache time_cache;
  DateCache date;
  Random random;
  ServerFirst server_first;
  std::unique_ptr<ClusterSet> clusters;
  Ref<Snapshot> snapshot;  ///< the newest; null until the first configuration
  SessionList sessions;
  std::uint64_t next_stream = 0;
  bool drain_inbound = false, drain_all = false;
  std::atomic<std::int64_t> open_connections{0}, open_inbound{0}, open_outbound{0}, begun_outbound{0};
};

/// Single-writer count that other threads read.
inline void count(std::atomic<std::int64_t>& value, std::int64_t change) {
  value.store(value.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
}

/// A request, or a tunnel, begins and ends. What is neither inbound nor outbound counts as outbound.
inline void request_begins(Context& context, routing::Direction direction) {
  if (direction == routing::Direction::inbound) return count(context.open_inbound, 1);
  count(context.open_outbound, 1);
  count(context.begun_outbound, 1);
}
inline void request_ends(Context& context, routing::Direction direction) {
  count(direction == routing::Direction::inbound ? context.open_inbound : context.open_outbound, -1);
}

}  // namespace weir::proxy
