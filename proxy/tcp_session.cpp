// SPDX-License-Identifier: Apache-2.0
#include "proxy/tcp_session.h"

namespace weir::proxy {

namespace {
Reporter reporter_of(routing::Direction direction) {
  return direction == routing::Direction::inbound ? Reporter::destination : Reporter::source;
}
}  // namespace

TcpSession::TcpSession(std::unique_ptr<Downstream> downstream, std::unique_ptr<TcpConnector> connector)
    : downstream_(std::move(downstream)),
      manager_(std::get<routing::TcpManager>(downstream_->chain->manager)),
      runtime_(downstream_->snapshot->runtime(manager_, downstream_->context)),
      connector_(std::move(connector)) {
  direction = downstream_->listener->direction;
  downstream_->socket.set_user(*this);
  runtime_.stats->downstream_cx_total.add();
  runtime_.stats->downstream_cx_active.add();
  request_begins(downstream_->context, direction);
}

TcpSession::~TcpSession() {
  runtime_.stats->downstream_cx_active.sub();
  request_ends(downstream_->context, direction);
}

void TcpSession::start() {
  if (connector_) {
    connector_->set_owner(*this);
  } else {
    connector_ = std::make_unique<TcpConnector>(downstream_->context, *downstream_->snapshot, manager_, downstream_->original,
                                                downstream_->source, static_cast<SocketUser&>(*this));
    connector_->start();
  }
  drive();
}

void TcpSession::on_socket_event() {
  Scope scope(downstream_->context.sessions);
  drive();
}

void TcpSession::connected() {
  EndpointRuntime& endpoint = *connector_->endpoint();
  series_ = &connector_->cluster()->stats->connection(reporter_of(direction), {}, endpoint.endpoint.workload);
  series_->opened.add();
  ++endpoint.requests_total;
  ++endpoint.open_requests;
  UpstreamConnection& upstream = connector_->connection();
  relay_.emplace(downstream_->socket, downstream_->in, upstream.socket(), upstream.in);
  if (manager_.idle_timeout.count() == 0) return;
  idle_timer_.emplace(downstream_->context.executor, [this] { on_idle(); });
  idle_timer_->expires_after(manager_.idle_timeout);
}

void TcpSession::drive() {
  if (finished_) return;
  if (!relay_) {
    if (connector_->state() == TcpConnector::State::connecting) return;
    if (connector_->state() == TcpConnector::State::failed) {
      // The client shall see that nobody is there, not an answer of nothing.
      (void)kernel::set_reset_on_close(downstream_->socket.fd());
      finish();
      return;
    }
    connected();
  }
  last_activity_ = downstream_->context.executor.now();
  switch (relay_->drive()) {
    case Relay::State::open: return;
    case Relay::State::done: break;
    case Relay::State::downstream_failed: (void)kernel::set_reset_on_close(connector_->connection().socket().fd()); break;
    case Relay::State::upstream_failed: (void)kernel::set_reset_on_close(downstream_->socket.fd()); break;
  }
  finish();
}

void TcpSession::on_idle() {
  Scope scope(downstream_->context.sessions);
  auto idled = downstream_->context.executor.now() - last_activity_;
  if (idled < manager_.idle_timeout) {
    idle_timer_->expires_after(manager_.idle_timeout - idled);
    return;
  }
  runtime_.stats->idle_timeout.add();
  finish();
}

void TcpSession::fill_info(StreamInfo& info) {
  info.start = downstream_->accepted;
  info.duration = downstream_->context.executor.now() - downstream_->started;
  info.flags = connector_->flags();
  info.attempts = connector_->attempts();
  info.upstream_transport_failure_reason = connector_->failure();
  info.downstream_local = downstream_->original;
  info.downstream_remote = downstream_->peer;
  info.server_name = downstream_->server_name;
  info.rule = &downstream_->chain->rule;
  info.stream_id = downstream_->id;
  if (ClusterRuntime* cluster = connector_->cluster()) {
    info.upstream_cluster = cluster->config().name;
    info.cluster_rule = &cluster->config().rule;
  }
  if (EndpointRuntime* endpoint = connector_->endpoint()) info.upstream_host = endpoint->dial_address();
  if (!relay_) return;
  if (runtime_.log != nullptr) info.upstream_local = connector_->connection().local_address();
  info.bytes_received = relay_->bytes_from_downstream();
  info.bytes_sent = relay_->bytes_from_upstream();
}

void TcpSession::finish() {
  if (finished_) return;
  finished_ = true;
  Context& context = downstream_->context;
  StreamInfo info;
  fill_info(info);
  runtime_.stats->downstream_cx_rx_bytes_total.add(info.bytes_received);
  runtime_.stats->downstream_cx_tx_bytes_total.add(info.bytes_sent);
  ClusterRuntime* cluster = connector_->cluster();
  if (relay_) {
    --connector_->endpoint()->open_requests;
    series_->received_bytes.add(info.bytes_received);
    series_->sent_bytes.add(info.bytes_sent);
    series_->closed.add();
    cluster->stats->upstream_cx_tx_bytes_total.add(info.bytes_received);
    cluster->stats->upstream_cx_rx_bytes_total.add(info.bytes_sent);
  } else if (cluster != nullptr) {
    auto& series = cluster->stats->connection(reporter_of(direction), info.flags, "");
    series.opened.add();
    series.closed.add();
  }
  if (runtime_.log != nullptr) runtime_.log->log(context.logs, {.info = info});
  context.sessions.retire(*this);
}

}  // namespace weir::proxy
