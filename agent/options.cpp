// SPDX-License-Identifier: Apache-2.0
#include "agent/options.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "base/well_known.h"

namespace weir::agent {

namespace {

constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 usage or rules (with --validate), 2 environment.\n"
    "Signals: SIGTERM and SIGINT drain and leave, SIGHUP reads the rules again.";

std::optional<Listen> parse_listen(const std::string& flag, const std::string& text, std::vector<Problem>& problems) {
  if (text.rfind("unix:", 0) == 0 && text.size() > 5) return UnixListen{text.substr(5)};
  if (auto address = SocketAddr::parse(text)) return *address;
  problems.push_back({.object = "flag " + flag,
                      .message = fmt::format("\"{}\" is neither a unix socket nor an address with a port", printable(text)),
                      .hint = "write it like unix:/run/weir/agent.sock, 127.0.0.1:15010 or [::1]:15010"});
  return std::nullopt;
}

std::optional<mode_t> parse_mode(const std::string& text) {
  mode_t mode = 0;
  if (text.empty() || text.size() > 4) return std::nullopt;
  for (char c : text) {
    if (c < '0' || c > '7') return std::nullopt;
    mode = mode * 8 + static_cast<mode_t>(c - '0');
  }
  return mode <= 0777 ? std::optional(mode) : std::nullopt;
}

/// Where /debug/syncz and its like are answered. Without the flag: beside ADS on loopback, whose readers see no less; an agent
/// that serves unix sockets only, whose files say who may ask, keeps silent.
void read_debug_listens(const std::vector<std::string>& texts, Options& options, std::vector<Problem>& problems) {
  if (texts.empty()) {
    options.debug_by_default = std::any_of(options.listens.begin(), options.listens.end(),
                                           [](const Listen& listen) { return std::holds_alternative<SocketAddr>(listen); });
    if (options.debug_by_default) options.debug_listens = {SocketAddr{IpAddr::loopback(Family::v4), well_known::kAgentDebugPort}};
    return;
  }
  for (const std::string& text : texts) {
    if (text == "none" && texts.size() == 1) return;
    auto listen = parse_listen("--debug-listen", text, problems);
    if (!listen) continue;
    const auto* address = std::get_if<SocketAddr>(&*listen);
    if (address != nullptr && !address->ip.is_loopback())
      problems.push_back({.object = "flag --debug-listen",
                          .message = fmt::format("{} is not a loopback address", address->to_text()),
                          .hint = "use 127.0.0.1:15014, [::1]:15014 or a unix socket"});
    options.debug_listens.push_back(std::move(*listen));
  }
}

/// CLI11 stops at the first mistake; unknown flags are collected by it and named here together.
void report_unknown(const CLI::App& app, std::vector<Problem>& problems) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  std::vector<std::string_view> candidates(names.begin(), names.end());
  bool after_flag = false;  // the value of an unknown flag is not a mistake of its own
  for (const std::string& word : app.remaining()) {
    std::string flag = word.substr(0, word.find('='));
    bool is_flag = word.rfind('-', 0) == 0;
    bool is_value = after_flag && !is_flag;
    after_flag = is_flag && word.find('=') == std::string::npos;
    if (is_value) continue;
    std::string_view near = is_flag ? nearest(flag, candidates) : std::string_view();
    problems.push_back({.object = is_flag ? "flag " + printable(flag) : "argument " + printable(word),
                        .message = is_flag ? "unknown flag" : "no argument is expected here",
                        .hint = near.empty() ? "weir-agent --help lists the flags" : fmt::format("did you mean {}?", near)});
  }
}

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  Options options;
  ParsedOptions parsed;
  std::vector<std::string> listens, debug_listens;
  std::string mode = "0660";
  std::string level = "info";
  bool version = false;

