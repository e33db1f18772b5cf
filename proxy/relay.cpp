// SPDX-License-Identifier: Apache-2.0
#include "proxy/relay.h"

namespace weir::proxy {

namespace {
constexpr std::size_t kTurnBytes = 1024 * 1024;  // then others get their turn
}

Relay::Pump Relay::pump(Direction& direction, const Direction& other) {
  for (std::size_t moved = 0; moved < kTurnBytes;) {
    if (!direction.buffer.empty()) {
      if (direction.to.writable()) {
        kernel::IoResult result = direction.to.send(direction.buffer.view());
        if (result.error != 0) return Pump::to_failed;
        direction.buffer.consume(result.bytes);
        direction.bytes += result.bytes;
        moved += result.bytes;
      }
      if (!direction.buffer.empty()) {
        direction.to.wait_writable();
        return Pump::ok;
      }
    }
    if (direction.eof) {
      // The last half ends with the connection itself.
      if (!direction.shut && !other.shut) kernel::shutdown_write(direction.to.fd());
      direction.shut = true;
      return Pump::ok;
    }
    if (!direction.from.readable()) break;
    kernel::IoResult result = direction.from.receive_into(direction.buffer);
    if (result.error != 0) return Pump::from_failed;
    direction.eof = result.eof;
  }
  direction.from.wait_readable();
  return Pump::ok;
}

Relay::State Relay::drive() {
  switch (pump(request_, response_)) {
    case Pump::from_failed: return State::downstream_failed;
    case Pump::to_failed: return State::upstream_failed;
    case Pump::ok: break;
  }
  switch (pump(response_, request_)) {
    case Pump::from_failed: return State::upstream_failed;
    case Pump::to_failed: return State::downstream_failed;
    case Pump::ok: break;
  }
  return request_.shut && response_.shut ? State::done : State::open;
}

}  // namespace weir::proxy
