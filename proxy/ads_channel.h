// SPDX-License-Identifier: Apache-2.0
// Keeps one ADS stream to the agent open: socket, gRPC and the ADS state machine on the main executor. Whatever the other end
// sends or fails to send, what serves stays.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "http/grpc.h"
#include "io/executor.h"
#include "proxy/agent_target.h"
#include "xds/ads_client.h"

namespace weir::proxy {

class AdsChannel final : io::ReadyHandler, http::GrpcClientStream::Events {
 public:
  struct Options {
    std::chrono::milliseconds connect_limit{5'000};
    std::chrono::milliseconds ping_interval{30'000};  ///< of a silent connection
    std::chrono::milliseconds ping_limit{10'000};     ///< no answer for so long: the agent is gone
    std::optional<std::uint32_t> mark;                ///< SO_MARK of the socket
  };
  /// Counts for /stats: control_plane.*.
  struct Figures {
    std::uint64_t connects = 0, failures = 0, messages = 0, rubbish = 0;
    bool connected = false;
  };
  /// `after_event` runs after whatever the client was told, so that the owner can log, store and look at is_ready(). The client
  /// must outlive the channel. Main thread.
  AdsChannel(io::Executor& executor, AgentTarget target, xds::AdsClient& client, Options options,
             std::function<void()> after_event);
  ~AdsChannel();

  /// Connects now, and again after each loss when the client says so.
  void start();
  /// Closes; no reconnect.
  void stop();
  const Figures& figures() const { return figures_; }

 private:
  void on_readable() override;
  void on_writable() override;
  void on_message(std::string_view message) override;
  void on_status(const http::GrpcStatus& status) override;

  void connect();
  void opened();
  void progress();
  bool write_out();
  void close(const std::string& why);
  void on_timer();
  void on_ping();
  void arm();

  io::Executor& executor_;
  AgentTarget target_;
  xds::AdsClient& client_;
  Options options_;
  std::function<void()> after_event_;

  UniqueFd fd_;
  io::Watch watch_;
  std::unique_ptr<http::GrpcClientStream> stream_;
  std::string out_;       // taken from the stream, not yet written
  std::string ended_;     // why the stream is over, "" while it lives
  std::string last_why_;  // last logged reason, so that a long absence is one line
  std::size_t next_ = 0;  // address to try
  bool running_ = false, connecting_ = false;
  bool answered_ = false;  // on this connection
  bool ping_open_ = false;
  std::uint64_t pongs_ = 0;
  io::Timer connect_timer_, client_timer_, ping_timer_;
  Figures figures_;
};

}  // namespace weir::proxy
