// SPDX-License-Identifier: Apache-2.0
// A connection from a client, as it is handed from stage to stage: accepted, detected, then HTTP or TCP.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "proxy/cluster_runtime.h"
#include "proxy/context.h"
#include "proxy/socket.h"

namespace weir::proxy {

class Downstream {
 public:
  Downstream(Context& context_, UniqueFd fd, SocketUser& user)
      : context(context_), socket(context_.executor, std::move(fd), user), in(context_.blocks) {
    count(context.open_connections, 1);
  }
  ~Downstream() {
    count(context.open_connections, -1);
    if (listener_stats) {
      listener_stats->downstream_cx_destroy.add();
      listener_stats->downstream_cx_active.sub();
    }
  }
  Downstream(const Downstream&) = delete;
  Downstream& operator=(const Downstream&) = delete;

  /// The chain for what is known now; null: none matches.
  const routing::FilterChain* match() const {
    return routing::match_chain(*listener, {.destination = original,
                                            .source = peer,
                                            .server_name = server_name,
                                            .transport = is_tls ? "tls" : "raw_buffer",
                                            .application = application});
  }
  /// Takes the newest configuration, if it still serves this destination; false if not (then nothing changes).
  bool refresh();

  Context& context;
  Socket socket;
  Buffer in;  ///< received, not yet dealt with
  SocketAddr peer;
  SocketAddr original;                 ///< where the client was going
  std::optional<ClientSource> source;  ///< if connections upstream are to bear the client's address
  std::chrono::system_clock::time_point accepted;
  io::TimePoint started;   ///< the same moment, for durations
  Ref<Snapshot> snapshot;  ///< keeps what the next two point to
  std::string bound_name;  ///< of the listener whose socket accepted it
  const routing::Listener* listener = nullptr;
  const routing::FilterChain* chain = nullptr;
  std::string server_name;  ///< SNI
  std::string application;  ///< detected: "http/1.1", "h2c", an ALPN name; "" if not
  bool is_tls = false;
  std::uint64_t id = 0;
  std::shared_ptr<ListenerStats> listener_stats;
};

}  // namespace weir::proxy
