// SPDX-License-Identifier: Apache-2.0
#include "proxy/tcp_connector.h"

#include "proxy/context.h"

namespace weir::proxy {

TcpConnector::TcpConnector(Context& context, const Snapshot& snapshot, const routing::TcpManager& manager,
                           const SocketAddr& destination, const std::optional<ClientSource>& source, SocketUser& owner)
    : context_(context), snapshot_(snapshot), manager_(manager), destination_(destination), source_(source), owner_(&owner) {}

TcpConnector::~TcpConnector() = default;

void TcpConnector::start() {
  std::uint64_t point = context_.random.below(manager_.total_weight == 0 ? 1 : manager_.total_weight);
  const routing::WeightedCluster* chosen = &manager_.clusters.front();
  for (const routing::WeightedCluster& cluster : manager_.clusters) {
    chosen = &cluster;
    if (point < cluster.weight) break;
    point -= cluster.weight;
  }
  cluster_ = Ref(context_.clusters->find(*snapshot_.config, chosen->cluster));
  if (!cluster_) {
    flags_.add(ResponseFlag::no_cluster);
    failure_ = "cluster " + chosen->cluster + " is not known";
    state_ = State::failed;
    return;
  }
  attempt();
}

void TcpConnector::attempt() {
  while (true) {
    // Five draws to find one that was not tried: as Envoy's previous-hosts predicate in Istio.
    endpoint_ = cluster_->choose(destination_, tried_, 5);
    if (!endpoint_) {
      flags_.add(ResponseFlag::no_healthy_upstream);
      cluster_->stats->upstream_cx_none_healthy.add();
      state_ = State::failed;
      return;
    }
    if (cluster_->circuit->connections.load(std::memory_order_relaxed) >= cluster_->config().limits.max_connections) {
      flags_.add(ResponseFlag::upstream_overflow);
      cluster_->stats->upstream_cx_overflow.add();
      state_ = State::failed;
      return;
    }
    ++attempts_;
    connection_ = UpstreamConnection::open(endpoint_, *this, source_);
    look();
    if (connection_ || state_ == State::failed) return;
  }
}

void TcpConnector::look() {
  if (connection_->state() == UpstreamConnection::State::connected) {
    state_ = State::connected;
    flags_.clear();
  } else if (connection_->state() == UpstreamConnection::State::failed) {
    flags_.add(ResponseFlag::upstream_connect_failure);
    failure_ = connection_->failure();
    tried_.push_back(endpoint_);
    connection_.reset();
    if (attempts_ < manager_.max_connect_attempts) return;
    flags_.add(ResponseFlag::retry_limit);  // Envoy says so even where the one attempt was all
    state_ = State::failed;
  }
}

void TcpConnector::on_socket_event() {
  if (state_ == State::connecting) {
    look();
    if (state_ == State::connecting && !connection_) attempt();
    if (state_ == State::connecting) return;
  }
  owner_->on_socket_event();
}

}  // namespace weir::proxy
