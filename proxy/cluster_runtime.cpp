// SPDX-License-Identifier: Apache-2.0
#include "proxy/cluster_runtime.h"

#include <algorithm>

#include "proxy/context.h"
#include "proxy/upstream_connection.h"

namespace weir::proxy {

EndpointRuntime::EndpointRuntime(ClusterRuntime& cluster_, const Endpoint& endpoint_) : cluster(&cluster_), endpoint(endpoint_) {}
const SocketAddr& EndpointRuntime::dial_address() const {
  std::size_t at = dialled_ % (1 + endpoint.additional.size());
  return at == 0 ? endpoint.address : endpoint.additional[at - 1];
}

EndpointRuntime::~EndpointRuntime() = default;

ClusterRuntime::ClusterRuntime(Context& context_, std::shared_ptr<const Cluster> cluster)
    : context(context_),
      stats(context_.stats.cluster(*cluster)),
      circuit(context_.options.circuits ? context_.options.circuits->counts(cluster->name) : std::make_shared<CircuitCounts>()),
      cluster_(std::move(cluster)) {
  rebuild();
}
ClusterRuntime::~ClusterRuntime() = default;

void ClusterRuntime::rebuild() {
  std::unordered_map<SocketAddr, Ref<EndpointRuntime>> former = std::move(endpoints_);
  endpoints_.clear();
  ordered_.clear();
  const auto& wanted = cluster_->endpoints->endpoints;
  for (const Endpoint& endpoint : wanted) {
    auto it = former.find(endpoint.address);
    Ref<EndpointRuntime> runtime = it != former.end() ? it->second : Ref(new EndpointRuntime(*this, endpoint));
    runtime->endpoint = endpoint;
    endpoints_[endpoint.address] = runtime;
    ordered_.push_back(std::move(runtime));
  }
  balancer_.rebuild(wanted, cluster_->lb_policy, context.random.next());
  for (auto& [address, runtime] : former) {
    if (endpoints_.contains(address)) continue;
    // An original destination is nobody's to take away.
    if (cluster_->type == ClusterType::original_dst && wanted.empty()) {
      endpoints_[address] = runtime;
      continue;
    }
    runtime->removed = true;
    auto idle = std::move(runtime->idle);  // closed at the end of the turn
  }
}

void ClusterRuntime::update(std::shared_ptr<const Cluster> cluster) {
  if (cluster == cluster_) return;
  bool same_endpoints = cluster->endpoints == cluster_->endpoints && cluster->lb_policy == cluster_->lb_policy;
  cluster_ = std::move(cluster);
  if (!same_endpoints) rebuild();
}

void ClusterRuntime::retire() {
  Ref<ClusterRuntime> self(this);  // the endpoints' references may be the last ones
  auto endpoints = std::move(endpoints_);
  endpoints_.clear();
  ordered_.clear();
  balancer_.rebuild({}, cluster_->lb_policy, 0);
  for (auto& [address, runtime] : endpoints) {
    runtime->removed = true;
    auto idle = std::move(runtime->idle);
    runtime->idle.clear();
  }
}

Ref<EndpointRuntime> ClusterRuntime::choose(const SocketAddr& destination, std::span<const Ref<EndpointRuntime>> avoid,
                                            unsigned tries) {
  if (cluster_->type == ClusterType::original_dst) {
    auto& runtime = endpoints_[destination];
    if (!runtime) runtime = Ref(new EndpointRuntime(*this, Endpoint{.address = destination, .workload = {}}));
    return runtime;
  }
  auto was_tried = [&](const Ref<EndpointRuntime>& endpoint) {
    return std::any_of(avoid.begin(), avoid.end(), [&](const auto& other) { return other.get() == endpoint.get(); });
  };
  auto random = [this] { return context.random.next(); };
  auto load = [this](std::size_t i) { return ordered_[i]->open_requests; };
  auto index = balancer_.choose(random, load);
  for (unsigned i = 1; index && i < tries && was_tried(ordered_[*index]); ++i) index = balancer_.choose(random, load);
  if (!index || !was_tried(ordered_[*index])) return index ? ordered_[*index] : Ref<EndpointRuntime>();
  // The draws found only tried ones; any other healthy one is better than the same again.
  for (const Ref<EndpointRuntime>& other : ordered_)
    if (other->endpoint.health == Health::healthy && !was_tried(other)) return other;
  return ordered_[*index];
}

std::unique_ptr<UpstreamConnection> ClusterRuntime::take_idle(EndpointRuntime& endpoint,
                                                              const std::optional<ClientSource>& source) {
  auto it = std::find_if(endpoint.idle.rbegin(), endpoint.idle.rend(),
                         [&](const auto& connection) { return connection->source() == source; });
  if (it == endpoint.idle.rend()) return nullptr;
  auto connection = std::move(*it);
  endpoint.idle.erase(std::next(it).base());
  return connection;
}

bool ClusterRuntime::may_connect(const EndpointRuntime& endpoint) const {
  return circuit->connections.load(std::memory_order_relaxed) < cluster_->limits.max_connections ||
         endpoint.open_connections == 0;
}

void ClusterRuntime::wait(UpstreamUser& user, Ref<EndpointRuntime> endpoint, const std::optional<ClientSource>& source) {
  waiting_.push_back({&user, std::move(endpoint), source});
}

void ClusterRuntime::stop_waiting(UpstreamUser& user) {
  std::erase_if(waiting_, [&](const auto& entry) { return entry.user == &user; });
}

UpstreamUser* ClusterRuntime::next_waiting(EndpointRuntime& endpoint, const std::optional<ClientSource>& source) {
  auto it = std::find_if(waiting_.begin(), waiting_.end(),
                         [&](const auto& entry) { return entry.endpoint.get() == &endpoint && entry.source == source; });
  if (it == waiting_.end()) return nullptr;
  UpstreamUser* user = it->user;
  waiting_.erase(it);
  return user;
}

void ClusterRuntime::on_connection_closed(EndpointRuntime& endpoint) {
  auto it = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& entry) { return may_connect(*entry.endpoint); });
  if (it != waiting_.end()) {
    UpstreamUser* user = it->user;
    waiting_.erase(it);
    user->on_connection_allowed();
  }
  release_if_unused(endpoint);
}

