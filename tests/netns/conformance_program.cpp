// SPDX-License-Identifier: Apache-2.0
#include "tests/netns/conformance_program.h"

#include <doctest/doctest.h>

#include "capture/asked.h"
#include "init/wanted.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {

namespace {

namespace matrix = capture::matrix;

init::World world_with(const std::map<std::string, std::string>& environment) {
  init::World world = init::world_here();
  world.environment = environment;
  world.accounts = matrix::accounts();
  return world;
}

}  // namespace

Config config_of(const std::string& text) {
  std::map<std::string, std::string> flags;
  Config config;
  matrix::parse_config(text, &flags, &config.environment);
  for (const auto& [name, value] : flags) config.arguments.push_back(fmt::format("--{}={}", name, value));
  return config;
}

init::Printed weir_init(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment) {
  return init::run(arguments, world_with(environment));
}

void apply_with_flags(const Config& config) {
  std::vector<std::string> arguments = {"apply", fmt::format("--backend={}", Lab::backend()->name())};
  arguments.insert(arguments.end(), config.arguments.begin(), config.arguments.end());
  const init::Printed done = weir_init(arguments, config.environment);
  REQUIRE_MESSAGE(done.exit_code == 0, done.err);
}

capture::CapturePlan kept_plan_of(const std::string& config) {
  std::map<std::string, std::string> flags, environment;
  matrix::parse_config(config, &flags, &environment);
  capture::CapturePlan plan = plan_of(config);
  capture::keep_asked(plan, capture::to_text(capture::asked_options(flags, environment, matrix::accounts())));
  return plan;
}

std::vector<std::string> question_of(const matrix::Row& row) {
  const capture::Packet packet = matrix::packet(row);
  const SocketAddr to{matrix::address(row.destination, row.family), row.port};
  std::vector<std::string> question = {"explain", fmt::format("--backend={}", Lab::backend()->name()), "--to",
                                       fmt::format("{}/{}", to.to_text(), packet.is_tcp ? "tcp" : "udp")};
  if (packet.from_outside)
    question.insert(question.end(), {"--from", packet.source.to_text(), "--interface", packet.interface});
  else
    question.insert(question.end(),
                    {"--as", fmt::format("uid={},gid={}", row.uid, row.gid), "--source", packet.source.to_text()});
  if (packet.mark != 0) question.push_back(fmt::format("--mark={}", packet.mark));
  if (packet.is_invalid) question.emplace_back("--stray");
  return question;
}

Standing::Standing() : backend_(Lab::backend()) {
  const init::World world = world_with({});
  auto wanted = init::wanted(world.machine, backend_->name(), {}, {}, world.accounts);
  REQUIRE_MESSAGE(wanted, wanted.error().to_text());
  wanted_ = std::move(*wanted);
  if (wanted_.nothing_stands) wanted_.plan.steps.clear();  // as the program does
  auto own = world.sandbox_addresses();
  REQUIRE(own);
  own_ = std::move(*own);
  if (wanted_.nothing_stands) return;
  auto drift = backend_->check(wanted_.plan);
  REQUIRE_MESSAGE(drift, drift.error().to_text());
  drift_ = std::move(drift->differences);
}

init::Explanation Standing::explain(const matrix::Row& row) const {
  const init::CommandLine line = init::parse_command_line(question_of(row), {}, matrix::accounts());
  REQUIRE_MESSAGE(!has_errors(line.problems), to_text(line.problems));
  return init::explain(wanted_, init::packet_of(line.question, own_), *backend_, matrix::accounts());
}

}  // namespace weir::conformance
