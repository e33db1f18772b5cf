// SPDX-License-Identifier: Apache-2.0
// One proxy's part of a call: the same questions in the same order as proxy/opening.cpp and proxy/http_request.cpp ask them, of
// the same code.
#include <algorithm>

#include "base/text.h"
#include "ctl/effects.h"
#include "ctl/explain.h"
#include "http/clean_request.h"
#include "http/h1.h"

namespace weir::ctl {

namespace {

using routing::FilterChain;
using routing::Listener;

/// A chain as people know it: many have no name.
std::string title(const Listener& listener, const FilterChain& chain) {
  if (!chain.name.empty()) return chain.name;
  if (listener.default_chain && &chain == &*listener.default_chain) return "the default chain";
  for (std::size_t i = 0; i < listener.chains.size(); ++i)
    if (&chain == &listener.chains[i])
      return chain.match.application_protocols.empty()
                 ? fmt::format("chain {}", i + 1)
                 : fmt::format("chain {} (for {})", i + 1, join(chain.match.application_protocols, ", "));
  return "a chain";
}

class Walk {
 public:
  Walk(const ProxyView& view, const SocketAddr& destination, const SocketAddr& source, const Call& call, Call& sent)
      : view_(view), destination_(destination), source_(source), call_(call), sent_(sent) {
    sent_ = call;
  }

  ProxyStep run(Port bound_port) {
    const Listener* bound = nullptr;
    for (const auto& listener : view_.listeners->all())
      if (listener->bind_to_port && listener->address.port == bound_port && bound == nullptr) bound = listener.get();
    if (bound == nullptr) {
      step_.is_refused = true;
      step_.answer = {.by_proxy = true, .details = fmt::format("the proxy has no listener for port {}", bound_port)};
      return std::move(step_);
    }
    const Listener& listener = view_.listeners->for_destination(*bound, destination_);
    step_.listener = listener.name;
    const FilterChain* chain = choose(listener);
    if (chain == nullptr) {
      step_.is_refused = true;
      step_.answer = {.by_proxy = true, .flags = "NR", .details = "filter_chain_not_found"};
      return std::move(step_);
    }
    step_.chain = title(listener, *chain);
    if (const auto* http = std::get_if<routing::HttpManager>(&chain->manager))
      request(*http);
    else
      tcp(std::get<routing::TcpManager>(chain->manager), chain->rule);
    return std::move(step_);
  }

 private:
  const FilterChain* choose(const Listener& listener) {
    routing::Connection connection{.destination = destination_, .source = source_};
    if (routing::needs_detection(listener, destination_)) {
      const bool sees_http = listener.detect_http && !listener.detect_http_off.contains(destination_.port);
      const bool sees_tls = listener.detect_tls && !listener.detect_tls_off.contains(destination_.port);
      if (call_.protocol == Question::Protocol::http && sees_http) connection.application = "http/1.1";
      if (call_.protocol == Question::Protocol::tls && sees_tls) {
        connection.transport = "tls";
        connection.server_name = call_.server_name;
      }
    }
    for (const routing::PassedChain& passed : routing::explain_chains(listener, connection))
      step_.passed_chains.push_back({title(listener, *passed.chain), passed.why});
    return routing::match_chain(listener, connection);
  }

  void tcp(const routing::TcpManager& manager, const RuleRef& rule) {
    step_.rule = rule;
    choose_clusters(manager.clusters, manager.total_weight);
    if (all([](const ClusterChoice& choice) { return !choice.is_known; }))
      step_.answer = {.by_proxy = true, .flags = "NC", .details = "cluster_not_found"};
    else if (all([](const ClusterChoice& choice) { return !is_usable(choice); }))
      step_.answer = {.by_proxy = true, .flags = "UH", .details = "no_healthy_upstream"};
  }

  void reply(int code, std::string flags, std::string details) {
    step_.answer = {.by_proxy = true, .code = code, .flags = std::move(flags), .details = std::move(details)};
  }

