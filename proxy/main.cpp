// SPDX-License-Identifier: Apache-2.0
// weir-proxy: reads the command line and the bootstrap, says who it is, and runs the server.
#include <csignal>
#include <cstdio>
#include <thread>

#include "base/log.h"
#include "proxy/cgroup.h"
#include "proxy/config_store.h"
#include "proxy/options.h"
#include "proxy/process.h"
#include "proxy/server.h"
#include "xds/proto/bootstrap.pb.h"

namespace weir::proxy {

namespace {

void print(const std::vector<Problem>& problems) {
  for (const Problem& problem : problems) fmt::print(stderr, "weir-proxy: {}\n", to_text(problem));
}

/// Reads the bootstrap file and takes from it what no flag says.
std::optional<Bootstrap> read_bootstrap(Options& options, std::vector<Problem>& problems) {
  if (options.bootstrap.empty()) return std::nullopt;
  auto text = read_small_file(options.bootstrap);
  if (!text) {
    problems.push_back({Severity::error,
                        {options.bootstrap, 0},
                        "",
                        "",
                        "cannot be read: " + errno_text(errno),
                        "give -c a bootstrap file that this uid may read"});
    return std::nullopt;
  }
  ReadBootstrap read = parse_bootstrap(options.bootstrap, *text);
  problems.insert(problems.end(), read.problems.begin(), read.problems.end());
  const auto& message = *read.bootstrap.message;
  if (options.identity.node_id.empty()) options.identity.node_id = message.node().id();
  if (options.identity.cluster.empty()) options.identity.cluster = message.node().cluster();
  if (read.bootstrap.admin) options.admin_port = read.bootstrap.admin->port;
  if (!has_errors(read.problems) && !options.agent && !read.bootstrap.agent && message.static_resources().listeners_size() == 0)
    problems.push_back({Severity::error,
                        {options.bootstrap, 0},
                        "",
                        "",
                        "has neither listeners nor an agent to get them from",
                        "add static_resources.listeners or dynamic_resources.ads_config, or give --agent"});
  return std::move(read.bootstrap);
}

/// What the static resources would be refused for, without serving them.
void check_static(const Bootstrap& bootstrap, std::vector<Problem>& problems) {
  ConfigStore store({});
  std::vector<Problem> found = store.set_static(bootstrap.message->static_resources());
  for (Problem& warning : store.take_new_warnings()) problems.push_back(std::move(warning));
  locate(bootstrap, found);
  problems.insert(problems.end(), found.begin(), found.end());
}

int run(int argc, char** argv) {
  const Host host = this_host();
  ParsedOptions parsed = parse_options(argc, argv, host.environment);
  if (!parsed.text.empty()) {
    fmt::print("{}", parsed.text);
    return 0;
  }
  print(parsed.problems);
  if (!parsed.options) return 1;
  Options options = std::move(*parsed.options);

  std::vector<Problem> problems;
  std::optional<Bootstrap> bootstrap;
  // A thread has a heap of its own: what reading leaves free does not become the gaps in which the compiled form lies scattered.
  std::thread([&] { bootstrap = read_bootstrap(options, problems); }).join();
  Identity identity = make_identity(options.identity, host, problems);
  if (options.validate && bootstrap && !has_errors(problems)) check_static(*bootstrap, problems);
  print(problems);
  if (has_errors(problems)) return 1;
  if (options.validate) return 0;

  log::init("weir-proxy", options.log_level);
  std::signal(SIGPIPE, SIG_IGN);
  const bool transparent = host.environment("ISTIO_META_INTERCEPTION_MODE") == "TPROXY";
  auto privileges = choose_privileges(kernel::standing(), transparent, options.allow_root);
  if (!privileges) {
    fmt::print(stderr, "weir-proxy: {}\n", privileges.error().to_text());
    return exit_code(privileges.error());
  }
  if (!privileges->warning.empty()) log::warn("{}", privileges->warning);
  if (auto taken = take(*privileges); !taken) {
    log::error("{}", taken.error().to_text());
    return exit_code(taken.error());
  }
  Server server(std::move(options), std::move(bootstrap), std::move(identity), transparent);
  if (auto started = server.start(); !started) {
    log::error("{}", started.error().to_text());
    return exit_code(started.error());
  }
  return server.run();
}

}  // namespace

}  // namespace weir::proxy

int main(int argc, char** argv) { return weir::proxy::run(argc, argv); }
