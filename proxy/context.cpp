// SPDX-License-Identifier: Apache-2.0
#include "proxy/context.h"

#include <chrono>

#include "proxy/cluster_runtime.h"

namespace weir::proxy {

HttpRuntime& Snapshot::runtime(const routing::HttpManager& manager, Context& context) {
  auto [it, is_new] = http_.try_emplace(&manager);
  HttpRuntime& runtime = it->second;
  if (!is_new) return runtime;
  runtime.log = logs ? logs->find(manager.access_logs) : nullptr;
  runtime.stats = context.stats.http(manager.stat_prefix);
  if (manager.inline_routes) {
    runtime.routes = manager.inline_routes.get();
  } else if (auto found = config->routes.find(manager.rds_name); found != config->routes.end()) {
    runtime.routes = found->second.get();
  }
  return runtime;
}

TcpRuntime& Snapshot::runtime(const routing::TcpManager& manager, Context& context) {
  auto [it, is_new] = tcp_.try_emplace(&manager);
  if (is_new) {
    it->second.log = logs ? logs->find(manager.access_logs) : nullptr;
    it->second.stats = context.stats.tcp(manager.stat_prefix);
  }
  return it->second;
}

const routing::FilterChain* Snapshot::raw_chain(const routing::FilterChain& chain, Context& context) {
  auto [it, is_new] = raw_chains_.try_emplace(&chain);
  if (!is_new) return it->second.get();
  const auto& http = std::get<routing::HttpManager>(chain.manager);
  HttpRuntime& of_http = runtime(http, context);
  if (of_http.routes == nullptr) return nullptr;
  http::HeaderMap none;
  auto found = of_http.routes->match({.scheme = "http", .method = "GET", .authority = "*", .path = "/", .headers = &none});
  const auto* forward = found.route != nullptr ? std::get_if<routing::Forward>(&found.route->action) : nullptr;
  if (forward == nullptr || !forward->cluster_header.empty()) return nullptr;
  routing::TcpManager tcp;
  tcp.stat_prefix = http.stat_prefix;
  tcp.clusters = forward->clusters;
  tcp.total_weight = forward->total_weight;
  routing::FilterChain raw;
  raw.name = chain.name;
  raw.rule = chain.rule.empty() ? found.route->rule : chain.rule;
  raw.manager = std::move(tcp);
  it->second = std::make_unique<const routing::FilterChain>(std::move(raw));
  runtime(std::get<routing::TcpManager>(it->second->manager), context).log = of_http.log;
  return it->second.get();
}

const Format* Snapshot::format(const routing::HeaderValue& value) {
  auto [it, is_new] = formats_.try_emplace(&value);
  if (is_new)
    if (auto format = Format::header(value.value)) it->second.emplace(std::move(*format));
  return it->second ? &*it->second : nullptr;
}

Session::~Session() = default;

SessionList::~SessionList() { clear(); }

void SessionList::add(std::unique_ptr<Session> session) {
  Session* added = session.release();
  added->next_ = first_;
  if (first_ != nullptr) first_->previous_ = added;
  first_ = added;
}

void SessionList::retire(Session& session) {
  if (session.previous_ != nullptr) session.previous_->next_ = session.next_;
  if (session.next_ != nullptr) session.next_->previous_ = session.previous_;
  if (first_ == &session) first_ = session.next_;
  session.previous_ = nullptr;
  session.next_ = retired_;
  retired_ = &session;
}

void SessionList::sweep() {
  while (retired_ != nullptr) {
    Session* session = retired_;
    retired_ = session->next_;
    delete session;
  }
}

void SessionList::clear() {
  while (first_ != nullptr) retire(*first_);
  sweep();
}

Context::Context(io::Executor& executor_, const WorkerOptions& options_, WorkerStats& stats_)
    : executor(executor_),
      options(options_),
      stats(stats_),
      random(static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) * 2654435761U +
             options_.index * 0x9E3779B97F4A7C15ULL),
      clusters(std::make_unique<ClusterSet>(*this)) {}

Context::~Context() = default;

}  // namespace weir::proxy