  CLI::App app("Reads mesh rules (Istio and Kubernetes YAML) and serves them to proxies as xDS v3 over ADS.", "weir-agent");
  app.allow_extras();
  app.add_option("--rules", options.rules, "directory of YAML files, watched")->type_name("DIR");
  app.add_option("--listen", listens,
                 "where to serve: unix:PATH, IP:PORT or [IP]:PORT; may be repeated (default 127.0.0.1:15010 and [::1]:15010)")
      ->type_name("ADDRESS")
      ->take_all();
  app.add_option(
         "--debug-listen", debug_listens,
         "where to answer weirctl (/ready, /debug/syncz, /debug/config_dump): unix:PATH, a loopback IP:PORT, or none; may be "
         "repeated (default 127.0.0.1:15014 if --listen has a TCP address)")
      ->type_name("ADDRESS")
      ->take_all();
  app.add_option("--mesh-config", options.mesh_config, "Istio MeshConfig YAML, watched")->type_name("FILE");
  app.add_option("--state-dir", options.state_dir,
                 "directory (0700) for the last good rules, so that a broken rule survives a restart")
      ->type_name("DIR");
  app.add_option("--domain", options.domain, "DNS suffix of the mesh")->capture_default_str()->type_name("NAME");
  app.add_option("--socket-mode", mode, "permissions of unix sockets, octal")->capture_default_str()->type_name("MODE");
  app.add_flag("--allow-plaintext", options.allow_plaintext, "serve plain text on addresses other than loopback too");
  app.add_flag("--validate", options.validate, "read the rules once, print every problem, exit 0 or 1");
  app.add_option("--log-level", level, "debug, info, warn or error")->capture_default_str()->type_name("LEVEL");
  app.add_flag("--version", version, "print the version");
  app.footer(kFooter);

  try {
    app.parse(argc, const_cast<char**>(argv));  // CLI11 only reads
  } catch (const CLI::CallForHelp&) {
    parsed.text = app.help();
    return parsed;
  } catch (const CLI::ParseError& error) {
    parsed.problems.push_back({.object = "command line", .message = error.what(), .hint = "weir-agent --help lists the flags"});
    return parsed;
  }
  if (version) {
    parsed.text = "weir-agent " WEIR_VERSION "\n";
    return parsed;
  }

  report_unknown(app, parsed.problems);
  if (options.rules.empty())
    parsed.problems.push_back(
        {.object = "flag --rules", .message = "is missing", .hint = "name the directory of the rules: --rules DIR"});
  while (options.rules.size() > 1 && options.rules.back() == '/') options.rules.pop_back();
  if (auto value = parse_mode(mode)) {
    options.socket_mode = *value;
  } else {
    parsed.problems.push_back({.object = "flag --socket-mode",
                               .message = fmt::format("\"{}\" is not a file mode", printable(mode)),
                               .hint = "write it in octal, like 0660"});
  }
  if (auto value = log::parse_level(level)) {
    options.log_level = *value;
  } else {
    parsed.problems.push_back({.object = "flag --log-level", .message = value.error().to_text()});
  }
  if (listens.empty() && !options.validate) {
    options.listens = {SocketAddr{IpAddr::loopback(Family::v4), well_known::kAgentPort},
                       SocketAddr{IpAddr::loopback(Family::v6), well_known::kAgentPort}};
  }
  for (const std::string& text : listens) {
    auto listen = parse_listen("--listen", text, parsed.problems);
    if (!listen) continue;
    const auto* address = std::get_if<SocketAddr>(&*listen);
    if (address != nullptr && !address->ip.is_loopback() && !options.allow_plaintext)
      parsed.problems.push_back(
          {.object = "flag --listen",
           .message = fmt::format("{} is not a loopback address, and the protocol is plain text", address->to_text()),
           .hint = "use a unix socket, or add --allow-plaintext if the network between is trusted"});
    options.listens.push_back(std::move(*listen));
  }
  if (!options.validate) read_debug_listens(debug_listens, options, parsed.problems);
  if (!has_errors(parsed.problems)) parsed.options = std::move(options);
  return parsed;
}

}  // namespace weir::agent
