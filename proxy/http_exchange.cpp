// SPDX-License-Identifier: Apache-2.0
#include "proxy/http_exchange.h"

#include "proxy/context.h"

namespace weir::proxy {

void HttpExchange::clear() {
  active = request_complete = is_upgrade = is_grpc = false;
  request.clear();
  request_body = {};
  path = {};
  normal_path.clear();
  rewritten_path.clear();
  authority.clear();
  request_id.clear();

  upstream.reset();
  request_limit.reset();
  pending_limit.reset();
  retry_limit.reset();
  host = nullptr;
  route = nullptr;
  forward = nullptr;
  weighted = nullptr;
  tried.clear();
  endpoint.reset();
  cluster.reset();
  snapshot.reset();
  in_line = upstream_write_failed = raced = open_counted = false;
  to_upstream.clear();
  retries_left = attempts = 0;
  replayable = true;
  replay.clear();

  response.clear();
  response_body = {};
  response_resume = interim_bytes = 0;
  plan = {};
  response_started = response_complete = upstream_byte_seen = is_local = false;
  reply_headers.clear();
  reply_body.clear();
  info.clear();
  grpc_status.reset();
}

}  // namespace weir::proxy
