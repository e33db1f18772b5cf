// SPDX-License-Identifier: Apache-2.0
// One thread of the data path: it accepts, detects, routes and forwards. Workers share nothing mutable (invariant 7); what they
// are told comes as immutable snapshots, what they count is read through WorkerStats.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "proxy/config.h"
#include "proxy/drain.h"

namespace weir::proxy {

class AccessLogTable;
class CircuitRegistry;
class WorkerStats;

struct WorkerOptions {
  unsigned index = 0;
  unsigned workers = 1;  ///< above 1, listeners that the configuration binds are bound by each worker (SO_REUSEPORT)
  std::vector<Port> capture_ports{15001, 15006};
  std::optional<std::uint32_t> mark;  ///< put on upstream sockets and heartbeats; only where it may be set
  /// How long a silent client keeps a chain undecided before its upstream is dialled to hear whether the server speaks first.
  std::chrono::milliseconds server_first_wait{100};
  /// How often this worker shows that the proxy lives (heartbeat.h); 0: never.
  std::chrono::milliseconds heartbeat_interval{0};
  std::chrono::milliseconds detect_limit{15'000};  ///< after that a connection is taken as raw TCP
  std::shared_ptr<CircuitRegistry> circuits;       ///< the same for all workers of a process; null: this worker counts alone
  std::size_t replay_bytes = 64 * 1024;            ///< request bodies up to this size can be retried
  std::chrono::milliseconds head_limit{60'000};    ///< to send a whole request head, from its first byte; 0 = none
};

/// A listening socket with what it was bound to.
struct ListeningSocket {
  UniqueFd fd;
  SocketAddr address;
};

/// Binds every capture port on the wildcard of both families, once for each worker; result[i] is worker i's. A family that the
/// machine lacks is left out (the caller may log it); neither family: an error. Call before the heartbeat is sent. `transparent`:
/// a TPROXY rule finds them from the first moment.
Result<std::vector<std::vector<ListeningSocket>>> bind_capture_ports(const std::vector<Port>& ports, unsigned workers,
                                                                     bool transparent = false);

/// For admin's /clusters, of one worker: to be summed over workers.
struct EndpointFigures {
  SocketAddr address;
  Health health = Health::healthy;
  std::uint32_t weight = 1, priority = 0;
  std::uint64_t connections = 0, connect_failures = 0, requests = 0, errors = 0;  ///< totals; errors: 5xx and resets
  std::uint64_t open_connections = 0, open_requests = 0;
};
struct ClusterFigures {
  std::string name;
  std::vector<EndpointFigures> endpoints;  ///< only those that this worker has used
};

/// All methods may be called from any thread, but only while the Worker lives; each takes effect on the worker's own thread, in
/// the order of the calls. Callbacks come on the worker's thread.
class Worker {
 public:
  /// `stats` must outlive the worker. The sockets are this worker's part of bind_capture_ports(); connections wait in their
  /// backlog until the first set_config().
  Worker(WorkerOptions options, std::vector<ListeningSocket> sockets, WorkerStats& stats);
  /// Stops and joins; open connections are closed.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Starts the thread. Once.
  void start();
  /// Ends the thread, closing what is open, and waits for it. Idempotent.
  void stop();

  /// From now on new connections, and new requests on connections that are open, use this. `logs` is compiled from
  /// config->listeners; null logs nothing. Binds the listeners that say so and are not capture ports, closes those that are gone.
  void set_config(std::shared_ptr<const Config> config, std::shared_ptr<const AccessLogTable> logs);
  /// The configuration did not come in time: accept and reset, until set_config() is called.
  void refuse_until_config();

  enum class Side : std::uint8_t { inbound, all };
  /// No new connections: the sockets are closed.
  void stop_accepting(Side side);
  /// Graceful end: responses carry `Connection: close`, idle keep-alive connections are closed. New connections are still
  /// accepted (stop_accepting() is separate). Requests and tunnels that are open go on.
  void drain(Side side);

  /// Connections and requests open now (tunnels count as both). Any thread, no wait.
  std::int64_t open_connections() const;
  std::int64_t open_requests() const;
  OpenWork open_work() const;

  void figures(std::function<void(std::vector<ClusterFigures>)> done);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::proxy
