// SPDX-License-Identifier: Apache-2.0
#include "proxy/options.h"

#include <algorithm>
#include <cstring>

#include <CLI/CLI.hpp>

#include "base/duration.h"
#include "base/text.h"
#include "base/well_known.h"

namespace weir::proxy {

namespace {

constexpr const char* kFooter =
    "Identity, where no flag is given: POD_NAME, POD_NAMESPACE, INSTANCE_IP, ISTIO_META_*, ISTIO_METAJSON_LABELS.\n"
    "Exit codes: 0 ok, 1 usage or configuration, 2 environment.\n"
    "Signals: SIGTERM drains and leaves (a second one leaves at once), SIGUSR1 opens the logs again.";

/// The flags' texts before they are checked.
struct Raw {
  std::string agent, level = "info", proxy_level, concurrency, capture_ports = "15001,15006";
  std::string admin_port = "15000", status_port = "15020", health_port = "15021", metrics_port = "15090";
  std::string drain_time = "5s", drain_limit = "45s", config_wait = "30s", detect_limit = "15s", follow;
  std::string heartbeat_interval = "500ms";
  bool version = false;
};

class Checker {
 public:
  Checker(const Raw& raw, Options& options, std::vector<Problem>& problems) : raw_(raw), options_(options), problems_(problems) {}

  void run() {
    read_agent();
    options_.concurrency = number("--concurrency", raw_.concurrency, 0, 1024);
    read_capture_ports();
    options_.admin_port = port("--admin-port", raw_.admin_port);
    options_.status_port = port("--status-port", raw_.status_port);
    options_.health_port = port("--health-port", raw_.health_port);
    options_.metrics_port = port("--metrics-port", raw_.metrics_port);
    options_.drain_time = duration("--drain-time", raw_.drain_time);
    options_.drain_limit = duration("--drain-limit", raw_.drain_limit);
    options_.config_wait = duration("--config-wait", raw_.config_wait);
    options_.detect_limit = duration("--detect-limit", raw_.detect_limit);
    options_.heartbeat_interval = duration("--heartbeat-interval", raw_.heartbeat_interval);
    if (options_.heartbeat_interval.count() < 10)
      error("--heartbeat-interval", fmt::format("{} is too short", printable(raw_.heartbeat_interval)),
            "write 10ms or more, or give --no-heartbeat");
    if (options_.drain_time > options_.drain_limit)
      error("--drain-time", fmt::format("{} is more than --drain-limit {}", raw_.drain_time, raw_.drain_limit),
            "make --drain-limit the longer one");
    if (!raw_.follow.empty()) {
      const unsigned pid = number("--follow", raw_.follow, 1, INT32_MAX);
      if (pid > 0) options_.follow = static_cast<pid_t>(pid);
    }
    read_level();
  }

 private:
  void error(const std::string& flag, std::string message, std::string hint) {
    problems_.push_back({Severity::error, {}, "flag " + flag, "", std::move(message), std::move(hint)});
  }

  void read_agent() {
    if (raw_.agent.empty()) {
      if (options_.bootstrap.empty())
        error("--agent", "is missing",
              "say where the agent listens (--agent unix:PATH or IP:PORT), or give a bootstrap file with -c");
      return;
    }
    if (auto target = parse_agent_target(raw_.agent)) {
      options_.agent = std::move(*target);
    } else {
      error("--agent", target.error().to_text(), "");
    }
  }

  unsigned number(const std::string& flag, const std::string& text, unsigned min, unsigned max) {
    if (text.empty()) return 0;
    auto value = parse_uint(text, max);
    if (value && *value >= min) return static_cast<unsigned>(*value);
    error(flag, fmt::format("\"{}\" is no number from {} to {}", printable(text), min, max), "");
    return 0;
  }

  std::optional<Port> port(const std::string& flag, const std::string& text) {
    if (text == "off") return std::nullopt;
    auto value = parse_uint(text, 65535);
    if (value) return static_cast<Port>(*value);
    error(flag, fmt::format("\"{}\" is no port", printable(text)), "use 1 to 65535, 0 for any free one, or off");
    return std::nullopt;
  }

  void read_capture_ports() {
    options_.capture_ports.clear();
    if (raw_.capture_ports == "off") return;
    for (std::string_view part : split(raw_.capture_ports, ',')) {
      auto value = parse_uint(trim(part), 65535);
      if (value && *value > 0) {
        options_.capture_ports.push_back(static_cast<Port>(*value));
      } else {
        error("--capture-ports", fmt::format("\"{}\" is no port", printable(part)), "write them like 15001,15006, or off");
      }
    }
  }

  std::chrono::milliseconds duration(const std::string& flag, const std::string& text) {
    auto value = parse_duration(text);
    if (value) return std::chrono::duration_cast<std::chrono::milliseconds>(*value);
    error(flag, value.error().to_text(), "");
    return std::chrono::milliseconds(0);
  }

  void read_level() {
    // Istio's --proxyLogLevel has "warning" and "misc:error" lists; the first word counts.
    std::string text = raw_.level;
    if (!raw_.proxy_level.empty()) text = raw_.proxy_level == "trace" ? "debug" : raw_.proxy_level;
    if (text == "critical" || text == "off") text = "error";
    if (auto level = log::parse_level(text)) {
      options_.log_level = *level;
    } else {
      error(raw_.proxy_level.empty() ? "--log-level" : "--proxyLogLevel", level.error().to_text(), "");
    }
  }

