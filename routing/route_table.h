// SPDX-License-Identifier: Apache-2.0
// A RouteConfiguration compiled for matching: a pure leaf, so that the proxy, `weirctl explain` and the fuzzers ask the same
// code.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/problem.h"
#include "base/result.h"
#include "http/header_map.h"

namespace re2 {
class RE2;
}
namespace envoy::config::route::v3 {
class RouteConfiguration;
}

namespace weir::routing {

using Milliseconds = std::chrono::milliseconds;

/// What a route is matched against. All views; nothing is copied.
struct Request {
  std::string_view scheme;  ///< "http" or "https"
  std::string_view method;
  std::string_view authority;  ///< as sent, with port
  std::string_view path;       ///< normalised path with query: see normalize_path()
  const http::HeaderMap* headers = nullptr;
};

/// Exact, prefix, suffix, contains or full-match RE2 (Envoy's StringMatcher).
class StringMatcher {
 public:
  enum class Kind : std::uint8_t { exact, prefix, suffix, contains, regex };
  bool matches(std::string_view value) const;
  /// `prefix "/api"`, `regex "v[0-9]+" (ignoring case)`: for explain.
  std::string to_text() const;

  Kind kind = Kind::exact;
  bool ignore_case = false;
  std::string text;
  std::shared_ptr<const re2::RE2> regex;
};

struct HeaderMatch {
  std::string name;                    ///< lower case; ":method", ":authority", ":path", ":scheme" are pseudo-headers
  std::optional<StringMatcher> value;  ///< none: presence
  bool present = true;                 ///< wanted presence, if no value
  bool invert = false;
  bool missing_as_empty = false;
};

struct QueryMatch {
  std::string name;
  std::optional<StringMatcher> value;  ///< none: presence
};

struct PathMatch {
  enum class Kind : std::uint8_t { exact, prefix, segment_prefix, regex } kind = Kind::prefix;
  std::string text = "/";
  bool ignore_case = false;
  std::shared_ptr<const re2::RE2> regex;
};

/// Values may hold Envoy's %OPERATORS%; `formatted` says so and the proxy expands them.
struct HeaderValue {
  enum class Action : std::uint8_t { append, add_if_absent, overwrite, overwrite_if_exists } action = Action::append;
  std::string name;
  std::string value;
  bool formatted = false;
};

struct HeaderEdits {
  std::vector<HeaderValue> set;     ///< in order
  std::vector<std::string> remove;  ///< lower case
  bool empty() const { return set.empty() && remove.empty(); }
};

struct Fraction {  ///< parts per million
  std::uint32_t per_million = 0;
};

struct Fault {
  std::optional<Milliseconds> delay;
  Fraction delay_share;
  std::optional<std::uint16_t> abort_status;
  std::optional<std::uint32_t> abort_grpc_status;
  Fraction abort_share;
  bool empty() const { return !delay && !abort_status && !abort_grpc_status; }
};

/// Bits of retry_on.
enum class RetryOn : std::uint32_t {
  five_xx = 1,
  gateway_error = 2,
  reset = 4,
  reset_before_request = 8,
  connect_failure = 16,
  retriable_4xx = 32,
  refused_stream = 64,
  retriable_status_codes = 128,
  cancelled = 256,
  deadline_exceeded = 512,
  internal = 1024,
  resource_exhausted = 2048,
  unavailable = 4096,
  envoy_ratelimited = 8192,
  retriable_headers = 16384,
};

struct RetryPolicy {
  std::uint32_t on = 0;  ///< OR of RetryOn; 0 = no retries
  std::uint32_t retries = 1;
  Milliseconds per_try_timeout{0};  ///< 0 = none
  Milliseconds base_interval{25};
  Milliseconds max_interval{250};
  std::vector<std::uint16_t> status_codes;
  bool avoid_previous_hosts = false;
  std::uint32_t host_attempts = 1;
  bool has(RetryOn bit) const { return (on & static_cast<std::uint32_t>(bit)) != 0; }
};

struct WeightedCluster {
  std::string cluster;
  std::uint32_t weight = 0;
  HeaderEdits request_headers, response_headers;
  std::string host_rewrite;
};

struct RegexRewrite {
  std::shared_ptr<const re2::RE2> pattern;
  std::string substitution;
};

struct HashPolicy {
  enum class Kind : std::uint8_t { header, cookie, source_ip, query } kind = Kind::header;
  std::string name;
  std::string cookie_path;
  std::optional<std::chrono::seconds> cookie_ttl;
};

struct Mirror {
  std::string cluster;
  Fraction share{1'000'000};
};

/// Forward to a cluster.
struct Forward {
  std::vector<WeightedCluster> clusters;  ///< at least one; a plain cluster is one entry of weight 1
  std::uint32_t total_weight = 1;
  std::string cluster_header;  ///< if set, the header names the cluster
  std::optional<std::string> prefix_rewrite;
  std::optional<RegexRewrite> regex_rewrite;
  std::string host_rewrite;
  bool auto_host_rewrite = false;
  Milliseconds timeout{15'000};  ///< 0 = none
  std::optional<Milliseconds> idle_timeout;
  RetryPolicy retry;
  std::vector<HashPolicy> hash;
  std::vector<Mirror> mirrors;
  std::uint16_t cluster_not_found_status = 503;
  std::vector<std::string> upgrades;  ///< route-level enabled upgrades, lower case
};

struct Redirect {
  std::uint16_t status = 301;
  std::string scheme, host;
  std::uint32_t port = 0;
  std::optional<std::string> path;
  std::optional<std::string> prefix_rewrite;
  std::optional<RegexRewrite> regex_rewrite;
  bool strip_query = false;
};

struct DirectResponse {
  std::uint16_t status = 200;
  std::string body;
};

struct Cors {
  std::vector<StringMatcher> origins;
  std::string methods, headers, expose, max_age;
  bool credentials = false;
  bool forward_unmatched_preflights = true;
};

struct Route {
  std::string name;
  RuleRef rule;  ///< from metadata.filter_metadata["weir"], else from ["istio"].config (rule only), else empty
  PathMatch path;
  std::vector<HeaderMatch> headers;
  std::vector<QueryMatch> query;
  std::optional<Fraction> runtime_share;
  std::variant<Forward, Redirect, DirectResponse> action;
  HeaderEdits request_headers, response_headers;
  Fault fault;
  std::optional<Cors> cors;
  bool fault_disabled = false;
};

struct VirtualHost {
  std::string name;
  std::vector<std::string> domains;
  std::vector<Route> routes;
  HeaderEdits request_headers, response_headers;
  bool attempt_count = false;  ///< add x-envoy-attempt-count
};

/// Immutable; safe to share between threads.
class RouteTable {
 public:
  /// Compiles and validates. Errors (protocol) list every problem, each with its field path; nothing is half-understood:
  /// fields that are not implemented go to `unsupported` (as warnings) unless they guard a door, which is an error.
  static Result<std::shared_ptr<const RouteTable>> compile(const envoy::config::route::v3::RouteConfiguration& config,
                                                           std::vector<Problem>& unsupported);
  ~RouteTable();

