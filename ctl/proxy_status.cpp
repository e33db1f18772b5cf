// SPDX-License-Identifier: Apache-2.0
// weirctl proxy-status: who is connected, and who has accepted what.
#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"
#include "ctl/command.h"
#include "ctl/table.h"

namespace weir::ctl {

namespace {

namespace json = boost::json;
using Rows = std::vector<std::vector<std::string>>;

std::string text(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value == nullptr || !value->is_string() ? "" : std::string(value->get_string().data(), value->get_string().size());
}

/// The objects of a list; none where there is no list.
std::vector<const json::object*> objects(const json::object& from, std::string_view key) {
  std::vector<const json::object*> found;
  const auto* list = from.if_contains(key);
  if (list == nullptr || !list->is_array()) return found;
  for (const json::value& item : list->get_array())
    if (item.is_object()) found.push_back(&item.get_object());
  return found;
}

std::string state_of(const json::object& proxy, std::string_view type) {
  for (const json::object* entry : objects(proxy, "types"))
    if (text(*entry, "type") == type) return text(*entry, "state");
  return "-";
}

std::string lines_of(const json::object& rule) {
  std::string lines;
  if (const auto* list = rule.if_contains("lines"); list != nullptr && list->is_array())
    for (const json::value& line : list->get_array()) lines += fmt::format("{}{}", lines.empty() ? "" : ",", compact_json(line));
  const std::string file = text(rule, "file");
  return lines.empty() ? file : fmt::format("{}:{}", file, lines);
}

std::string overview(const std::vector<const json::object*>& proxies) {
  Rows rows = {{"NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "PEER", "VERSION"}};
  std::string refusals;
  for (const json::object* proxy : proxies) {
    std::vector<std::string> row = {text(*proxy, "proxy"), text(*proxy, "cluster_id")};
    for (std::string_view type : {"CDS", "LDS", "EDS", "RDS"}) row.push_back(state_of(*proxy, type));
    row.push_back(text(*proxy, "peer"));
    row.push_back(text(*proxy, "istio_version"));
    rows.push_back(std::move(row));
    for (const json::object* entry : objects(*proxy, "types"))
      if (text(*entry, "state") == "NACKED")
        refusals += without_controls(fmt::format("{}: {} refused: {}", text(*proxy, "proxy"), text(*entry, "type"),
                                                 printable(text(*entry, "reason"), 2000))) +
                    "\n";
  }
  return columns(rows) + (refusals.empty() ? "" : "\n" + refusals);
}

/// Each rule once, if all proxies have it; else a row for each proxy that has not.
std::string rules(const std::vector<const json::object*>& proxies, bool one_proxy) {
  Rows rows = {{"RULE", "AT", "TYPE", "STATE"}};
  std::map<std::vector<std::string>, std::pair<int, int>> sums;  // rule, place, type → accepted, all
  std::map<std::vector<std::string>, std::vector<std::string>> behind;
  for (const json::object* proxy : proxies)
    for (const json::object* rule : objects(*proxy, "rules")) {
      const std::string state = text(*rule, "state");
      const std::vector<std::string> key = {text(*rule, "rule"), lines_of(*rule), text(*rule, "type")};
      auto& [accepted, all] = sums[key];
      ++all;
      if (state == "SYNCED")
        ++accepted;
      else
        behind[key].push_back(fmt::format("{} ({})", text(*proxy, "proxy"), state));
    }
  for (const auto& [key, sum] : sums) {
    std::vector<std::string> row = key;
    if (sum.first == sum.second)
      row.push_back(one_proxy ? "SYNCED" : fmt::format("SYNCED by {}", sum.second));
    else
      row.push_back(fmt::format("{} of {}; not by {}", sum.first, sum.second, join(behind[key], ", ")));
    rows.push_back(std::move(row));
  }
  return rows.size() == 1 ? "" : "\n" + columns(rows);
}

}  // namespace

Printed run_proxy_status(const Arguments& arguments, const World& world) {
  if (arguments.words.size() > 1)
    return refused({wrong("argument " + printable(arguments.words[1]), "one proxy at most can be named")});
  auto body = world.fetch(arguments.get("agent", "http://127.0.0.1:15014"), "/debug/syncz", std::nullopt);
  if (!body) {
    Printed printed = failed(body.error());
    if (printed.exit_code == 2)
      printed.err += "weirctl: does weir-agent run there, with --debug-listen? (--agent says where to ask)\n";
    return printed;
  }
  auto document = parse_json(*body);
  if (!document || !document->is_array()) return failed(Error(ErrorCode::protocol, "the agent's answer is not a JSON list"));
  std::vector<const json::object*> proxies;
  std::vector<std::string> names;
  json::array chosen;
  for (const json::value& item : document->get_array()) {
    if (!item.is_object()) continue;
    names.push_back(text(item.get_object(), "proxy"));
    if (!arguments.words.empty() && names.back() != arguments.words.front()) continue;
    proxies.push_back(&item.get_object());
    chosen.push_back(item);
  }
  if (!arguments.words.empty() && proxies.empty()) {
    const std::string_view near = nearest(arguments.words.front(), std::vector<std::string_view>(names.begin(), names.end()));
    return failed(Error(ErrorCode::usage, fmt::format("no proxy \"{}\" is connected; {}", printable(arguments.words.front()),
                                                      !near.empty()   ? fmt::format("did you mean {}?", near)
                                                      : names.empty() ? std::string("none is")
                                                                      : "connected: " + join(names, ", "))));
  }
  if (arguments.wants_json()) return {0, pretty_json(chosen), ""};
  if (proxies.empty()) return {0, "no proxy is connected\n", ""};
  return {0, overview(proxies) + rules(proxies, !arguments.words.empty()), ""};
}

}  // namespace weir::ctl
