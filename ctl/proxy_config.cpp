// SPDX-License-Identifier: Apache-2.0
// weirctl proxy-config: what a proxy has, in istioctl's columns.
#include <algorithm>

#include <boost/json.hpp>

#include "agent/rule_source.h"
#include "base/json.h"
#include "base/text.h"
#include "ctl/config_dump.h"
#include "ctl/proxy_view.h"
#include "ctl/table.h"
#include "ctl/command.h"
#include "xds/messages.h"
#include "xds/proto/admin.pb.h"

namespace weir::ctl {

namespace {

using Rows = std::vector<std::vector<std::string>>;
constexpr std::string_view kDefaultAdmin = "http://127.0.0.1:15000";
constexpr std::string_view kKinds[] = {"listeners", "routes", "clusters", "endpoints", "all"};

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

/// Istio's "reviews.default" of "DestinationRule default/reviews"; "" for another kind.
std::string short_rule(const RuleRef& rule, std::string_view kind) {
  if (!rule.rule.starts_with(kind)) return {};
  const std::string_view name = std::string_view(rule.rule).substr(kind.size());
  const std::size_t slash = name.find('/');
  return slash == std::string_view::npos ? std::string(name)
                                         : fmt::format("{}.{}", name.substr(slash + 1), name.substr(0, slash));
}

std::string place(const RuleRef& rule) {
  if (rule.file.empty()) return "-";
  return rule.line > 0 ? fmt::format("{}:{}", rule.file, rule.line) : rule.file;
}

std::string match_text(const routing::ChainMatch& match) {
  std::vector<std::string> parts;
  if (!match.server_names.empty()) parts.push_back("SNI: " + join(match.server_names, ","));
  if (!match.transport_protocol.empty()) parts.push_back("Trans: " + match.transport_protocol);
  if (!match.application_protocols.empty()) parts.push_back("App: " + join(match.application_protocols, ","));
  const std::string port = match.destination_port ? fmt::format(":{}", *match.destination_port) : "";
  std::vector<std::string> prefixes;
  for (const Cidr& prefix : match.prefixes) prefixes.push_back(prefix.to_text() + port);
  if (!prefixes.empty())
    parts.push_back("Addr: " + join(prefixes, ","));
  else if (!port.empty())
    parts.push_back("Addr: *" + port);
  return parts.empty() ? "ALL" : join(parts, "; ");
}

std::string cluster_text(const std::vector<routing::WeightedCluster>& clusters) {
  std::vector<std::string> names;
  names.reserve(clusters.size());
  for (const auto& cluster : clusters) names.push_back(cluster.cluster);
  const std::string all = join(names, ",");
  // Istio: the built-in ones speak for themselves.
  return names.size() == 1 && all.ends_with("Cluster") ? all : "Cluster: " + all;
}

std::string destination_text(const routing::FilterChain& chain) {
  if (const auto* tcp = std::get_if<routing::TcpManager>(&chain.manager)) return cluster_text(tcp->clusters);
  const auto& http = std::get<routing::HttpManager>(chain.manager);
  if (!http.inline_routes) return "Route: " + http.rds_name;
  const auto& hosts = http.inline_routes->virtual_hosts();
  if (hosts.size() == 1 && hosts[0].routes.size() == 1)
    if (const auto* forward = std::get_if<routing::Forward>(&hosts[0].routes[0].action)) return cluster_text(forward->clusters);
  return "Inline Route: " + http.inline_routes->name();
}

std::string path_text(const routing::PathMatch& match) {
  switch (match.kind) {
    case routing::PathMatch::Kind::exact: return match.text;
    case routing::PathMatch::Kind::regex: return "regex " + match.text;
    default: return match.text + "*";
  }
}

/// What the flags ask for.
class Filter {
 public:
  explicit Filter(const Arguments& arguments) : arguments_(arguments) {}