  /// The head as it comes over the wire, so that the proxy's own parser judges it.
  bool parse(http::RequestHead& head) {
    bytes_ = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", call_.method, call_.path, call_.authority);
    for (const auto& [name, value] : call_.headers) bytes_ += fmt::format("{}: {}\r\n", name, value);
    bytes_ += "\r\n";
    std::size_t resume = 0;
    const http::ParseResult parsed = http::parse_request_head(bytes_, {}, resume, head);
    if (parsed.state == http::ParseResult::State::done) return true;
    reply(parsed.error.status, "DPE", parsed.error.detail);
    return false;
  }

  bool prepare(const routing::HttpManager& manager, http::RequestHead& head) {
    path_ = head.path;
    if (manager.normalize_path && head.path.starts_with('/')) {
      auto normal = routing::normalize_path(head.path, normal_path_);
      if (!normal) {
        reply(400, "", "path_normalization_failed");
        return false;
      }
      path_ = *normal;
    }
    const bool is_upgrade = !head.upgrade.empty() && !equals_ignore_case(head.upgrade, "h2c");
    if (is_upgrade &&
        std::find(manager.upgrades.begin(), manager.upgrades.end(), to_lower(head.upgrade)) == manager.upgrades.end()) {
      reply(403, "", "upgrade_failed");
      return false;
    }
    http::clean_request(head.headers, is_upgrade, manager.sanitize_client_cert_header);
    if (!head.headers.has("x-forwarded-proto")) head.headers.append_view("x-forwarded-proto", "http");
    if (head.headers.get("x-request-id").value_or("").empty() && manager.generate_request_id)
      head.headers.set("x-request-id", "(made by the proxy)");
    return true;
  }

  void request(const routing::HttpManager& manager) {
    step_.is_http = true;
    http::RequestHead head;
    if (!parse(head) || !prepare(manager, head)) return;
    step_.path = path_;
    step_.authority = head.authority;
    const routing::RouteTable* table = manager.inline_routes.get();
    if (table == nullptr) {
      auto found = view_.routes.find(manager.rds_name);
      if (found != view_.routes.end()) table = found->second.get();
    }
    step_.route_table = table != nullptr ? table->name() : manager.rds_name;
    if (table == nullptr) return reply(404, "NR", "route_not_found");
    const std::string scheme(head.headers.get("x-forwarded-proto").value_or("http"));
    const routing::Request asked{
        .scheme = scheme, .method = head.method, .authority = head.authority, .path = path_, .headers = &head.headers};
    const routing::RouteTable::Explanation explained = table->explain(asked);
    for (const auto& passed : explained.passed) step_.passed.push_back({passed.what, passed.why});
    if (explained.found.host != nullptr) step_.virtual_host = explained.found.host->name;
    if (explained.found.route == nullptr) return reply(404, "NR", "route_not_found");
    act(manager, *explained.found.route, asked);
  }

  void act(const routing::HttpManager& manager, const routing::Route& route, const routing::Request& asked) {
    step_.route = route.name;
    step_.rule = route.rule;
    if (route.runtime_share && route.runtime_share->per_million < 1'000'000)
      step_.effects.push_back(fmt::format("this route takes {} % of the requests only", route.runtime_share->per_million / 1e4));
    if (manager.fault_filter && !route.fault_disabled && inject(route.fault)) return;
    if (manager.cors_filter && route.cors && answers_preflight(*route.cors, asked)) return reply(200, "", "cors_response");
    if (const auto* redirect = std::get_if<routing::Redirect>(&route.action)) {
      step_.effects.push_back("redirected to " + printable(routing::redirect_location(route, *redirect, asked), 500));
      return reply(redirect->status, "", "direct_response");
    }
    if (const auto* direct = std::get_if<routing::DirectResponse>(&route.action))
      return reply(direct->status, "", "direct_response");
    forward(route, std::get<routing::Forward>(route.action), asked);
  }

