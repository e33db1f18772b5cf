// SPDX-License-Identifier: Apache-2.0
// Live un-enrolment: the state between "no new connection is captured" and "nothing of ours is left". Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/duration.h"
#include "base/ip.h"

namespace weir::capture {

/// While it stands, new connections are direct and those that were captured go on.
struct Drain {
  std::string id;                           ///< names this one drain: lower-case letters and digits
  Nanoseconds until = Nanoseconds::zero();  ///< on the clock that counts from the machine's start (CLOCK_BOOTTIME), whole seconds
  std::vector<Port> ports;                  ///< of the proxy, ascending: connections that were redirected there are waited for
  friend bool operator==(const Drain&, const Drain&) = default;
};

/// What check() says while one stands, and nothing else.
inline constexpr const char* kDraining = "draining: new connections are direct, those that were captured go on";

/// What release() says in mode TPROXY.
inline constexpr const char* kNotTransparent =
    "cannot un-enrol live in mode TPROXY: what the kernel keeps of a connection does not tell which were captured; use remove "
    "without --live";

/// How a backend writes it into a comment of its rules: "draining 1a2b3c4d until 4711 s, ports 15001 15006".
std::string drain_mark(const Drain& drain);
/// Finds what drain_mark() wrote, anywhere in a text.
std::optional<Drain> find_drain(std::string_view text);

/// What release() did.
struct Released {
  bool changed = false;        ///< false: there was nothing, or it drains already
  std::optional<Drain> drain;  ///< what stands now; nullopt: nothing of ours
};

}  // namespace weir::capture
