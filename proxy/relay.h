// SPDX-License-Identifier: Apache-2.0
// Bytes both ways between two sockets until both sides have closed: TCP connections and upgraded HTTP ones.
#pragma once

#include <cstdint>

#include "proxy/socket.h"

namespace weir::proxy {

class Relay {
 public:
  enum class State : std::uint8_t { open, done, downstream_failed, upstream_failed };

  /// What the buffers already hold goes first. All must outlive the Relay.
  Relay(Socket& downstream, Buffer& from_downstream, Socket& upstream, Buffer& from_upstream)
      : request_{downstream, upstream, from_downstream}, response_{upstream, downstream, from_upstream} {}

  /// Moves what can be moved and asks to be told of the rest. A side that ends is half-closed towards the other; a side that
  /// fails ends the relay: close the other with a reset, so that the failure is not taken for a proper end.
  State drive();
  std::uint64_t bytes_from_downstream() const { return request_.bytes; }
  std::uint64_t bytes_from_upstream() const { return response_.bytes; }

 private:
  struct Direction {
    Socket& from;
    Socket& to;
    Buffer& buffer;
    std::uint64_t bytes = 0;  // passed on
    bool eof = false, shut = false;
  };
  enum class Pump : std::uint8_t { ok, from_failed, to_failed };
  static Pump pump(Direction& direction, const Direction& other);
  Direction request_, response_;
};

}  // namespace weir::proxy
