// SPDX-License-Identifier: Apache-2.0
// Listeners compiled: which listener and filter chain a connection gets (Envoy's order of match: destination port, destination
// address by longest prefix, server name, transport protocol, application protocol, source; no backtracking).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/ip.h"
#include "base/port_set.h"
#include "base/problem.h"
#include "base/result.h"
#include "routing/route_table.h"

namespace envoy::config::listener::v3 {
class Listener;
}

namespace weir::routing {

/// Where and how to log. Format operators are compiled by the proxy.
struct AccessLogSpec {
  std::string path;            ///< "/dev/stdout", "/dev/stderr" or a file
  std::string text;            ///< text format with its newline; empty if json or default
  std::string json;            ///< JSON template: an object whose strings hold operators; empty if text
  bool only_no_route = false;  ///< filter: response flag NR only
  friend bool operator==(const AccessLogSpec&, const AccessLogSpec&) = default;
};

/// HTTP connection manager, as far as the data path needs it.
struct HttpManager {
  std::string stat_prefix;
  std::string rds_name;  ///< name of the route table, if not inline
  std::shared_ptr<const RouteTable> inline_routes;
  std::vector<AccessLogSpec> access_logs;
  std::string server_name = "envoy";
  bool overwrite_server = true;
  bool normalize_path = true;
  bool accept_http10 = true;
  bool generate_request_id = true;
  bool sanitize_client_cert_header = false;  ///< remove x-forwarded-client-cert from the request
  bool proxy_100_continue = false;
  std::vector<std::string> upgrades;          ///< lower case, "websocket"
  Milliseconds stream_idle_timeout{300'000};  ///< 0 = none
  Milliseconds idle_timeout{3'600'000};
  Milliseconds request_headers_timeout{0};  ///< 0 = none
  std::uint32_t max_head_bytes = 60 * 1024;
  bool fault_filter = false, cors_filter = false;
};

struct TcpManager {
  std::string stat_prefix;
  std::vector<WeightedCluster> clusters;  ///< at least one
  std::uint32_t total_weight = 1;
  Milliseconds idle_timeout{3'600'000};  ///< 0 = none
  std::uint32_t max_connect_attempts = 1;
  std::vector<AccessLogSpec> access_logs;
};

struct ChainMatch {
  std::optional<Port> destination_port;
  std::vector<Cidr> prefixes;
  std::vector<std::string> server_names;           ///< lower case; may begin with "*."
  std::string transport_protocol;                  ///< "", "raw_buffer", "tls"
  std::vector<std::string> application_protocols;  ///< "http/1.1", "h2c", "h2" …
  std::vector<Cidr> source_prefixes;
};

struct FilterChain {
  std::string name;
  RuleRef rule;
  ChainMatch match;
  std::variant<TcpManager, HttpManager> manager;
};

enum class Direction : std::uint8_t { unspecified, inbound, outbound };

struct Listener {
  std::string name;
  SocketAddr address;
  std::vector<SocketAddr> additional;
  bool bind_to_port = true;
  bool use_original_dst = false;
  bool transparent = false;  ///< its sockets take what a TPROXY rule hands over
  /// Upstream connections bear the client's address and this mark (original_src filter; 0 = no mark).
  std::optional<std::uint32_t> original_src_mark;
  Direction direction = Direction::unspecified;
  std::vector<FilterChain> chains;
  std::optional<FilterChain> default_chain;
  bool detect_http = false;  ///< an http_inspector is there
  PortSet detect_http_off;   ///< ports for which it is disabled
  bool detect_tls = false;
  PortSet detect_tls_off;
  Milliseconds detect_timeout{15'000};  ///< 0 = no limit in xDS; the proxy applies its own (it never lets a client wait for ever)
  bool continue_on_detect_timeout = false;
  std::vector<AccessLogSpec> access_logs;
};

/// What is known of a connection when a chain is chosen.
struct Connection {
  SocketAddr destination;  ///< original destination
  SocketAddr source;
  std::string_view server_name;  ///< SNI, "" if none
  std::string_view transport = "raw_buffer";
  std::string_view application;  ///< "http/1.1", "h2c", "" if not detected
};

/// One listener compiled from xDS. Errors and `unsupported` as in RouteTable::compile. Filters that are only observability or
/// ALPN (grpc_stats, istio.stats, istio.alpn, metadata exchange) are accepted and listed in `unsupported`; filters that guard a
/// door (rbac, jwt_authn, ext_authz) and transport sockets are refused.
Result<std::shared_ptr<const Listener>> compile_listener(const envoy::config::listener::v3::Listener& config,
                                                         std::vector<Problem>& unsupported);

/// Null if no chain matches (then the default chain, if any, was returned already).
const FilterChain* match_chain(const Listener& listener, const Connection& connection);

/// A chain that did not take a connection: another chain of the listener did, or none.
struct PassedChain {
  const FilterChain* chain = nullptr;
  std::string why;  ///< "port is 9080, wanted 15001"
};
/// Every chain that match_chain() does not choose, in order, each with the first condition that ruled it out.
std::vector<PassedChain> explain_chains(const Listener& listener, const Connection& connection);

/// True if some chain of the listener can only be told apart by the first bytes of the client (so it is worth to wait for them).
bool needs_detection(const Listener& listener, const SocketAddr& destination);

class ListenerTable {
 public:
  explicit ListenerTable(std::vector<std::shared_ptr<const Listener>> listeners);
  const std::vector<std::shared_ptr<const Listener>>& all() const { return listeners_; }
  const Listener* by_name(std::string_view name) const;
  /// For a bound listener with use_original_dst: the unbound listener of exactly that address and port, else of the wildcard
  /// address (0.0.0.0 or ::, either stands for both families) and port, else the bound listener itself.
  const Listener& for_destination(const Listener& bound, const SocketAddr& original) const;

 private:
  std::vector<std::shared_ptr<const Listener>> listeners_;
  std::unordered_map<std::string_view, const Listener*> by_name_;
  std::unordered_map<SocketAddr, const Listener*> by_address_;  // of unbound listeners
};

}  // namespace weir::routing
