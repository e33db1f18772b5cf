// SPDX-License-Identifier: Apache-2.0
#include "routing/listener_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"

namespace weir::routing {

namespace {

/// How well a chain fits at one step: the most specific chains go on to the next step, all others are out (no way back).
/// Negative: it does not fit.
using Fit = int (*)(const ChainMatch&, const Connection&);

int fit_port(const ChainMatch& match, const Connection& connection) {
  if (!match.destination_port) return 0;
  return *match.destination_port == connection.destination.port ? 1 : -1;
}

int longest(const std::vector<Cidr>& prefixes, const IpAddr& address) {
  if (prefixes.empty()) return 0;
  int best = -1;
  for (const Cidr& prefix : prefixes) {
    if (prefix.contains(address)) best = std::max(best, static_cast<int>(prefix.prefix()));
  }
  return best;
}

int fit_destination(const ChainMatch& match, const Connection& connection) {
  return longest(match.prefixes, connection.destination.ip);
}
int fit_source(const ChainMatch& match, const Connection& connection) {
  return longest(match.source_prefixes, connection.source.ip);
}

bool ends_with_ignoring_case(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && equals_ignore_case(text.substr(text.size() - end.size()), end);
}

int fit_server_name(const ChainMatch& match, const Connection& connection) {
  if (match.server_names.empty()) return 0;
  int best = -1;
  for (const std::string& name : match.server_names) {
    if (equals_ignore_case(name, connection.server_name)) return 1'000'000;
    std::string_view suffix = std::string_view(name).substr(1);  // ".y" of "*.y"
    if (name.starts_with("*.") && connection.server_name.size() > suffix.size() &&
        ends_with_ignoring_case(connection.server_name, suffix)) {
      best = std::max(best, static_cast<int>(suffix.size()));
    }
  }
  return best;
}

int fit_transport(const ChainMatch& match, const Connection& connection) {
  if (match.transport_protocol.empty()) return 0;
  return match.transport_protocol == connection.transport ? 1 : -1;
}

int fit_application(const ChainMatch& match, const Connection& connection) {
  const auto& protocols = match.application_protocols;
  if (protocols.empty()) return 0;
  return std::find(protocols.begin(), protocols.end(), connection.application) != protocols.end() ? 1 : -1;
}

constexpr Fit kSteps[] = {fit_port, fit_destination, fit_server_name, fit_transport, fit_application, fit_source};

/// Whether `chain` is still in after the first `steps` steps, whose best fits are `best`.
bool is_in(const FilterChain& chain, const Connection& connection, const int* best, std::size_t steps) {
  for (std::size_t i = 0; i < steps; ++i) {
    if (kSteps[i](chain.match, connection) != best[i]) return false;
  }
  return true;
}

/// The best fit of step `step` among the chains that are in; -1 if none fits.
int best_fit(const Listener& listener, const Connection& connection, const int* best, std::size_t step) {
  int found = -1;
  for (const FilterChain& chain : listener.chains) {
    if (is_in(chain, connection, best, step)) found = std::max(found, kSteps[step](chain.match, connection));
  }
  return found;
}

}  // namespace

const FilterChain* match_chain(const Listener& listener, const Connection& connection) {
  const FilterChain* otherwise = listener.default_chain ? &*listener.default_chain : nullptr;
  int best[std::size(kSteps)] = {};
  for (std::size_t step = 0; step < std::size(kSteps); ++step) {
    best[step] = best_fit(listener, connection, best, step);
    if (best[step] < 0) return otherwise;
  }
  for (const FilterChain& chain : listener.chains) {
    if (is_in(chain, connection, best, std::size(kSteps))) return &chain;
  }
  return otherwise;
}

namespace {

std::string texts(const std::vector<Cidr>& prefixes) {
  std::vector<std::string> all;
  for (const Cidr& prefix : prefixes) all.push_back(prefix.to_text());
  return join(all, ", ");
}

std::string quoted_or_none(std::string_view text) { return text.empty() ? "not known" : '"' + printable(text) + '"'; }

/// What step `step` saw and wanted.
std::string why_not(const ChainMatch& match, const Connection& connection, std::size_t step) {
  switch (step) {
    case 0: return fmt::format("port is {}, wanted {}", connection.destination.port, match.destination_port.value_or(0));
    case 1: return fmt::format("address is {}, wanted {}", connection.destination.ip.to_text(), texts(match.prefixes));
    case 2:
      return fmt::format("server name is {}, wanted {}", quoted_or_none(connection.server_name), join(match.server_names, ", "));
    case 3: return fmt::format("transport is {}, wanted {}", connection.transport, match.transport_protocol);
    case 4:
      return fmt::format("application protocol is {}, wanted {}", quoted_or_none(connection.application),
                         join(match.application_protocols, ", "));
    default: return fmt::format("source is {}, wanted {}", connection.source.ip.to_text(), texts(match.source_prefixes));
  }
}

constexpr std::string_view kStepNames[] = {"destination port",   "destination address",  "server name",
                                           "transport protocol", "application protocol", "source address"};

}  // namespace

std::vector<PassedChain> explain_chains(const Listener& listener, const Connection& connection) {
  const FilterChain* chosen = match_chain(listener, connection);
  int best[std::size(kSteps)] = {};
  for (std::size_t step = 0; step < std::size(kSteps); ++step) {
    best[step] = best_fit(listener, connection, best, step);
    if (best[step] < 0) break;
  }
  std::vector<PassedChain> passed;
  for (const FilterChain& chain : listener.chains) {
    if (&chain == chosen) continue;
    std::string why = "an equal chain stands before it";
    for (std::size_t step = 0; step < std::size(kSteps); ++step) {
      const int fit = kSteps[step](chain.match, connection);
      if (fit >= 0 && fit == best[step]) continue;
      why = fit < 0 ? why_not(chain.match, connection, step) : fmt::format("another chain fits better by {}", kStepNames[step]);
      break;
    }
    passed.push_back({&chain, std::move(why)});
  }
  return passed;
}

bool needs_detection(const Listener& listener, const SocketAddr& destination) {
  bool http = listener.detect_http && !listener.detect_http_off.contains(destination.port);
  bool tls = listener.detect_tls && !listener.detect_tls_off.contains(destination.port);
  if (!http && !tls) return false;
  Connection connection{.destination = destination};
  int best[2] = {};
  for (std::size_t step = 0; step < 2; ++step) {  // port and address are known without a byte
    best[step] = best_fit(listener, connection, best, step);
    if (best[step] < 0) return false;
  }
  return std::any_of(listener.chains.begin(), listener.chains.end(), [&](const FilterChain& chain) {
    if (!is_in(chain, connection, best, 2)) return false;
    const ChainMatch& match = chain.match;
    return (http && !match.application_protocols.empty()) ||
           (tls && (!match.application_protocols.empty() || !match.server_names.empty() || !match.transport_protocol.empty()));
  });
}

ListenerTable::ListenerTable(std::vector<std::shared_ptr<const Listener>> listeners) : listeners_(std::move(listeners)) {
  for (const auto& listener : listeners_) {
    by_name_.emplace(listener->name, listener.get());
    if (listener->bind_to_port) continue;
    by_address_.emplace(listener->address, listener.get());  // the first of an address wins
    for (const SocketAddr& address : listener->additional) by_address_.emplace(address, listener.get());
  }
}

const Listener* ListenerTable::by_name(std::string_view name) const {
  auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

const Listener& ListenerTable::for_destination(const Listener& bound, const SocketAddr& original) const {
  if (!bound.use_original_dst) return bound;
  Family other = original.ip.is_v4() ? Family::v6 : Family::v4;
  for (const IpAddr& ip : {original.ip, IpAddr::any(original.ip.family()), IpAddr::any(other)}) {
    if (auto it = by_address_.find({ip, original.port}); it != by_address_.end()) return *it->second;
  }
  return bound;
}

}  // namespace weir::routing
