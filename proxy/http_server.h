// SPDX-License-Identifier: Apache-2.0
// A small HTTP/1 server for admin, health and metrics, on the main executor: never on the data path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "io/executor.h"

namespace weir::proxy {

struct HttpRequest {
  std::string method;
  std::string path;  ///< without the query
  std::vector<std::pair<std::string, std::string>> query;
  std::string host;  ///< of the authority, lower case, without port and brackets
  SocketAddr peer;
  /// Value of a parameter, decoded; nullopt if it is not there.
  std::optional<std::string_view> parameter(std::string_view name) const;
};

struct HttpResponse {
  std::uint16_t status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=UTF-8";
  std::string allow;  ///< for 405
};

/// Cuts a request target into path and decoded parameters.
void parse_target(std::string_view target, HttpRequest& into);

class HttpServer {
 public:
  using Respond = std::function<void(HttpResponse)>;
  /// May answer at once or later (on the same thread); exactly once.
  using Handler = std::function<void(const HttpRequest&, Respond)>;

  HttpServer(io::Executor& executor, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// May be called several times. Returns what was bound (port 0 lets the kernel choose).
  Result<SocketAddr> listen(const SocketAddr& address);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir::proxy
