// SPDX-License-Identifier: Apache-2.0
// Which protocol a Service's port speaks, by Istio's rules.
#pragma once

#include "mesh-rules/kubernetes.h"

namespace weir::agent {

enum class Protocol : std::uint8_t {
  http,
  http2,  ///< also gRPC
  tcp,
  tls,      ///< opaque TLS: https, tls
  detect,   ///< not declared: the first bytes decide
  foreign,  ///< UDP, SCTP: not ours
};

/// appProtocol, else the port's name up to the first "-"; undeclared ports 25, 53, 3306 and 27017 are TCP (server-first).
Protocol protocol_of(const mesh::ServicePort& port);

inline bool is_http(Protocol p) { return p == Protocol::http || p == Protocol::http2; }

}  // namespace weir::agent
