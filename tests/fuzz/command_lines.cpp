// SPDX-License-Identifier: Apache-2.0
// Arguments and environment of weir-init, weir-proxy and weir-agent: either understood or refused with a reason, each message one
// line that a terminal may show. Input: a line each: the program's first letter (i, p, a), arguments; after an empty line
// NAME=VALUE.
#include <google/protobuf/message.h>

#include "agent/options.h"
#include "base/text.h"
#include "init/command_line.h"
#include "proxy/identity.h"
#include "proxy/options.h"
#include "tests/fuzz/fuzzing.h"
#include "xds/node.h"
#include "xds/proto/core.pb.h"

using namespace weir;
using namespace weir::fuzzing;

namespace {

using Environment = std::map<std::string, std::string>;

void check_problems(const std::vector<Problem>& problems) {
  for (const Problem& problem : problems) {
    require_one_line(to_text(problem));
    if (problem.message.empty()) require_same("a message", to_text(problem), "with a reason");
  }
}

void check_init(const std::vector<std::string>& arguments, const Environment& environment) {
  capture::Accounts accounts;
  init::CommandLine line = init::parse_command_line(arguments, environment, accounts);
  check_problems(line.problems);
  init::CommandLine again = init::parse_command_line(arguments, environment, accounts);
  require_same("read twice", to_text(line.problems), to_text(again.problems));
}

std::function<std::optional<std::string>(const std::string&)> lookup(const Environment& environment) {
  return [&environment](const std::string& name) -> std::optional<std::string> {
    auto found = environment.find(name);
    if (found == environment.end()) return std::nullopt;
    return found->second;
  };
}

/// Whom the proxy makes of them must be somebody to the agent.
void check_identity(const proxy::IdentityFlags& flags, const Environment& environment) {
  proxy::Host host;
  host.environment = lookup(environment);
  host.hostname = "pod-1";
  host.addresses = {IpAddr::v4(0x0A000001)};
  for (const auto& [name, value] : environment)
    if (name.starts_with("ISTIO_META")) host.istio_meta.emplace_back(name, value);
  if (auto labels = environment.find("LABELS"); labels != environment.end()) host.pod_labels = labels->second;
  std::vector<Problem> problems;
  proxy::Identity identity = proxy::make_identity(flags, host, problems);
  check_problems(problems);
  if (has_errors(problems)) return;
  if (auto node = xds::parse_node(*identity.node); !node) require_same("the node", node.error().to_text(), "understood");
}

void check_proxy(const std::vector<const char*>& argv, const Environment& environment) {
  proxy::ParsedOptions parsed = proxy::parse_options(static_cast<int>(argv.size()), argv.data(), lookup(environment));
  check_problems(parsed.problems);
  if (!parsed.options && parsed.text.empty() && !has_errors(parsed.problems))
    require_same("the proxy", "refused", "with a reason");
  if (parsed.options && has_errors(parsed.problems)) require_same("the proxy", "accepted", to_text(parsed.problems));
  if (parsed.options) check_identity(parsed.options->identity, environment);
}

void check_agent(const std::vector<const char*>& argv) {
  agent::ParsedOptions parsed = agent::parse_options(static_cast<int>(argv.size()), argv.data());
  check_problems(parsed.problems);
  if (!parsed.options && parsed.text.empty() && !has_errors(parsed.problems))
    require_same("the agent", "refused", "with a reason");
  if (parsed.options && has_errors(parsed.problems)) require_same("the agent", "accepted", to_text(parsed.problems));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = text_of(data, size);
  if (text.empty() || text.find('\0') != std::string_view::npos) return 0;  // neither can hold a NUL
  std::vector<std::string> arguments;
  Environment environment;
  bool is_environment = false;
  for (std::string_view line : split(text.substr(1), '\n')) {
    std::size_t equals = line.find('=');
    if (line.empty()) {
      is_environment = true;
    } else if (!is_environment) {
      arguments.emplace_back(line);
    } else if (equals != std::string_view::npos) {
      environment.emplace(line.substr(0, equals), line.substr(equals + 1));
    }
  }
  std::vector<const char*> argv{"weir"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  switch (text[0]) {
    case 'i': check_init(arguments, environment); break;
    case 'p': check_proxy(argv, environment); break;
    case 'a': check_agent(argv); break;
    default: break;
  }
  return 0;
}
