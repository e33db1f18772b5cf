// SPDX-License-Identifier: Apache-2.0
#include <boost/json.hpp>

#include "base/json.h"
#include "ctl/explain.h"

namespace weir::ctl {

namespace {

namespace json = boost::json;

json::object to_value(const RuleRef& rule) { return {{"rule", rule.rule}, {"file", rule.file}, {"line", rule.line}}; }

json::object to_value(const CaptureStep& step) {
  return {{"verdict", step.verdict}, {"chain", step.chain}, {"match", step.match}, {"why", step.why}};
}

json::array to_value(const std::vector<PassedOver>& passed) {
  json::array list;
  for (const PassedOver& each : passed) list.push_back(json::object{{"what", each.what}, {"why", each.why}});
  return list;
}

json::object to_value(const ClusterChoice& choice) {
  json::array endpoints;
  for (const EndpointView& endpoint : choice.endpoints) {
    json::array additional;
    for (const SocketAddr& address : endpoint.additional) additional.push_back(json::value(address.to_text()));
    endpoints.push_back(json::object{{"address", endpoint.address.to_text()},
                                     {"additional", additional},
                                     {"workload", endpoint.workload},
                                     {"health", endpoint.health}});
  }
  return {{"name", choice.name}, {"percent", choice.percent},     {"known", choice.is_known},         {"subset", choice.subset},
          {"type", choice.type}, {"rule", to_value(choice.rule)}, {"endpoints", std::move(endpoints)}};
}

json::object to_value(const ProxyStep& step) {
  json::object out{{"listener", step.listener},
                   {"chain", step.chain},
                   {"passed_chains", to_value(step.passed_chains)},
                   {"http", step.is_http}};
  if (step.is_http) {
    out["route_table"] = step.route_table;
    out["virtual_host"] = step.virtual_host;
    out["route"] = step.route;
    out["passed"] = to_value(step.passed);
  }
  out["rule"] = to_value(step.rule);
  json::array effects;
  for (const std::string& effect : step.effects) effects.push_back(json::value(effect));
  out["effects"] = std::move(effects);
  const InjectedFault& fault = step.fault;
  if (fault.delay_percent > 0 || fault.abort_percent > 0)
    out["fault"] = json::object{{"delay_ms", fault.delay_ms},
                                {"delay_percent", fault.delay_percent},
                                {"abort_code", fault.abort_code},
                                {"abort_percent", fault.abort_percent}};
  if (step.answer.by_proxy)
    out["answer"] =
        json::object{{"by", "proxy"}, {"code", step.answer.code}, {"flags", step.answer.flags}, {"details", step.answer.details}};
  else
    out["answer"] = json::object{{"by", "upstream"}};
  json::array clusters;
  for (const ClusterChoice& choice : step.clusters) clusters.push_back(to_value(choice));
  out["clusters"] = std::move(clusters);
  return out;
}

json::object to_value(const ServerStep& step) {
  json::object out{{"address", step.address.to_text()}, {"pod", step.pod}};
  if (!step.note.empty()) {
    out["note"] = step.note;
    return out;
  }
  out["capture"] = to_value(step.capture);
  if (step.proxy) out["proxy"] = to_value(*step.proxy);
  return out;
}

}  // namespace

std::string to_json(const Explanation& from, bool on_one_line) {
  const Question& question = from.question;
  static constexpr std::string_view kProtocols[] = {"http", "tcp", "tls"};
  json::array headers, servers;
  for (const auto& [name, value] : question.headers) headers.push_back(json::array{json::value(name), json::value(value)});
  for (const ServerStep& step : from.servers) servers.push_back(to_value(step));
  json::object out{{"from", question.from},
                   {"to", fmt::format("{}:{}", question.host, question.port)},
                   {"protocol", kProtocols[static_cast<std::size_t>(question.protocol)]}};
  if (question.protocol == Question::Protocol::http) {
    out["method"] = question.method;
    out["path"] = question.path;
    out["headers"] = std::move(headers);
  }
  out["address"] = from.destination.to_text();
  out["service"] = from.service;
  out["capture"] = to_value(from.capture);
  if (from.proxy) out["proxy"] = to_value(*from.proxy);
  out["servers"] = std::move(servers);
  return on_one_line ? compact_json(out) : pretty_json(out);
}

}  // namespace weir::ctl