  /// True if every request ends here.
  bool inject(const routing::Fault& fault) {
    if (fault.delay)
      step_.fault = {.delay_ms = static_cast<int>(fault.delay->count()), .delay_percent = fault.delay_share.per_million / 1e4};
    const bool aborts = fault.abort_status || fault.abort_grpc_status;
    if (aborts) {
      step_.fault.abort_code = fault.abort_status.value_or(200);
      step_.fault.abort_percent = fault.abort_share.per_million / 1e4;
    }
    add_effects(fault, step_.effects);
    if (!aborts || fault.abort_share.per_million < 1'000'000) return false;
    reply(step_.fault.abort_code, step_.fault.delay_percent == 100 ? "DI,FI" : "FI", "fault_filter_abort");
    return true;
  }

  static bool answers_preflight(const routing::Cors& cors, const routing::Request& asked) {
    auto origin = asked.headers->get("origin");
    if (asked.method != "OPTIONS" || !origin || !asked.headers->has("access-control-request-method")) return false;
    return !cors.forward_unmatched_preflights ||
           std::any_of(cors.origins.begin(), cors.origins.end(), [&](const auto& other) { return other.matches(*origin); });
  }

  void forward(const routing::Route& route, const routing::Forward& forward, const routing::Request& asked) {
    std::vector<routing::WeightedCluster> clusters = forward.clusters;
    if (!forward.cluster_header.empty()) {
      clusters.clear();
      clusters.emplace_back().cluster = asked.headers->get(forward.cluster_header).value_or("");
      clusters.back().weight = 1;
    }
    choose_clusters(clusters, forward.cluster_header.empty() ? forward.total_weight : 1);
    add_effects(route, forward, step_.effects);
    std::string storage;
    sent_.path = routing::rewrite_path(route, forward, asked.path, storage);
    if (sent_.path != asked.path) step_.effects.push_back(fmt::format("path becomes \"{}\"", printable(sent_.path)));
    const std::string& host =
        clusters.size() == 1 && !clusters.front().host_rewrite.empty() ? clusters.front().host_rewrite : forward.host_rewrite;
    if (!host.empty()) {
      sent_.authority = host;
      step_.effects.push_back(fmt::format("Host becomes \"{}\"", printable(host)));
    }
    if (all([](const ClusterChoice& choice) { return !choice.is_known; }))
      reply(forward.cluster_not_found_status, "NC", "cluster_not_found");
    else if (all([](const ClusterChoice& choice) { return !is_usable(choice); }))
      reply(503, "UH", "no_healthy_upstream");
  }

  void choose_clusters(const std::vector<routing::WeightedCluster>& clusters, std::uint32_t total) {
    for (const routing::WeightedCluster& weighted : clusters) {
      if (clusters.size() > 1 && weighted.weight == 0) continue;
      ClusterChoice& choice = step_.clusters.emplace_back();
      choice.name = weighted.cluster;
      if (clusters.size() > 1 && total > 0) choice.percent = 100.0 * weighted.weight / total;
      const ClusterView* cluster = view_.cluster(weighted.cluster);
      choice.is_known = cluster != nullptr;
      if (cluster == nullptr) continue;
      choice.subset = cluster->subset();
      choice.type = cluster->type;
      choice.rule = cluster->rule;
      choice.endpoints = cluster->endpoints;
      if (cluster->follows_destination()) choice.endpoints = {{.address = destination_}};
    }
  }

  static bool is_usable(const ClusterChoice& choice) {
    return std::any_of(choice.endpoints.begin(), choice.endpoints.end(),
                       [](const EndpointView& endpoint) { return endpoint.health == "healthy"; });
  }
  template <class Condition>
  bool all(Condition condition) const {
    return std::all_of(step_.clusters.begin(), step_.clusters.end(), condition);
  }

  const ProxyView& view_;
  const SocketAddr& destination_;
  const SocketAddr& source_;
  const Call& call_;
  Call& sent_;
  ProxyStep step_;
  std::string bytes_, normal_path_;
  std::string_view path_;
};

}  // namespace

ProxyStep walk(const ProxyView& view, Port bound, const SocketAddr& destination, const SocketAddr& source, const Call& call,
               Call& sent) {
  return Walk(view, destination, source, call, sent).run(bound);
}

}  // namespace weir::ctl
