// SPDX-License-Identifier: Apache-2.0
// All that belongs to one request and its response. Reused for the next one, so that the steady state allocates nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/h1.h"
#include "proxy/cluster_runtime.h"
#include "proxy/http_headers.h"
#include "proxy/outgoing.h"
#include "proxy/stream_info.h"
#include "proxy/upstream_connection.h"

namespace weir::proxy {

struct HttpExchange {
  // The request, as it came and as it goes on.
  bool active = false;
  http::RequestHead request;
  http::BodyReader request_body;
  bool request_complete = false;  ///< all of it was received
  bool is_upgrade = false;        ///< an upgrade that is let through
  bool is_grpc = false;
  std::string_view path;  ///< normalised, then rewritten
  std::string normal_path, rewritten_path, authority, request_id;

  // Where it goes.
  Ref<Snapshot> snapshot;
  const routing::VirtualHost* host = nullptr;
  const routing::Route* route = nullptr;
  const routing::Forward* forward = nullptr;
  const routing::WeightedCluster* weighted = nullptr;
  Ref<ClusterRuntime> cluster;
  Ref<EndpointRuntime> endpoint;
  std::vector<Ref<EndpointRuntime>> tried;
  std::unique_ptr<UpstreamConnection> upstream;
  Held request_limit, pending_limit, retry_limit;
  bool in_line = false;  ///< stands in the cluster's line for a connection
  Outgoing to_upstream;
  bool upstream_write_failed = false;
  std::uint32_t retries_left = 0;
  std::uint32_t attempts = 0;
  bool raced = false;  ///< the one free retry after a lost race with an idle close was used
  io::TimePoint attempt_started;

  // Body bytes kept for a retry.
  bool replayable = true;
  std::string replay;

  // The response.
  http::ResponseHead response;
  http::BodyReader response_body;
  std::size_t response_resume = 0;
  std::size_t interim_bytes = 0;  ///< of 1xx heads so far
  ResponsePlan plan;
  bool response_started = false;   ///< its head is on its way to the client
  bool response_complete = false;  ///< all of it was taken from the upstream, or it is our own
  bool upstream_byte_seen = false;
  bool is_local = false;
  bool open_counted = false;  ///< counts as open at its endpoint
  http::HeaderMap reply_headers;
  std::string reply_body;

  StreamInfo info;
  io::TimePoint started;
  std::optional<std::uint8_t> grpc_status;

  /// Back to the state before a request; keeps capacities.
  void clear();
};

}  // namespace weir::proxy
