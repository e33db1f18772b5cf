// SPDX-License-Identifier: Apache-2.0
#include "mesh-rules/destination_rule.h"

#include <set>

#include "base/text.h"
#include "mesh-rules/kinds.h"

namespace weir::mesh {

template <>
struct Table<TcpKeepalive> : Rows<TcpKeepalive> {
  static constexpr Field<TcpKeepalive> rows[] = {
      acts<&TcpKeepalive::probes>("probes", ""),
      acts<&TcpKeepalive::time>("time", "before the first probe"),
      acts<&TcpKeepalive::interval>("interval", "between probes"),
  };
};

/// The two halves of a ConnectionPool as they stand in YAML.
struct TcpPool {
  ConnectionPool pool;
};
struct HttpPool {
  ConnectionPool pool;
};

template <auto Member, class Half>
void read_pool(Reader& r, const Node& n, Half& out) {
  using Value = std::remove_reference_t<decltype(out.pool.*Member)>;
  Decoder<Value>::read(r, n, out.pool.*Member);
}

template <>
struct Table<TcpPool> : Rows<TcpPool> {
  static constexpr Field<TcpPool> rows[] = {
      custom("maxConnections", read_pool<&ConnectionPool::max_connections, TcpPool>, "per proxy and cluster"),
      custom("connectTimeout", read_pool<&ConnectionPool::connect_timeout, TcpPool>, "10s if absent"),
      custom("tcpKeepalive", read_pool<&ConnectionPool::tcp_keepalive, TcpPool>, "probes, time, interval"),
      not_yet("maxConnectionDuration"),
      custom("idleTimeout", read_pool<&ConnectionPool::tcp_idle_timeout, TcpPool>,
             "of HTTP too, unless http.idleTimeout is given"),
  };
};
template <>
struct Table<HttpPool> : Rows<HttpPool> {
  static constexpr Field<HttpPool> rows[] = {
      custom("http1MaxPendingRequests", read_pool<&ConnectionPool::http1_max_pending_requests, HttpPool>, ""),
      custom("http2MaxRequests", read_pool<&ConnectionPool::http2_max_requests, HttpPool>, "of any HTTP version"),
      custom("maxRequestsPerConnection", read_pool<&ConnectionPool::max_requests_per_connection, HttpPool>, "1 = no keep-alive"),
      custom("maxRetries", read_pool<&ConnectionPool::max_retries, HttpPool>, "at once"),
      custom("idleTimeout", read_pool<&ConnectionPool::http_idle_timeout, HttpPool>, ""),
      not_yet("h2UpgradePolicy"),
      not_yet("useClientProtocol"),
      not_yet("maxConcurrentStreams"),
      not_yet("http2KeepAlive"),
  };
};
template <>
struct Table<ConnectionPool> : Rows<ConnectionPool> {
  static void tcp(Reader& r, const Node& n, ConnectionPool& out) {
    TcpPool half{out};
    read_table(r, n, half);
    out = half.pool;
  }
  static void http(Reader& r, const Node& n, ConnectionPool& out) {
    HttpPool half{out};
    read_table(r, n, half);
    out = half.pool;
  }
  static constexpr Field<ConnectionPool> rows[] = {
      {"tcp", Use::acts, false, "", tcp,
       [](std::string& out, const std::string& prefix) { describe_rows<TcpPool>(out, prefix + "."); }},
      {"http", Use::acts, false, "", http,
       [](std::string& out, const std::string& prefix) { describe_rows<HttpPool>(out, prefix + "."); }},
  };
};

template <>
struct Table<OutlierDetection> : Rows<OutlierDetection> {
  static constexpr Field<OutlierDetection> rows[] = {
      acts<&OutlierDetection::consecutive_5xx_errors>("consecutive5xxErrors", "0 = off"),
      acts<&OutlierDetection::consecutive_gateway_errors>("consecutiveGatewayErrors", "0 = off"),
      acts<&OutlierDetection::interval>("interval", "10s if absent"),
      acts<&OutlierDetection::base_ejection_time>("baseEjectionTime", "30s if absent"),
      acts<&OutlierDetection::max_ejection_percent>("maxEjectionPercent", "10 if absent"),
      acts<&OutlierDetection::min_health_percent>("minHealthPercent", "below it all hosts are used"),
      not_yet("consecutiveErrors"),
      not_yet("splitExternalLocalOriginErrors"),
      not_yet("consecutiveLocalOriginFailures"),
  };
  static void check(Reader& reader, const Node& node, OutlierDetection& out) {
    auto percent = [&](std::string_view field, const std::optional<std::uint32_t>& value) {
      if (value && *value > 100)
        reader.error_at(field, *node.find(field), fmt::format("{} is not a percentage", *value), "use 0 to 100");
    };
    percent("maxEjectionPercent", out.max_ejection_percent);
    percent("minHealthPercent", out.min_health_percent);
    auto span = [&](std::string_view field, const std::optional<Nanoseconds>& value) {
      if (value && *value < std::chrono::milliseconds(1))
        reader.error_at(field, *node.find(field), "too short", "use at least 1ms");
    };
    span("interval", out.interval);
    span("baseEjectionTime", out.base_ejection_time);
  }
};

/// loadBalancer as it stands in YAML.
struct LoadBalancerBlock {
  LoadBalancer simple = LoadBalancer::unspecified;
};
template <>
struct Table<LoadBalancerBlock> : Rows<LoadBalancerBlock> {
  static void simple(Reader& r, const Node& n, LoadBalancerBlock& out) {
    using enum LoadBalancer;
    read_word(r, n, out.simple,
              {{"LEAST_REQUEST", least_request},
               {"ROUND_ROBIN", round_robin},
               {"RANDOM", random},
               {"PASSTHROUGH", passthrough},
               {"LEAST_CONN", least_request},
               {"UNSPECIFIED", unspecified}});
  }
  static constexpr Field<LoadBalancerBlock> rows[] = {
      custom("simple", simple, "LEAST_REQUEST (default), ROUND_ROBIN, RANDOM, PASSTHROUGH"),
      not_yet("consistentHash"),
      not_yet("localityLbSetting"),
      not_yet("warmupDurationSecs"),
      not_yet("warmup"),
  };
};

/// tls: only "no TLS" can be obeyed; anything else left out would send in clear what the rule wants encrypted.
struct TlsBlock {};
template <>
struct Table<TlsBlock> : Rows<TlsBlock> {
  static void mode(Reader& r, const Node& n, TlsBlock&) {
    if (n.is_scalar() && n.text == "DISABLE") return;
    if (n.is_scalar() && (n.text == "SIMPLE" || n.text == "MUTUAL" || n.text == "ISTIO_MUTUAL")) {
      return r.error(n.line, fmt::format("{} is not supported yet, refused", n.text),
                     "without it calls would go out in clear; only DISABLE works");
    }
    bool ignored = false;
    read_word(r, n, ignored, {{"DISABLE", true}, {"SIMPLE", true}, {"MUTUAL", true}, {"ISTIO_MUTUAL", true}});
  }
  static constexpr std::string_view kWhy = "TLS to upstreams is not there yet";
  static constexpr Field<TlsBlock> rows[] = {
      custom("mode", mode, "DISABLE"),
      refused("clientCertificate", kWhy),
      refused("privateKey", kWhy),
      refused("caCertificates", kWhy),
      refused("credentialName", kWhy),
      refused("subjectAltNames", kWhy),
      refused("sni", kWhy),
      refused("insecureSkipVerify", kWhy),
      refused("caCrl", kWhy),
  };
};

/// A policy for all ports, or of one port; `by_port` only at the outer level.
struct PolicyBlock {
  PolicySet set;
};
struct PortBlock {
  SourceRef where;
  PortPolicy policy;
};

inline void read_load_balancer(Reader& r, const Node& n, TrafficPolicy& out) {
  LoadBalancerBlock block;
  read_table(r, n, block);
  out.load_balancer = block.simple;
}
inline void read_tls(Reader& r, const Node& n) {
  TlsBlock block;
  read_table(r, n, block);
}

template <>
struct Table<PortBlock> : Rows<PortBlock> {
  struct Selector {
    Port number = 0;
  };
  static void port(Reader& r, const Node& n, PortBlock& out);
  static void pool(Reader& r, const Node& n, PortBlock& out) {
    Decoder<std::optional<ConnectionPool>>::read(r, n, out.policy.policy.connection_pool);
  }
  static void outlier(Reader& r, const Node& n, PortBlock& out) {
    Decoder<std::optional<OutlierDetection>>::read(r, n, out.policy.policy.outlier_detection);
  }
  static void balancer(Reader& r, const Node& n, PortBlock& out) { read_load_balancer(r, n, out.policy.policy); }
  static void tls(Reader& r, const Node& n, PortBlock&) { read_tls(r, n); }
  static constexpr Field<PortBlock> rows[] = {
      custom("port", port, "{number}"),
      custom("loadBalancer", balancer, ""),
      custom("connectionPool", pool, ""),
      custom("outlierDetection", outlier, ""),
      custom("tls", tls, ""),
  };
  static void check(Reader& reader, const Node& node, PortBlock&) {
    if (node.find("port") == nullptr) reader.error(node.line, "the field port is missing");
  }
};
template <>
struct Table<Table<PortBlock>::Selector> : Rows<Table<PortBlock>::Selector> {
  using Selector = Table<PortBlock>::Selector;
  static constexpr Field<Selector> rows[] = {required<&Selector::number>("number", "")};
};
void Table<PortBlock>::port(Reader& r, const Node& n, PortBlock& out) {
  Selector selector;
  read_table(r, n, selector);
  out.policy.port = selector.number;
}

template <>
struct Table<PolicyBlock> : Rows<PolicyBlock> {
  static void pool(Reader& r, const Node& n, PolicyBlock& out) {
    Decoder<std::optional<ConnectionPool>>::read(r, n, out.set.all_ports.connection_pool);
  }
  static void outlier(Reader& r, const Node& n, PolicyBlock& out) {
    Decoder<std::optional<OutlierDetection>>::read(r, n, out.set.all_ports.outlier_detection);
  }
  static void balancer(Reader& r, const Node& n, PolicyBlock& out) { read_load_balancer(r, n, out.set.all_ports); }
  static void tls(Reader& r, const Node& n, PolicyBlock&) { read_tls(r, n); }
  static void by_port(Reader& r, const Node& n, PolicyBlock& out) {
    std::vector<PortBlock> blocks;
    Decoder<std::vector<PortBlock>>::read(r, n, blocks);
    for (const PortBlock& block : blocks) out.set.by_port.push_back(block.policy);
  }
  static constexpr Field<PolicyBlock> rows[] = {
      {"loadBalancer", Use::acts, false, "", balancer,
       [](std::string& out, const std::string& p) { describe_rows<LoadBalancerBlock>(out, p + "."); }},
      {"connectionPool", Use::acts, false, "", pool,
       [](std::string& out, const std::string& p) { describe_rows<ConnectionPool>(out, p + "."); }},
      {"outlierDetection", Use::acts, false, "", outlier,
       [](std::string& out, const std::string& p) { describe_rows<OutlierDetection>(out, p + "."); }},
      {"tls", Use::acts, false, "", tls, [](std::string& out, const std::string& p) { describe_rows<TlsBlock>(out, p + "."); }},
      custom("portLevelSettings", by_port, "the same four, for one port; replaces the whole policy"),
      not_yet("tunnel"),
      not_yet("proxyProtocol"),
      not_yet("retryBudget"),
  };
};

template <class T>
void read_policy(Reader& r, const Node& n, T& out) {
  PolicyBlock block;
  read_table(r, n, block);
  out.policy = std::move(block.set);
}

template <>
struct Table<Subset> : Rows<Subset> {
  static constexpr Field<Subset> rows[] = {
      required<&Subset::name>("name", ""),
      acts<&Subset::labels>("labels", "that an endpoint's Pod must have"),
      custom("trafficPolicy", read_policy<Subset>, "as below spec.trafficPolicy; overrides it block by block"),
  };
  static void check(Reader& reader, const Node& node, Subset& out) {
    if (!out.name.empty() && !is_label(out.name)) {
      reader.error_at("name", *node.find("name"), fmt::format("\"{}\" is not a subset name", printable(out.name)),
                      "letters, digits and dashes");
    }
  }
};

template <>
struct Table<DestinationRule> : Rows<DestinationRule> {
  static constexpr Field<DestinationRule> rows[] = {
      required<&DestinationRule::host>("host", "service, short or full name"),
      {"trafficPolicy", Use::acts, false, "", read_policy<DestinationRule>,
       [](std::string& out, const std::string& p) { describe_rows<PolicyBlock>(out, p + "."); }},
      acts<&DestinationRule::subsets>("subsets", ""),
      acts<&DestinationRule::export_to>("exportTo", "namespaces, \".\", \"*\" or \"~\""),
      refused("workloadSelector", "without it the rule would hold for every client of the namespace"),
  };
  static void check(Reader& reader, const Node& node, DestinationRule& out) {
    if (const Node* host = node.find("host"); host != nullptr && host->is_scalar()) {
      Reader::Step step(reader, "host");
      out.host_where = reader.ref(*host);
      check_host(reader, host->line, out.host, true);
    }
    check_export_to(reader, node, out.export_to);
    std::map<std::string, int> seen;
    const auto items = yaml::items_read(node.find("subsets"));
    for (std::size_t i = 0; i < out.subsets.size() && i < items.size(); ++i) {
      const Subset& subset = out.subsets[i];
      auto [at, fresh] = seen.emplace(subset.name, subset.where.line);
      if (fresh || subset.name.empty()) continue;
      Reader::Step step(reader, "subsets");
      Reader::Step item(reader, i);
      reader.error_at("name", *items[i], fmt::format("subset \"{}\" is defined already in line {}", subset.name, at->second),
                      "rename one of them");
    }
  }
};

TrafficPolicy effective_policy(const DestinationRule& rule, const Subset* subset, std::uint32_t port) {
  auto of_port = [port](const PolicySet& set) -> const TrafficPolicy* {
    for (const PortPolicy& entry : set.by_port) {
      if (entry.port == port) return &entry.policy;
    }
    return nullptr;
  };
  const TrafficPolicy* own = of_port(rule.policy);
  TrafficPolicy policy = own != nullptr ? *own : rule.policy.all_ports;
  if (subset == nullptr) return policy;
  if (const TrafficPolicy* port_level = of_port(subset->policy)) return *port_level;
  const TrafficPolicy& over = subset->policy.all_ports;
  if (over.load_balancer != LoadBalancer::unspecified) policy.load_balancer = over.load_balancer;
  if (over.connection_pool) policy.connection_pool = over.connection_pool;
  if (over.outlier_detection) policy.outlier_detection = over.outlier_detection;
  return policy;
}

void read_object(Reader& reader, const Node& node, DestinationRule& out) { read_whole(reader, node, out); }

void describe_destination_rule(std::string& out) { describe_rows<DestinationRule>(out, "spec."); }

}  // namespace weir::mesh