  bool wants_cluster(const ClusterView& cluster) const {
    return part("fqdn", cluster.host()) && is("direction", cluster.direction()) && is("subset", cluster.subset()) &&
           is("port", cluster.port());
  }
  bool wants_listener(const routing::Listener& listener) const {
    std::vector<SocketAddr> addresses = listener.additional;
    addresses.push_back(listener.address);
    return is("port", std::to_string(listener.address.port)) &&
           (!arguments_.has("address") ||
            std::any_of(addresses.begin(), addresses.end(),
                        [&](const SocketAddr& address) { return address.ip.to_text() == arguments_.get("address"); })) &&
           has_type(listener);
  }
  bool wants_table(const std::string& name) const { return is("name", name); }
  bool wants_endpoint(const std::string& address, const std::string& port, const std::string& status,
                      const std::string& cluster) const {
    return is("address", address) && is("port", port) && is("status", to_lower(status)) && part("cluster", cluster);
  }

 private:
  bool is(const std::string& flag, const std::string& value) const {
    return !arguments_.has(flag) || arguments_.get(flag) == value;
  }
  bool part(const std::string& flag, const std::string& value) const {
    return !arguments_.has(flag) || value.find(arguments_.get(flag)) != std::string::npos;
  }
  bool has_type(const routing::Listener& listener) const {
    if (!arguments_.has("type")) return true;
    const bool http = arguments_.get("type") == "HTTP";
    std::vector<const routing::FilterChain*> chains;
    for (const auto& chain : listener.chains) chains.push_back(&chain);
    if (listener.default_chain) chains.push_back(&*listener.default_chain);
    return std::any_of(chains.begin(), chains.end(),
                       [&](const auto* chain) { return std::holds_alternative<routing::HttpManager>(chain->manager) == http; });
  }
  const Arguments& arguments_;
};

void add_message(const google::protobuf::Message& message, boost::json::array& out) {
  if (auto value = parse_json(xds::to_json(message))) out.push_back(std::move(*value));
}

class Showing {
 public:
  Showing(const Arguments& arguments, const World& world) : arguments_(arguments), world_(world), filter_(arguments) {}

  Printed run() {
    auto kind = read_kind();
    if (!kind) return failed(kind.error());
    if (auto read = load(*kind); !read) return failed(read.error());
    Printed printed;
    for (const Problem& problem : view_->refused) printed.err += fmt::format("weirctl: {}\n", to_text(problem));
    std::vector<std::string> kinds = {*kind};
    if (*kind == "all") kinds = {"clusters", "listeners", "routes", "endpoints"};
    boost::json::object all;
    for (const std::string& each : kinds) {
      if (arguments_.wants_json())
        all[each] = json_of(each);
      else
        printed.out += (printed.out.empty() ? "" : "\n") + columns(rows_of(each));
    }
    if (arguments_.wants_json()) printed.out = pretty_json(*kind == "all" ? boost::json::value(all) : all.at(*kind));
    return printed;
  }

 private:
  Result<std::string> read_kind() const {
    const std::string list = "listeners, routes, clusters, endpoints or all";
    if (arguments_.words.size() != 1) return fail(ErrorCode::usage, "say what to show: {}", list);
    // istioctl's singular and short forms.
    static const std::map<std::string, std::string, std::less<>> kForms = {
        {"listener", "listeners"}, {"l", "listeners"},        {"route", "routes"}, {"r", "routes"}, {"cluster", "clusters"},
        {"c", "clusters"},         {"endpoint", "endpoints"}, {"ep", "endpoints"}, {"a", "all"}};
    const std::string& word = arguments_.words.front();
    if (auto found = kForms.find(word); found != kForms.end()) return found->second;
    if (std::find(std::begin(kKinds), std::end(kKinds), word) != std::end(kKinds)) return word;
    const std::string_view near = nearest(word, {std::begin(kKinds), std::end(kKinds)});
    return fail(ErrorCode::usage, "\"{}\" is nothing that a proxy has; {}", printable(word),
                near.empty() ? "use " + list : fmt::format("did you mean {}?", near));
  }