  const std::string& name() const;
  const std::vector<VirtualHost>& virtual_hosts() const;
  /// Table-level edits.
  const HeaderEdits& request_headers() const;
  const HeaderEdits& response_headers() const;

  struct Found {
    const VirtualHost* host = nullptr;  ///< null: no virtual host for the authority
    const Route* route = nullptr;       ///< null: no route in it
  };
  /// The hot path: no allocation, no lock. `random` in [0, 1e6) decides runtime fractions.
  Found match(const Request& request, std::uint32_t random = 0) const;

  /// One line for each virtual host or route that was looked at, with the reason why it did not match.
  struct Passed {
    std::string what;  ///< `route "jason" (VirtualService default/reviews, rules/x.yaml:12)`
    std::string why;   ///< `header end-user is "anna", wanted exact "jason"`
    RuleRef rule;
  };
  struct Explanation {
    Found found;
    std::vector<Passed> passed;
  };
  Explanation explain(const Request& request) const;

 private:
  RouteTable();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Chooses by weight; `random` is any 64-bit number. Never null.
const WeightedCluster& pick(const Forward& forward, std::uint64_t random);

/// RFC 3986 dot segments resolved, %41 → A for unreserved characters, `\` → `/`, `//` and %2F kept; the query is left alone.
/// nullopt if it climbs above the root or holds a bad escape (answer 400, detail path_normalization_failed). No copy if nothing
/// changes: the result then is `path` itself, otherwise it points into `storage`.
std::optional<std::string_view> normalize_path(std::string_view path, std::string& storage);

/// The path (with query) to send upstream after prefix or regex rewrite; `storage` holds it if it changed.
std::string_view rewrite_path(const Route& route, const Forward& forward, std::string_view path, std::string& storage);

/// The Location of a redirect for this request.
std::string redirect_location(const Route& route, const Redirect& redirect, const Request& request);

}  // namespace weir::routing
