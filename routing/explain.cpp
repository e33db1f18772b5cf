// SPDX-License-Identifier: Apache-2.0
// The same decisions as match.cpp, in words.
#include <fmt/format.h>

#include "base/text.h"
#include "routing/match.h"
#include "routing/route_table_impl.h"

namespace weir::routing {

namespace {

std::string quoted(std::string_view value) { return '"' + printable(value) + '"'; }

/// ":method" → "method", "end-user" → "header end-user".
std::string subject_of(const HeaderMatch& match) {
  if (match.name == "host") return "authority";
  return match.name.starts_with(':') ? match.name.substr(1) : "header " + match.name;
}

/// All values of a name, quoted and joined; "" if there is none.
std::string seen_values(std::string_view name, const Request& request) {
  if (name == ":method") return quoted(request.method);
  if (name == ":authority" || name == "host") return quoted(request.authority);
  if (name == ":path") return quoted(request.path);
  if (name == ":scheme") return quoted(request.scheme);
  std::string values;
  if (request.headers == nullptr) return values;
  for (const http::Field& field : *request.headers) {
    if (!equals_ignore_case(field.name, name)) continue;
    if (!values.empty()) values += " and ";
    values += quoted(field.value);
  }
  return values;
}

std::string place_of(const RuleRef& rule) {
  if (rule.empty() && rule.file.empty()) return {};
  std::string text = " (" + rule.rule;
  if (!rule.file.empty()) text += (rule.empty() ? "" : ", ") + fmt::format("{}:{}", rule.file, rule.line);
  return text + ")";
}

std::string name_of(const Route& route, std::size_t index) {
  std::string name = route.name.empty() ? fmt::format("route {}", index + 1) : "route " + quoted(route.name);
  return name + place_of(route.rule);
}

void add(std::string& text, std::string_view reason) {
  if (!text.empty()) text += "; ";
  text += reason;
}

}  // namespace

std::string StringMatcher::to_text() const {
  static constexpr std::string_view kNames[] = {"exact", "prefix", "suffix", "contains", "regex"};
  return fmt::format("{} {}{}", kNames[static_cast<std::size_t>(kind)], quoted(text),
                     ignore_case && kind != Kind::regex ? " (ignoring case)" : "");
}

std::string why_not(const PathMatch& match, std::string_view path) {
  static constexpr std::string_view kNames[] = {"exact", "prefix", "whole segments of", "regex"};
  return fmt::format("path is {}, wanted {} {}{}", quoted(without_query(path)), kNames[static_cast<std::size_t>(match.kind)],
                     quoted(match.text), match.ignore_case && match.kind != PathMatch::Kind::regex ? " (ignoring case)" : "");
}

std::string why_not(const HeaderMatch& match, const Request& request) {
  std::string seen = seen_values(match.name, request);
  std::string wanted;
  if (match.value) {
    wanted = (match.invert ? "not " : "") + match.value->to_text();
  } else {
    wanted = match.present != match.invert ? "present" : "absent";
  }
  if (seen.empty()) return fmt::format("{} is missing, wanted {}", subject_of(match), wanted);
  return fmt::format("{} is {}, wanted {}", subject_of(match), seen, wanted);
}

std::string why_not(const QueryMatch& match, std::string_view path) {
  auto value = query_value(path, match.name);
  std::string wanted = match.value ? match.value->to_text() : "present";
  return fmt::format("query parameter {} is {}, wanted {}", printable(match.name), value ? quoted(*value) : "missing", wanted);
}

std::string why_not(const Route& route, const Request& request, std::uint32_t random) {
  std::string text;
  if (!matches(route.path, request.path)) add(text, why_not(route.path, request.path));
  for (const HeaderMatch& header : route.headers) {
    if (!matches(header, request)) add(text, why_not(header, request));
  }
  for (const QueryMatch& query : route.query) {
    if (!matches(query, request.path)) add(text, why_not(query, request.path));
  }
  if (route.runtime_share && random >= route.runtime_share->per_million) {
    add(text, fmt::format("it takes {} % of the requests, and not this one", route.runtime_share->per_million / 1e4));
  }
  return text;
}

RouteTable::Explanation RouteTable::explain(const Request& request) const {
  Explanation explanation;
  auto [host, how] = impl_->domains.find(request.authority);
  std::size_t count = impl_->hosts.size();
  std::string all =
      count == 1 ? fmt::format("virtual host {}", quoted(impl_->hosts[0].name)) : fmt::format("{} virtual hosts", count);
  std::string its_port = impl_->domains.ignores_port() ? " (its port does not count)" : "";
  if (host < 0) {
    std::string why = fmt::format("authority {}{} matches no domain of route table {}", quoted(request.authority), its_port,
                                  quoted(impl_->name));
    explanation.passed.push_back({all, why, {}});
    return explanation;
  }
  explanation.found.host = &impl_->hosts[static_cast<std::size_t>(host)];
  if (how != DomainIndex::How::exact && count > 1) {
    std::string why = fmt::format("authority {}{} equals no domain; taken by the wildcard of virtual host {}",
                                  quoted(request.authority), its_port, quoted(explanation.found.host->name));
    explanation.passed.push_back({fmt::format("{} other virtual hosts", count - 1), why, {}});
    if (count == 2) explanation.passed.back().what = "the other virtual host";
  }
  const std::vector<Route>& routes = explanation.found.host->routes;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (matches(routes[i], request, 0)) {
      explanation.found.route = &routes[i];
      break;
    }
    explanation.passed.push_back({name_of(routes[i], i), why_not(routes[i], request, 0), routes[i].rule});
  }
  return explanation;
}

}  // namespace weir::routing