  const Raw& raw_;
  Options& options_;
  std::vector<Problem>& problems_;
};

void add_flags(CLI::App& app, Raw& raw, Options& options) {
  auto value = [&](const char* names, std::string& into, const char* help, const char* type) {
    app.add_option(names, into, help)->type_name(type)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  };
  value("--agent", raw.agent, "where the agent serves ADS: unix:PATH, IP:PORT, [IP]:PORT or localhost:PORT", "ADDRESS");
  value("-c,--config", options.bootstrap, "bootstrap file, YAML or JSON: a subset of Envoy's", "FILE");
  value("--state-dir", options.state_dir, "directory (0700) for the last good configuration", "DIR");
  value("--concurrency", raw.concurrency, "worker threads (default: by CPU quota, at most 2)", "N");
  value("--capture-ports", raw.capture_ports, "ports that captured connections come to, or off (default 15001,15006)", "PORTS");
  value("--admin-port", raw.admin_port, "admin interface, loopback only, or off (default 15000)", "PORT");
  value("--status-port", raw.status_port, "health and metrics, or off (default 15020)", "PORT");
  value("--health-port", raw.health_port, "readiness, or off (default 15021)", "PORT");
  value("--metrics-port", raw.metrics_port, "metrics for Prometheus, or off (default 15090)", "PORT");
  value("--drain-time", raw.drain_time,
        "after SIGTERM: how long new inbound connections are taken, and how long outbound ones must have ceased (default 5s)",
        "DURATION");
  value("--drain-limit", raw.drain_limit, "longest time between SIGTERM and leaving (default 45s)", "DURATION");
  value("--config-wait", raw.config_wait, "how long connections wait for the first configuration (default 30s)", "DURATION");
  value("--detect-limit", raw.detect_limit, "how long a silent client is waited for (default 15s)", "DURATION");
  value("--follow", raw.follow, "leave when this process has gone, serving its outbound calls until then, after SIGTERM too",
        "PID");
  value("--node-id", options.identity.node_id, "whole node id (default sidecar~IP~NAME.NS~NS.svc.DOMAIN)", "ID");
  value("--name", options.identity.name, "name of the workload instance (default POD_NAME, then the host name)", "NAME");
  value("--namespace", options.identity.ns, "namespace (default POD_NAMESPACE, then default)", "NAME");
  value("--ip", options.identity.ip, "address of the workload (default INSTANCE_IP, then the first of an interface)", "IP");
  value("--domain", options.identity.domain, "DNS suffix: cluster.local, or NS.svc.cluster.local as Istio has it", "NAME");
  value("--service-cluster,--serviceCluster", options.identity.cluster, "node.cluster (default <app>.<namespace>)", "NAME");
  app.add_option("--label", options.identity.labels, "a label key=value of the workload; may be repeated")
      ->type_name("LABEL")
      ->take_all();
  app.add_flag("--allow-root", options.allow_root, "run as uid 0 all the same");
  app.add_flag("!--no-heartbeat", options.heartbeat, "do not show the rules of weir-init that the proxy lives");
  value("--heartbeat-interval", raw.heartbeat_interval, "how often it is shown (default 500ms)", "DURATION");
  app.add_flag("--validate", options.validate, "check the bootstrap file, print every problem, exit 0 or 1");
  value("--log-level", raw.level, "debug, info, warn or error (default info)", "LEVEL");
  value("--proxyLogLevel", raw.proxy_level, "the same, Istio's name", "LEVEL");
  app.add_flag("--version", raw.version, "print the version");
  app.footer(kFooter);
}

/// CLI11 stops at the first mistake; unknown flags are collected by it and named here together.
void report_unknown(const CLI::App& app, std::vector<Problem>& problems) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  bool value_follows = false;
  for (const std::string& word : app.remaining()) {
    const std::string flag = word.substr(0, word.find('='));
    const bool is_flag = word.rfind('-', 0) == 0;
    const bool is_value = !is_flag && value_follows;  // of an unknown flag: one mistake, not two
    value_follows = is_flag && flag == word;
    if (is_value) continue;
    const std::string_view near = is_flag ? nearest(flag, candidates) : std::string_view();
    problems.push_back({.object = is_flag ? "flag " + printable(flag) : "argument " + printable(word),
                        .message = is_flag ? "unknown flag" : "no argument is expected here",
                        .hint = near.empty() ? "weir-proxy --help lists the flags" : fmt::format("did you mean {}?", near)});
  }
}

std::string seconds_text(const std::string& text) { return parse_uint(text) ? text + "s" : text; }

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv,
                            const std::function<std::optional<std::string>(const std::string&)>& environment) {
  Options options;
  Raw raw;
  ParsedOptions parsed;
  if (auto text = environment("TERMINATION_DRAIN_DURATION_SECONDS")) raw.drain_time = seconds_text(*text);
  if (auto text = environment("MINIMUM_DRAIN_DURATION")) raw.drain_time = seconds_text(*text);

  CLI::App app("Routes a workload's captured traffic by mesh rules that come from an agent over xDS.", "weir-proxy");
  app.allow_extras();
  add_flags(app, raw, options);

  std::vector<const char*> words(argv, argv + argc);
  for (const char* skip : {"proxy", "sidecar"})
    if (words.size() > 1 && std::strcmp(words[1], skip) == 0) words.erase(words.begin() + 1);
  try {
    app.parse(static_cast<int>(words.size()), const_cast<char**>(words.data()));  // CLI11 only reads
  } catch (const CLI::CallForHelp&) {
    parsed.text = app.help();
    return parsed;
  } catch (const CLI::ParseError& error) {
    parsed.problems.push_back({.object = "command line", .message = error.what(), .hint = "weir-proxy --help lists the flags"});
    return parsed;
  }
  if (raw.version) {
    parsed.text = "weir-proxy " WEIR_VERSION "\n";
    return parsed;
  }
  report_unknown(app, parsed.problems);
  Checker(raw, options, parsed.problems).run();
  if (!has_errors(parsed.problems)) parsed.options = std::move(options);
  return parsed;
}

}  // namespace weir::proxy
