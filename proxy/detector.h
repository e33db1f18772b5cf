// SPDX-License-Identifier: Apache-2.0
// What a client speaks, told by its first bytes. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::proxy {

/// More than this many bytes are never waited for.
inline constexpr std::size_t kDetectBytes = 16 * 1024;

struct Detection {
  enum class Protocol : std::uint8_t {
    undecided,  ///< more bytes are needed
    http1,      ///< a request line that ends in HTTP/1.x, whatever else may be wrong with it (the codec then answers)
    http2,      ///< the connection preface (RFC 9113, 3.4)
    tls,        ///< a ClientHello (RFC 8446, 4.1.2)
    raw,
  } protocol = Protocol::undecided;
  std::string server_name;                         ///< of the ClientHello, lower case; "" if none
  std::vector<std::string> application_protocols;  ///< its ALPN list
};

/// `bytes`: all that the client sent so far. Never undecided once there are kDetectBytes.
Detection detect(std::string_view bytes);

}  // namespace weir::proxy
