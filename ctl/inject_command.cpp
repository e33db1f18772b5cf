// SPDX-License-Identifier: Apache-2.0
// weirctl inject: reads, has it done, prints. Nothing is printed to standard output unless all is right.
#include "agent/rule_source.h"
#include "ctl/command.h"
#include "ctl/inject.h"

namespace weir::ctl {

namespace {

InjectOptions read_options(const Arguments& arguments) {
  InjectOptions options;
  options.image = arguments.get("image", options.image);
  options.init_image = arguments.get("init-image", options.init_image);
  options.agent = arguments.get("agent", options.agent);
  options.state_dir = arguments.get("state-dir", options.state_dir);
  if (options.state_dir == "off") options.state_dir.clear();
  options.start_gate = arguments.get("start-gate", options.start_gate);
  options.backend = arguments.get("backend");
  options.revision = arguments.get("revision");
  options.cni = arguments.has("cni");
  options.native = arguments.has("native-sidecars");
  options.podman = arguments.get("platform") == "podman";
  return options;
}

}  // namespace

Printed run_inject(const Arguments& arguments, const World& world) {
  const std::vector<std::string> files = arguments.all("file");
  if (files.size() != 1)
    return refused({wrong("flag --file", files.empty() ? "is missing" : "is given more than once",
                          "name one file, or - for standard input")});
  const InjectOptions options = read_options(arguments);
  if (const auto problems = check(options); has_errors(problems)) return refused(problems);
  const bool is_stdin = files.front() == "-";
  const std::string name = is_stdin ? "<stdin>" : files.front();
  auto text = is_stdin ? world.read_stdin() : agent::read_rule_file(files.front());
  if (!text) return failed(Error(ErrorCode::environment, text.error().to_text()));
  Injected injected = arguments.has("uninject") ? uninject(name, *text) : inject(name, *text, options);
  Printed printed = refused(injected.problems);
  if (has_errors(injected.problems)) return printed;
  printed.exit_code = 0;
  printed.out = std::move(injected.text);
  return printed;
}

}  // namespace weir::ctl