void ClusterRuntime::release_if_unused(EndpointRuntime& endpoint) {
  if (cluster_->type != ClusterType::original_dst || endpoint.open_connections != 0 || endpoint.open_requests != 0) return;
  auto it = endpoints_.find(endpoint.endpoint.address);
  if (it != endpoints_.end() && it->second.get() == &endpoint) endpoints_.erase(it);
}

ClusterFigures ClusterRuntime::figures() const {
  ClusterFigures result{.name = cluster_->name, .endpoints = {}};
  for (const auto& [address, runtime] : endpoints_) {
    const Endpoint& endpoint = runtime->endpoint;
    result.endpoints.push_back({.address = address,
                                .health = endpoint.health,
                                .weight = endpoint.weight,
                                .priority = endpoint.priority,
                                .connections = runtime->connections_total,
                                .connect_failures = runtime->connect_failures,
                                .requests = runtime->requests_total,
                                .errors = runtime->errors,
                                .open_connections = runtime->open_connections,
                                .open_requests = runtime->open_requests});
  }
  return result;
}

ClusterRuntime* ClusterSet::find(const Config& config, const std::string& name) {
  auto wanted = config.clusters.find(name);
  if (wanted == config.clusters.end()) return nullptr;
  auto it = clusters_.find(name);
  if (it == clusters_.end()) it = clusters_.emplace(name, Ref(new ClusterRuntime(context_, wanted->second))).first;
  return it->second.get();
}

void ClusterSet::update(const Config& config) {
  for (auto it = clusters_.begin(); it != clusters_.end();) {
    auto wanted = config.clusters.find(it->first);
    if (wanted != config.clusters.end()) {
      it->second->update(wanted->second);
      ++it;
      continue;
    }
    it->second->retire();
    it = clusters_.erase(it);
  }
}

void ClusterSet::clear() {
  for (auto& [name, cluster] : clusters_) cluster->retire();
  clusters_.clear();
}

std::vector<ClusterFigures> ClusterSet::figures() const {
  std::vector<ClusterFigures> result;
  for (const auto& [name, cluster] : clusters_) result.push_back(cluster->figures());
  return result;
}

}  // namespace weir::proxy