  Result<std::string> read_text() const {
    if (arguments_.has("file")) {
      if (arguments_.get("file") == "-") return world_.read_stdin();
      auto text = agent::read_rule_file(arguments_.get("file"));
      if (!text) return fail(ErrorCode::environment, "{}", text.error().to_text());
      return text;
    }
    if (arguments_.has("agent") || arguments_.has("proxy")) {
      if (!arguments_.has("proxy"))
        return fail(ErrorCode::usage,
                    "flag --proxy is missing: which proxy's configuration of the agent? weirctl proxy-status lists them");
      return world_.fetch(arguments_.get("agent", "http://127.0.0.1:15014"),
                          "/debug/config_dump?proxyID=" + arguments_.get("proxy"), std::nullopt);
    }
    auto pid = read_pid();
    if (!pid) return pass(pid.error());
    return world_.fetch(admin(), "/config_dump?include_eds", *pid);
  }

  std::string admin() const { return arguments_.get("admin", std::string(kDefaultAdmin)); }
  bool is_live() const { return !arguments_.has("file") && !arguments_.has("agent") && !arguments_.has("proxy"); }

  Result<std::optional<int>> read_pid() const {
    if (!arguments_.has("pid")) return std::optional<int>();
    auto pid = parse_uint(arguments_.get("pid"), INT32_MAX);
    if (!pid) return fail(ErrorCode::usage, "flag --pid: \"{}\" is not a process id", printable(arguments_.get("pid")));
    return std::optional<int>(static_cast<int>(*pid));
  }

  Result<> load(const std::string& kind) {
    auto text = read_text();
    if (!text) return pass(text.error());
    auto dump = read_config_dump(*text);
    if (!dump) return pass(dump.error(), arguments_.has("file") ? arguments_.get("file") : "config_dump");
    dump_ = std::move(*dump);
    view_ = compile(dump_.resources);
    if (kind != "endpoints" && kind != "all") return {};
    if (!is_live()) {
      if (!dump_.has_endpoints && kind == "endpoints")
        return fail(ErrorCode::usage, "{} has no endpoints; save it with: curl -s 'localhost:15000/config_dump?include_eds'",
                    arguments_.get("file"));
      return {};
    }
    auto pid = read_pid();
    auto clusters = world_.fetch(admin(), "/clusters?format=json", *pid);
    if (!clusters) return pass(clusters.error());
    auto parsed = xds::from_json(*clusters, live_);
    if (!parsed) return pass(parsed.error(), "clusters");
    return {};
  }

  Rows rows_of(const std::string& kind) const {
    if (kind == "clusters") return clusters();
    if (kind == "listeners") return listeners();
    return kind == "routes" ? routes() : endpoints();
  }

  Rows clusters() const {
    Rows rows;
    for (const auto& [name, cluster] : view_->clusters) {
      if (!filter_.wants_cluster(cluster)) continue;
      rows.push_back({cluster.direction() == "inbound" ? or_dash(cluster.host()) : cluster.host(), or_dash(cluster.port()),
                      or_dash(cluster.subset()), or_dash(cluster.direction()), cluster.type,
                      short_rule(cluster.rule, "DestinationRule ")});
    }
    std::stable_sort(rows.begin(), rows.end());
    rows.insert(rows.begin(), {"SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"});
    return rows;
  }

  Rows listeners() const {
    std::vector<const routing::Listener*> sorted;
    for (const auto& listener : view_->listeners->all())
      if (filter_.wants_listener(*listener)) sorted.push_back(listener.get());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
      return std::tie(a->address.port, a->address.ip) < std::tie(b->address.port, b->address.ip);
    });
    Rows rows = {{"ADDRESSES", "PORT", "MATCH", "DESTINATION"}};
    for (const routing::Listener* listener : sorted) {
      std::string addresses = listener->address.ip.to_text();
      for (const SocketAddr& more : listener->additional) addresses += "," + more.ip.to_text();
      const std::string port = std::to_string(listener->address.port);
      for (const auto& chain : listener->chains)
        rows.push_back({addresses, port, match_text(chain.match), destination_text(chain)});
      if (listener->default_chain) rows.push_back({addresses, port, "ALL", destination_text(*listener->default_chain)});
    }
    return rows;
  }

