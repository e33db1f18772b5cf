// SPDX-License-Identifier: Apache-2.0
#include "proxy/agent_target.h"

#include "base/text.h"

namespace weir::proxy {

namespace {

constexpr std::string_view kForms = "write unix:PATH, IP:PORT, [IP]:PORT or localhost:PORT";
constexpr std::size_t kMaxUnixPath = 107;  // sockaddr_un

}  // namespace

Result<AgentTarget> parse_agent_target(std::string_view text) {
  AgentTarget target;
  target.text = text;
  if (text.substr(0, 5) == "unix:") {
    target.unix_path = text.substr(5);
    if (target.unix_path.empty()) return fail(ErrorCode::usage, "\"{}\" names no path; {}", printable(text), kForms);
    if (target.unix_path.size() > kMaxUnixPath)
      return fail(ErrorCode::usage, "the path {} has {} bytes; a socket's has at most {}", printable(target.unix_path),
                  target.unix_path.size(), kMaxUnixPath);
    return target;
  }
  if (auto address = SocketAddr::parse(text)) {
    if (address->port == 0) return fail(ErrorCode::usage, "\"{}\" has port 0; use 1 to 65535", printable(text));
    target.addresses = {*address};
    return target;
  }
  const std::size_t colon = text.rfind(':');
  const auto port = colon == std::string_view::npos ? std::nullopt : parse_uint(text.substr(colon + 1), 65535);
  if (!port || *port == 0) return fail(ErrorCode::usage, "\"{}\" has no port; {}", printable(text), kForms);
  if (text.substr(0, colon) != "localhost")
    return fail(ErrorCode::usage, "\"{}\" is a name, and names are not resolved yet; {}", printable(text.substr(0, colon)),
                kForms);
  for (Family family : kBothFamilies) target.addresses.push_back({IpAddr::loopback(family), static_cast<Port>(*port)});
  return target;
}

}  // namespace weir::proxy
