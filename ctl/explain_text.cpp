// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "base/utf8.h"
#include "ctl/explain.h"
#include "ctl/table.h"

namespace weir::ctl {

namespace {

std::string rule_text(const RuleRef& rule) {
  std::string text = rule.rule;
  if (!rule.file.empty()) text += fmt::format(", {}", rule.file);
  if (rule.line > 0) text += fmt::format(":{}", rule.line);
  return text;
}

std::string answer_text(const Answer& answer) {
  std::string text = answer.code != 0 ? fmt::format("answered {} by the proxy", answer.code) : "the proxy ends the connection";
  return fmt::format("{} ({}{}{})", text, answer.flags, answer.flags.empty() ? "" : " ", answer.details);
}

std::string capture_text(const CaptureStep& step) {
  if (step.match.empty()) return fmt::format("{}: {}", step.verdict, step.why);
  return fmt::format("{}: {} (step of chain {}: {})", step.verdict, step.why, step.chain, step.match);
}

class Writer {
 public:
  explicit Writer(const Explanation& explanation) : from_(explanation) {}

  std::string run() {
    const Question& question = from_.question;
    const std::string what = question.protocol == Question::Protocol::http
                                 ? fmt::format(", {} {}", question.method, printable(question.path))
                             : question.protocol == Question::Protocol::tcp ? ", TCP"
                                                                            : ", TLS to " + printable(question.server_name);
    line(0, fmt::format("{} (uid {}) to {}:{}{}", question.from.empty() ? "the caller" : question.from, question.uid,
                        printable(question.host), question.port, what));
    line(1, fmt::format("address {}{}", from_.destination.to_text(), from_.service.empty() ? "" : ": " + from_.service));
    line(1, fmt::format("captured? {}", capture_text(from_.capture)));
    if (from_.proxy) {
      line(0, "the caller's proxy");
      proxy(*from_.proxy);
    } else {
      line(1, from_.capture.verdict == "direct" ? "it goes past the proxy: no rule sees it" : "it goes no further");
    }
    if (!from_.servers.empty()) line(0, "the server's side");
    for (const ServerStep& step : from_.servers) server(step);
    return std::move(out_);
  }

 private:
  void line(int depth, const std::string& text) {
    out_ += std::string(static_cast<std::size_t>(depth) * 2, ' ') + without_controls(text) + "\n";
  }

  void proxy(const ProxyStep& step) {
    if (!step.listener.empty()) line(1, "listener " + step.listener);
    for (const PassedOver& passed : step.passed_chains) line(2, fmt::format("not {}: {}", passed.what, passed.why));
    if (step.is_refused) return line(2, answer_text(step.answer));
    line(2, fmt::format("{}: {}{}", step.chain, step.is_http ? "HTTP" : "TCP",
                        step.is_http || step.rule.empty() ? "" : ", " + rule_text(step.rule)));
    if (step.is_http) route(step);
    for (const std::string& effect : step.effects) line(2, effect);
    if (step.answer.by_proxy) line(2, answer_text(step.answer));
    for (const ClusterChoice& choice : step.clusters) cluster(choice);
  }

  void route(const ProxyStep& step) {
    if (step.route_table.empty() && step.passed.empty()) return;
    line(1, fmt::format("route table {}{}", step.route_table,
                        step.virtual_host.empty() ? "" : ", virtual host " + step.virtual_host));
    for (const PassedOver& passed : step.passed) line(2, fmt::format("not {}: {}", passed.what, passed.why));
    if (step.virtual_host.empty() || (step.route.empty() && step.rule.empty())) return;
    std::string text = step.route.empty() ? "route" : fmt::format("route \"{}\"", step.route);
    line(2, step.rule.empty() ? text : fmt::format("{}: {}", text, rule_text(step.rule)));
  }

  void cluster(const ClusterChoice& choice) {
    std::string text = fmt::format("cluster {}", choice.name);
    if (choice.percent != 100) text += fmt::format(", {:.4g} %", choice.percent);
    if (!choice.rule.empty()) text += fmt::format(" ({})", rule_text(choice.rule));
    if (!choice.is_known) text += ": the proxy has none of this name";
    if (choice.is_known && choice.endpoints.empty()) text += ": no endpoint";
    line(1, text);
    for (const EndpointView& endpoint : choice.endpoints)
      line(2, fmt::format("{}{}{}", endpoint.address.to_text(), endpoint.workload.empty() ? "" : "  " + endpoint.workload,
                          endpoint.health == "healthy" ? "" : ", " + endpoint.health));
  }

  void server(const ServerStep& step) {
    const std::string where = fmt::format("{}{}", step.address.to_text(), step.pod.empty() ? "" : " " + step.pod);
    if (!step.note.empty()) return line(1, fmt::format("{}: {}", where, step.note));
    line(1, fmt::format("{}: captured? {}", where, capture_text(step.capture)));
    if (!step.proxy) return;
    const ProxyStep& proxy = *step.proxy;
    std::string text = fmt::format("listener {}, {}: {}", proxy.listener, proxy.chain, proxy.is_http ? "HTTP" : "TCP");
    for (const ClusterChoice& choice : proxy.clusters) text += fmt::format(", cluster {}", choice.name);
    if (proxy.answer.by_proxy) text += ", " + answer_text(proxy.answer);
    line(2, text);
  }

  const Explanation& from_;
  std::string out_;
};

}  // namespace

std::string to_text(const Explanation& explanation) { return Writer(explanation).run(); }

}  // namespace weir::ctl
