// SPDX-License-Identifier: Apache-2.0
#include "proxy/ads_channel.h"

#include <array>
#include <cerrno>

#include "base/log.h"
#include "base/text.h"
#include "kernel/socket.h"

namespace weir::proxy {

namespace {

constexpr const char* kMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// Whether a close is seen by reading or by writing is chance: one wording for it.
std::string lost(int error) {
  return error == EPIPE || error == ECONNRESET ? "the agent closed the connection"
                                               : "the connection failed: " + errno_text(error);
}

}  // namespace

AdsChannel::AdsChannel(io::Executor& executor, AgentTarget target, xds::AdsClient& client, Options options,
                       std::function<void()> after_event)
    : executor_(executor),
      target_(std::move(target)),
      client_(client),
      options_(options),
      after_event_(std::move(after_event)),
      connect_timer_(executor, [this] { close("no connection in time"); }),
      client_timer_(executor, [this] { on_timer(); }),
      ping_timer_(executor, [this] { on_ping(); }) {}

AdsChannel::~AdsChannel() { stop(); }

void AdsChannel::start() {
  running_ = true;
  connect();
}

void AdsChannel::stop() {
  running_ = false;
  if (stream_) client_.on_closed(executor_.now());
  watch_.reset();
  fd_.reset();
  stream_.reset();
  connect_timer_.cancel();
  client_timer_.cancel();
  ping_timer_.cancel();
  figures_.connected = false;
}

void AdsChannel::connect() {
  Result<UniqueFd> fd = target_.unix_path.empty()
                            ? kernel::connect_tcp(target_.addresses[next_++ % target_.addresses.size()], {.mark = options_.mark})
                            : kernel::connect_unix(target_.unix_path);
  if (!fd) return close(fd.error().to_text());
  fd_ = std::move(*fd);
  connecting_ = true;
  watch_ = io::Watch(executor_, fd_.ref(), *this);
  watch_.want_write();
  connect_timer_.expires_after(options_.connect_limit);
}

void AdsChannel::opened() {
  connect_timer_.cancel();
  connecting_ = false;
  ended_.clear();
  out_.clear();
  http::GrpcClientStream::Options options;
  options.path = kMethod;
  options.authority = target_.authority();
  options.max_message_bytes = xds::kMaxMessageBytes;
  // Big answers come in one message: do not wait for a window each 64 kB.
  options.h2.stream_window = 4U << 20;
  options.h2.connection_window = 8U << 20;
  stream_ = std::make_unique<http::GrpcClientStream>(std::move(options), static_cast<http::GrpcClientStream::Events&>(*this));
  ++figures_.connects;
  figures_.connected = true;
  log::debug("agent {}: connected", target_.text);
  answered_ = false;
  ping_open_ = false;
  pongs_ = 0;
  ping_timer_.expires_after(options_.ping_interval);
  client_.on_open(executor_.now());
  watch_.want_read();
  progress();
}

void AdsChannel::on_writable() {
  if (connecting_) {
    if (int error = kernel::connect_error(fd_.ref()); error != 0) return close(errno_text(error));
    return opened();
  }
  progress();
}

void AdsChannel::on_readable() {
  std::array<char, 64 * 1024> buffer;
  for (int round = 0; round < 16 && stream_ && ended_.empty(); ++round) {
    const kernel::IoResult got = kernel::receive(fd_.ref(), buffer);
    if (got.would_block) break;
    if (!got.ok()) {
      if (ended_.empty()) ended_ = got.eof ? "the agent closed the connection" : lost(got.error);
      stream_->on_eof();
      break;
    }
    if (auto fed = stream_->feed({buffer.data(), got.bytes}); !fed) {
      ++figures_.rubbish;
      ended_ = fmt::format("the other end does not speak gRPC as it should: {}", fed.error().to_text());
    }
  }
  progress();
}

void AdsChannel::on_message(std::string_view message) {
  ++figures_.messages;
  ping_timer_.expires_after(options_.ping_interval);
  if (!ended_.empty()) return;
  if (auto taken = client_.on_message(message, executor_.now()); !taken) {
    ++figures_.rubbish;
    ended_ = fmt::format("the agent sent what is no answer: {}", taken.error().to_text());
  } else if (!answered_) {
    answered_ = true;
    last_why_.clear();
    log::info("agent {}: connected, and it answers", target_.text);
  }
}

void AdsChannel::on_status(const http::GrpcStatus& status) {
  if (ended_.empty()) ended_ = fmt::format("the stream ended: {}", printable(status.to_text(), 500));
}

/// Sends what there is to send; ends the connection if the stream is over.
void AdsChannel::progress() {
  if (!stream_) return;
  if (ended_.empty())
    for (const std::string& request : client_.take_requests()) stream_->send(request);
  const bool written = write_out();
  if (ended_.empty() && stream_->is_finished()) {
    ++figures_.rubbish;
    ended_ = "the other end does not speak gRPC as it should: HTTP/2 ended by a protocol error";
  }
  if (!ended_.empty() || !written) {
    close(ended_.empty() ? "writing failed" : ended_);
    return;
  }
  watch_.want_read();
  if (!out_.empty() || stream_->wants_write()) watch_.want_write();
  arm();
  after_event_();
}

bool AdsChannel::write_out() {
  while (true) {
    if (out_.empty()) stream_->take(out_);
    if (out_.empty()) return true;
    const kernel::IoResult sent = kernel::send(fd_.ref(), std::span<const char>(out_));
    if (sent.would_block) return true;
    if (!sent.ok()) {
      if (ended_.empty()) ended_ = lost(sent.error);
      return false;
    }
    out_.erase(0, sent.bytes);
  }
}

void AdsChannel::close(const std::string& why_text) {
  const std::string why = why_text;  // may be ended_
  watch_.reset();
  fd_.reset();
  stream_.reset();
  connect_timer_.cancel();
  ping_timer_.cancel();
  connecting_ = false;
  figures_.connected = false;
  ++figures_.failures;
  ended_.clear();
  client_.on_closed(executor_.now());
  if (why != last_why_) {
    log::warn("agent {}: {}; what serves stays, trying again", target_.text, why);
    last_why_ = why;
  }
  arm();
  after_event_();
}

/// One timer for all that the client waits for: its deadlines, or the next attempt.
void AdsChannel::arm() {
  if (!running_) return;
  std::optional<xds::TimePoint> at = client_.deadline();
  if (!stream_ && !connecting_ && (!at || client_.reconnect_at() < *at)) at = client_.reconnect_at();
  if (!at) return client_timer_.cancel();
  client_timer_.expires_after(std::max<io::Duration>(*at - io::Clock::now(), std::chrono::milliseconds(1)));
}

void AdsChannel::on_timer() {
  const io::TimePoint now = io::Clock::now();
  if (auto deadline = client_.deadline(); deadline && *deadline <= now) {
    client_.on_time(now);
    if (stream_) return progress();
    after_event_();
  }
  if (!stream_ && !connecting_ && client_.reconnect_at() <= now) return connect();
  arm();
}

void AdsChannel::on_ping() {
  if (!stream_) return;
  if (ping_open_ && stream_->pongs() == pongs_) return close("the agent does not answer pings");
  ping_open_ = !ping_open_;
  if (ping_open_) {
    pongs_ = stream_->pongs();
    stream_->ping();
  }
  ping_timer_.expires_after(ping_open_ ? options_.ping_limit : options_.ping_interval);
  progress();
}

}  // namespace weir::proxy
