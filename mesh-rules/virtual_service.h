// SPDX-License-Identifier: Apache-2.0
// Istio's VirtualService as a value. Each part that can decide about a request remembers its line.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/duration.h"
#include "mesh-rules/object.h"

namespace weir::mesh {

/// `presence` is Istio's empty match (`{}`) or the regex `*`: the header or parameter must be there.
struct StringMatch {
  enum class Kind : std::uint8_t { exact, prefix, regex, presence } kind = Kind::presence;
  std::string text;
};

/// Host as written (perhaps a short name: see resolve.h).
struct Destination {
  SourceRef where;
  std::string host;
  std::string subset;
  std::optional<std::uint32_t> port;
};

struct HttpMatch {
  SourceRef where;
  std::string name;
  std::string stat_prefix;
  std::optional<StringMatch> uri, scheme, method, authority;
  std::map<std::string, StringMatch> headers, without_headers, query_params;
  std::optional<std::uint32_t> port;
  Labels source_labels;
  std::string source_namespace;
  std::vector<std::string> gateways;
  bool ignore_uri_case = false;
};

struct HeaderOperations {
  std::map<std::string, std::string> set, add;
  std::vector<std::string> remove;
};

struct Headers {
  HeaderOperations request, response;
};

struct HttpDestination {
  SourceRef where;
  Destination destination;
  std::optional<std::uint32_t> weight;
  Headers headers;
};

struct HttpRedirect {
  std::optional<std::string> uri, authority, scheme;
  std::optional<std::uint32_t> port;
  enum class DerivePort : std::uint8_t { none, from_protocol_default, from_request_port } derive_port = DerivePort::none;
  std::uint32_t code = 301;
};

struct DirectResponse {
  std::uint32_t status = 0;
  std::string body;            ///< decoded, if it was given as bytes
  bool body_is_bytes = false;  ///< `bytes` (base64 in the file) rather than `string`
};

struct RegexRewrite {
  std::string match, rewrite;
};

struct HttpRewrite {
  std::string uri, authority;
  std::optional<RegexRewrite> uri_regex;
};

struct HttpRetry {
  std::uint32_t attempts = 0;
  std::optional<Nanoseconds> per_try_timeout, backoff;
  std::string retry_on;
  std::optional<bool> ignore_previous_hosts;
};

/// Percentages are 0 to 100; Istio's absent percentage of a fault is 0.
struct FaultDelay {
  Nanoseconds fixed_delay{0};
  double percentage = 0;
};

struct FaultAbort {
  std::optional<std::uint32_t> http_status;
  std::string grpc_status;  ///< name or number, "" if none
  double percentage = 0;
};

struct HttpFault {
  std::optional<FaultDelay> delay;
  std::optional<FaultAbort> abort;
};

struct HttpMirror {
  SourceRef where;
  Destination destination;
  double percentage = 100;
};

struct CorsPolicy {
  std::vector<StringMatch> allow_origins;
  std::vector<std::string> allow_methods, allow_headers, expose_headers;
  std::optional<Nanoseconds> max_age;
  std::optional<bool> allow_credentials;
  bool forward_unmatched_preflights = true;
};

struct HttpRoute {
  SourceRef where;
  std::string name;
  std::vector<HttpMatch> match;  ///< OR; empty = everything
  std::vector<HttpDestination> route;
  std::optional<HttpRedirect> redirect;
  std::optional<DirectResponse> direct_response;
  std::optional<HttpRewrite> rewrite;
  std::optional<Nanoseconds> timeout;
  std::optional<HttpRetry> retries;
  std::optional<HttpFault> fault;
  std::vector<HttpMirror> mirrors;  ///< `mirror` and `mirrors` alike
  std::optional<CorsPolicy> cors;
  Headers headers;
};

struct RouteDestination {
  SourceRef where;
  Destination destination;
  std::optional<std::uint32_t> weight;
};

struct TcpMatch {
  SourceRef where;
  std::vector<std::string> destination_subnets;
  std::optional<std::uint32_t> port;
  Labels source_labels;
  std::string source_namespace;
  std::vector<std::string> gateways;
};

struct TlsMatch : TcpMatch {
  std::vector<std::string> sni_hosts;
};

struct TcpRoute {
  SourceRef where;
  std::vector<TcpMatch> match;
  std::vector<RouteDestination> route;
};

struct TlsRoute {
  SourceRef where;
  std::vector<TlsMatch> match;
  std::vector<RouteDestination> route;
};

struct VirtualService {
  Meta meta;
  std::vector<std::string> hosts;  ///< as written
  std::vector<std::string> gateways;
  std::vector<std::string> export_to;
  std::vector<HttpRoute> http;
  std::vector<TlsRoute> tls;
  std::vector<TcpRoute> tcp;
};

}  // namespace weir::mesh
