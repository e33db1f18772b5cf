// SPDX-License-Identifier: Apache-2.0
// One worker's view of clusters that it has used: endpoints with their pools, counts against the circuit limits, the balancer's
// state. Survives changes of the configuration; made on first use, so that what is never used costs nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/balancer.h"
#include "proxy/circuit.h"
#include "proxy/config.h"
#include "proxy/ref.h"
#include "proxy/stats.h"
#include "proxy/worker.h"

namespace weir::proxy {

struct Context;
class UpstreamConnection;
class UpstreamUser;

/// The client's address, which connections upstream are to bear (xDS: original_src). Connections are shared only among those who
/// ask for the same.
struct ClientSource {
  IpAddr address;
  std::uint32_t mark = 0;  ///< SO_MARK; 0 = none
  friend bool operator==(const ClientSource&, const ClientSource&) = default;
};

/// One upstream address in one cluster. Kept alive by its connections and requests after the configuration dropped it.
class EndpointRuntime : public RefCounted {
 public:
  EndpointRuntime(class ClusterRuntime& cluster, const Endpoint& endpoint);
  ~EndpointRuntime();

  /// Where to connect now: the endpoint's address, or another of its addresses after dial_another().
  const SocketAddr& dial_address() const;
  /// The address could not be reached: the next attempt takes the next one, the first after the last.
  void dial_another() { ++dialled_; }

  Ref<class ClusterRuntime> cluster;
  Endpoint endpoint;
  bool removed = false;                                   ///< no new requests; idle connections are closed
  std::vector<std::unique_ptr<UpstreamConnection>> idle;  ///< the last one was used last
  std::uint64_t connections_total = 0, connect_failures = 0, requests_total = 0, errors = 0;
  std::uint32_t open_connections = 0, open_requests = 0;

 private:
  std::size_t dialled_ = 0;
};

class ClusterRuntime : public RefCounted {
 public:
  ClusterRuntime(Context& context, std::shared_ptr<const Cluster> cluster);
  ~ClusterRuntime();

  /// The endpoint for the next attempt; null: none is healthy. `avoid` are endpoints tried before (they are taken if there is no
  /// other). `destination` is the original one, for clusters that follow it.
  Ref<EndpointRuntime> choose(const SocketAddr& destination, std::span<const Ref<EndpointRuntime>> avoid, unsigned tries);
  /// A newer version of the same cluster.
  void update(std::shared_ptr<const Cluster> cluster);
  /// The configuration dropped it.
  void retire();
  /// A connection that was idle, to be lent out; null if there is none.
  std::unique_ptr<UpstreamConnection> take_idle(EndpointRuntime& endpoint, const std::optional<ClientSource>& source);
  /// Whether the limits allow one more connection. Every endpoint may have one, as in Envoy, whatever the cluster's limit.
  bool may_connect(const EndpointRuntime& endpoint) const;
  /// The user waits in line for a connection to the endpoint.
  void wait(UpstreamUser& user, Ref<EndpointRuntime> endpoint, const std::optional<ClientSource>& source);
  void stop_waiting(UpstreamUser& user);
  /// Takes the first in line for this endpoint with this source; null if nobody waits.
  UpstreamUser* next_waiting(EndpointRuntime& endpoint, const std::optional<ClientSource>& source);
  void on_connection_closed(EndpointRuntime& endpoint);
  /// An endpoint of an original_dst cluster that nobody uses any more is forgotten.
  void release_if_unused(EndpointRuntime& endpoint);
  ClusterFigures figures() const;

  const Cluster& config() const { return *cluster_; }
  Context& context;
  std::shared_ptr<ClusterStats> stats;
  const std::shared_ptr<CircuitCounts> circuit;

 private:
  void rebuild();
  std::shared_ptr<const Cluster> cluster_;
  std::unordered_map<SocketAddr, Ref<EndpointRuntime>> endpoints_;
  std::vector<Ref<EndpointRuntime>> ordered_;  // as in the configuration
  Balancer balancer_;
  struct Waiting {
    UpstreamUser* user;
    Ref<EndpointRuntime> endpoint;
    std::optional<ClientSource> source;
  };
  std::deque<Waiting> waiting_;
};

/// By name.
class ClusterSet {
 public:
  explicit ClusterSet(Context& context) : context_(context) {}
  /// Null: `config` has no such cluster.
  ClusterRuntime* find(const Config& config, const std::string& name);
  void update(const Config& config);
  std::vector<ClusterFigures> figures() const;
  void clear();

 private:
  Context& context_;
  std::unordered_map<std::string, Ref<ClusterRuntime>> clusters_;
};

}  // namespace weir::proxy
