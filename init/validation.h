// SPDX-License-Identifier: Apache-2.0
// --run-validation: does this network namespace redirect the proxy's connections to itself? A presence test, as istio-iptables'
// one.
#pragma once

#include "base/duration.h"
#include "base/ip.h"
#include "base/result.h"

namespace weir::init {

struct Validation {
  Port outbound_port, inbound_port;  ///< both are listened on at 127.0.0.1 and ::1, instead of the proxy
  Port probe_port;                   ///< 127.0.0.6 and ::6 are dialled there
  Nanoseconds limit;                 ///< over all, a redirection may yet come
  bool needs_v6;                     ///< the sandbox has IPv6 traffic, so IPv6 must be redirected too
};

/// Listens as the proxy would, dials the probe port about once a second, and succeeds when the connection arrives at the inbound
/// port with the probe port as its original destination. To be run as the proxy's uid while no proxy runs: the rule that it
/// exercises is "what the proxy sends to its own sandbox comes to the inbound port". Its packets open a start gate, as the
/// proxy's do. Blocks the calling thread up to the limit. Errors: check_failed, not redirected; environment, a port is taken.
Result<> validate_redirection(const Validation& validation);

}  // namespace weir::init
