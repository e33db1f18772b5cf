// SPDX-License-Identifier: Apache-2.0
// A read-only HTTP/1 endpoint for people and weirctl: one request a connection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/ip.h"
#include "base/result.h"
#include "io/executor.h"

namespace weir::agent {

struct DebugAnswer {
  std::uint16_t status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=UTF-8";
};

/// All on the executor's thread. At most 64 connections, each at most 10 s and one head of 8 KiB.
class DebugService {
 public:
  /// `page` answers GET and HEAD; it gets the path and the decoded value of the query parameter proxyID ("" if not given).
  using Page = std::function<DebugAnswer(std::string_view path, const std::string& proxy_id)>;
  DebugService(io::Executor& executor, Page page);
  ~DebugService();

  Result<> listen_unix(const std::string& path, mode_t mode);
  /// Loopback only (the caller has checked); a Host that is no loopback name is refused, so that no web page can ask through a
  /// browser.
  Result<> listen_tcp(const SocketAddr& address);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::agent
