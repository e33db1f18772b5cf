// SPDX-License-Identifier: Apache-2.0
#include "proxy/upstream_connection.h"

#include <algorithm>

#include "proxy/context.h"

namespace weir::proxy {

UpstreamConnection::UpstreamConnection(Ref<EndpointRuntime> endpoint, SocketUser& user, const std::optional<ClientSource>& source)
    : in(endpoint->cluster->context.blocks),
      endpoint_(std::move(endpoint)),
      source_(source),
      limit_(endpoint_->cluster->circuit->connections, endpoint_->cluster->config().limits.max_connections),
      user_(&user),
      opened_at_(endpoint_->cluster->context.executor.now()) {
  ++endpoint_->open_connections;
  ++endpoint_->connections_total;
  endpoint_->cluster->stats->upstream_cx_total.add();
  endpoint_->cluster->stats->upstream_cx_active.add();
}

UpstreamConnection::~UpstreamConnection() {
  --endpoint_->open_connections;
  endpoint_->cluster->stats->upstream_cx_active.sub();
  limit_.reset();
  Ref<ClusterRuntime> cluster = endpoint_->cluster;
  cluster->on_connection_closed(*endpoint_);
}

std::unique_ptr<UpstreamConnection> UpstreamConnection::open(Ref<EndpointRuntime> endpoint, SocketUser& user,
                                                             const std::optional<ClientSource>& source) {
  std::unique_ptr<UpstreamConnection> connection(new UpstreamConnection(std::move(endpoint), user, source));
  connection->start();
  return connection;
}

kernel::ConnectOptions UpstreamConnection::connect_options(const IpAddr& to) const {
  // An answer to a foreign address finds no way back from the loopback; one of IPv6's link-local ones is nothing without its
  // link.
  const bool can_bear = source_ && source_->address.family() == to.family() && !to.is_loopback() &&
                        (to.is_v4() || !source_->address.is_link_local());
  if (can_bear)
    return {.source = source_->address,
            .mark = source_->mark != 0 ? std::optional(source_->mark) : std::nullopt,
            .transparent = true};
  const Cluster& cluster = endpoint_->cluster->config();
  return {.source = to.is_v4() ? cluster.bind4 : cluster.bind6, .mark = endpoint_->cluster->context.options.mark};
}

void UpstreamConnection::start() {
  const Cluster& cluster = endpoint_->cluster->config();
  Context& context = endpoint_->cluster->context;
  const SocketAddr& address = endpoint_->dial_address();
  auto fd = kernel::connect_tcp(address, connect_options(address.ip));
  if (!fd) {
    fail("immediate connect error: " + errno_text(fd.error().sys_errno()));
    return;
  }
  (void)kernel::set_nodelay(fd->ref());  // without it slower, not wrong
  socket_.emplace(context.executor, std::move(*fd), static_cast<SocketUser&>(*this));
  socket_->expect_nothing();
  // Asked before waiting: a socket that never waited to be writable wakes nobody for that later.
  if (auto decided = kernel::connect_progress(socket_->fd(), address)) {
    if (*decided != 0)
      fail("delayed connect error: " + errno_text(*decided));
    else
      state_ = State::connected;
    return;
  }
  arm_timer(cluster.connect_timeout);
  socket_->wait_writable();
}

void UpstreamConnection::arm_timer(io::Duration delay) {
  timer_.emplace(endpoint_->cluster->context.executor, [this] { on_timer(); });
  timer_->expires_after(delay);
}

void UpstreamConnection::fail(std::string reason) {
  state_ = State::failed;
  failure_ = std::move(reason);
  ++endpoint_->connect_failures;
  endpoint_->dial_another();
  endpoint_->cluster->stats->upstream_cx_connect_fail.add();
  if (timer_) timer_->cancel();
}

void UpstreamConnection::on_socket_event() {
  // No Scope is needed before the user is called: until then nothing retires.
  if (idle_) {
    on_idle_event();
    return;
  }
  if (state_ == State::connecting) {
    int error = kernel::connect_error(socket_->fd());
    if (error != 0) {
      fail("delayed connect error: " + errno_text(error));
    } else {
      state_ = State::connected;
      timer_->cancel();
    }
  }
  Scope scope(endpoint_->cluster->context.sessions);
  user_->on_socket_event();
}

void UpstreamConnection::on_timer() {
  if (idle_) {
    auto limit = endpoint_->cluster->config().idle_timeout;
    auto idled = endpoint_->cluster->context.executor.now() - idle_since_;
    if (limit.count() == 0) return;
    if (idled < limit) {
      timer_->expires_after(limit - idled);
      return;
    }
    endpoint_->cluster->stats->upstream_cx_idle_timeout.add();
    close_idle();
    return;
  }
  if (state_ != State::connecting) return;  // of an idle time that ended
  timed_out_ = true;
  endpoint_->cluster->stats->upstream_cx_connect_timeout.add();
  fail("connection timeout");
  Scope scope(endpoint_->cluster->context.sessions);
  user_->on_socket_event();
}

const std::optional<SocketAddr>& UpstreamConnection::local_address() {
  if (!local_ && socket_)
    if (auto address = kernel::local_address(socket_->fd())) local_ = *address;
  return local_;
}

void UpstreamConnection::lend(SocketUser& user) {
  idle_ = false;
  user_ = &user;
}

void UpstreamConnection::give_back(std::unique_ptr<UpstreamConnection> connection) {
  EndpointRuntime& endpoint = *connection->endpoint_;
  const Cluster& cluster = endpoint.cluster->config();
  bool spent = cluster.max_requests_per_connection != 0 && connection->served_ >= cluster.max_requests_per_connection;
  // Bytes that nobody asked for would be taken for the next answer. A read that filled the buffer may have left some behind.
  bool in_step = connection->in.empty();
  if (in_step && connection->socket_->readable()) {
    in_step = connection->socket_->receive_into(connection->in).would_block;
    connection->in.release();
  }
  if (endpoint.removed || spent || !in_step) {
    endpoint.cluster->stats->upstream_cx_destroy_local.add();
    return;
  }
  if (UpstreamUser* waiting = endpoint.cluster->next_waiting(endpoint, connection->source_)) {
    connection->user_ = waiting;
    waiting->on_connection_offered(std::move(connection));
    return;
  }
  connection->idle_ = true;
  Context& context = endpoint.cluster->context;
  connection->idle_since_ = context.executor.now();
  // Set once and left to run: it looks at idle_since_ when it fires.
  if (cluster.idle_timeout.count() > 0) {
    if (!connection->timer_)
      connection->arm_timer(cluster.idle_timeout);
    else if (!connection->timer_->armed())
      connection->timer_->expires_after(cluster.idle_timeout);
  }
  connection->socket_->wait_readable();
  endpoint.idle.push_back(std::move(connection));
}

void UpstreamConnection::on_idle_event() {
  if (!socket_->readable()) return;
  kernel::IoResult result = socket_->receive_into(in);
  if (result.would_block) {
    socket_->wait_readable();
    return;
  }
  // The server closed it (or sent what nobody asked for).
  endpoint_->cluster->stats->upstream_cx_destroy_remote.add();
  close_idle();
}

void UpstreamConnection::close_idle() {
  auto& idle = endpoint_->idle;
  auto it = std::find_if(idle.begin(), idle.end(), [this](const auto& other) { return other.get() == this; });
  if (it == idle.end()) return;
  Ref<EndpointRuntime> endpoint = endpoint_;  // outlives this
  std::unique_ptr<UpstreamConnection> self = std::move(*it);
  idle.erase(it);
}

}  // namespace weir::proxy