  void add_table(const routing::RouteTable& table, Rows& rows) const {
    if (!filter_.wants_table(table.name())) return;
    for (const routing::VirtualHost& host : table.virtual_hosts()) {
      std::string domains = host.domains.empty() ? "" : host.domains.front();
      if (host.domains.size() > 1) domains += fmt::format(", {} more...", host.domains.size() - 1);
      for (const routing::Route& route : host.routes)
        rows.push_back({table.name(), host.name, domains, path_text(route.path), short_rule(route.rule, "VirtualService "),
                        place(route.rule)});
    }
  }

  Rows routes() const {
    Rows rows = {{"NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE", "AT"}};
    for (const auto& [name, table] : view_->routes) add_table(*table, rows);
    for (const auto& listener : view_->listeners->all())
      for (const auto& chain : listener->chains)
        if (const auto* http = std::get_if<routing::HttpManager>(&chain.manager); http != nullptr && http->inline_routes)
          add_table(*http->inline_routes, rows);
    return rows;
  }

  static std::string status_of(const envoy::admin::v3::HostStatus& host) {
    switch (host.health_status().eds_health_status()) {
      case envoy::config::core::v3::UNHEALTHY:
      case envoy::config::core::v3::TIMEOUT: return "UNHEALTHY";
      case envoy::config::core::v3::DRAINING: return "DRAINING";
      default: return "HEALTHY";
    }
  }

  Rows endpoints() const {
    Rows rows;
    auto add = [&](const std::string& ip, std::uint32_t port, const std::string& status, const std::string& outlier,
                   const std::string& cluster) {
      if (!filter_.wants_endpoint(ip, std::to_string(port), status, cluster)) return;
      const std::string address = ip.find(':') == std::string::npos ? ip : "[" + ip + "]";
      rows.push_back({fmt::format("{}:{}", address, port), status, outlier, cluster});
    };
    if (is_live()) {
      for (const auto& cluster : live_.cluster_statuses())
        for (const auto& host : cluster.host_statuses())
          add(host.address().socket_address().address(), host.address().socket_address().port_value(), status_of(host),
              host.health_status().failed_outlier_check() ? "FAILED" : "OK", cluster.name());
    } else {
      for (const auto& [name, cluster] : view_->clusters)
        for (const EndpointView& endpoint : cluster.endpoints) {
          std::string status = endpoint.health;
          std::transform(status.begin(), status.end(), status.begin(), [](char c) { return static_cast<char>(c - 'a' + 'A'); });
          add(endpoint.address.ip.to_text(), endpoint.address.port, status, "OK", name);
        }
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const auto& a, const auto& b) { return std::tie(a[0], a[3]) < std::tie(b[0], b[3]); });
    rows.insert(rows.begin(), {"ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"});
    return rows;
  }

  boost::json::array json_of(const std::string& kind) const {
    boost::json::array out;
    if (kind == "clusters")
      for (const auto& cluster : dump_.resources.clusters)
        if (const ClusterView* view = view_->cluster(cluster.name()); view != nullptr && filter_.wants_cluster(*view))
          add_message(cluster, out);
    if (kind == "listeners")
      for (const auto& listener : dump_.resources.listeners)
        if (const auto* view = view_->listeners->by_name(listener.name()); view == nullptr || filter_.wants_listener(*view))
          add_message(listener, out);
    if (kind == "routes")
      for (const auto& table : dump_.resources.routes)
        if (filter_.wants_table(table.name())) add_message(table, out);
    if (kind == "endpoints") {
      Rows rows = endpoints();
      for (std::size_t i = 1; i < rows.size(); ++i)
        out.push_back(boost::json::object{
            {"endpoint", rows[i][0]}, {"status", rows[i][1]}, {"outlier_check", rows[i][2]}, {"cluster", rows[i][3]}});
    }
    return out;
  }

  const Arguments& arguments_;
  const World& world_;
  Filter filter_;
  ConfigDump dump_;
  std::shared_ptr<const ProxyView> view_;
  envoy::admin::v3::Clusters live_;
};

}  // namespace

Printed run_proxy_config(const Arguments& arguments, const World& world) { return Showing(arguments, world).run(); }

}  // namespace weir::ctl
