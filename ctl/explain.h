// SPDX-License-Identifier: Apache-2.0
// The walk of a call, hop by hop, as values: what the kernel, the caller's proxy and the server's proxy do with it, and why. Pure
// but for what Mesh keeps.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/problem.h"
#include "ctl/mesh.h"
#include "ctl/proxy_view.h"
#include "ctl/question.h"

namespace weir::ctl {

/// What the kernel's rules do with the first packet.
struct CaptureStep {
  std::string verdict;  ///< "outbound 15001", "direct", "reset" …
  std::string chain, match, why;
};

struct PassedOver {
  std::string what;  ///< `route "jason" (VirtualService default/reviews, rules/x.yaml:12)`
  std::string why;
};

struct ClusterChoice {
  std::string name;
  double percent = 100;
  bool is_known = true;  ///< false: the proxy has no such cluster
  std::string subset, type;
  RuleRef rule;  ///< its DestinationRule
  std::vector<EndpointView> endpoints;
};

/// Who answers, where that is decided before an upstream is asked.
struct Answer {
  bool by_proxy = false;
  int code = 0;         ///< 0: the connection is closed or reset
  std::string flags;    ///< as in the access log: "NR", "FI", "UH" …
  std::string details;  ///< as in the access log: "route_not_found" …
};

/// Faults that the route injects; percentages of the requests.
struct InjectedFault {
  int delay_ms = 0;
  double delay_percent = 0;
  int abort_code = 0;
  double abort_percent = 0;
};

/// One proxy's part: from its port to where it sends the call.
struct ProxyStep {
  std::string listener, chain;
  std::vector<PassedOver> passed_chains;
  bool is_http = false;
  bool is_refused = false;  ///< no chain takes it
  std::string route_table, virtual_host, route;
  RuleRef rule;
  std::vector<PassedOver> passed;    ///< virtual hosts and routes before the one that takes it
  std::string path, authority;       ///< as they are matched
  std::vector<std::string> effects;  ///< faults, timeouts, retries, rewrites: a sentence each
  InjectedFault fault;
  Answer answer;
  std::vector<ClusterChoice> clusters;
};

/// What the server's side does with it, for one endpoint.
struct ServerStep {
  std::string pod;  ///< "reviews-v1.default"
  SocketAddr address;
  std::string note;  ///< why there is nothing more to say; "" if there is
  CaptureStep capture;
  std::optional<ProxyStep> proxy;
};

struct Explanation {
  Question question;
  SocketAddr destination;
  std::string service;  ///< see Resolved
  CaptureStep capture;
  std::optional<ProxyStep> proxy;  ///< nullopt: it never enters the proxy
  std::vector<ServerStep> servers;
};

/// The caller's side where it is not a Pod of the rules.
struct Caller {
  std::string name;
  const ProxyView* view = nullptr;
  std::vector<IpAddr> addresses;
};

/// What a proxy sees of a call.
struct Call {
  Question::Protocol protocol = Question::Protocol::http;
  std::string server_name;
  std::string method, path, authority;
  std::vector<std::pair<std::string, std::string>> headers;  ///< without Host
};
/// From the proxy's port `bound` (15001, 15006) on. `sent` receives path and authority as they go upstream.
ProxyStep walk(const ProxyView& view, Port bound, const SocketAddr& destination, const SocketAddr& source, const Call& call,
               Call& sent);

/// Errors (usage): the caller or the host is not known. `caller`: what a dump says; null: a Pod of the rules.
Result<Explanation> explain(const Question& question, Mesh& mesh, const Caller* caller);

/// For people.
std::string to_text(const Explanation& explanation);
/// One JSON object; with indentation and a newline, or on one line without one.
std::string to_json(const Explanation& explanation, bool on_one_line);

}  // namespace weir::ctl
