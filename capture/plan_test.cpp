// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <set>

#include "capture/matrix.h"
#include "capture/plan.h"
#include "capture/redirector.h"

namespace weir::capture {
namespace {

CapturePolicy everything() {
  CapturePolicy policy;
  policy.inbound_ports.kind = Selection::all;
  policy.outbound_cidrs.kind = Selection::all;
  return policy;
}

Packet app_to_remote() {
  Packet packet;
  packet.interface = "eth0";
  packet.source = *IpAddr::parse("10.1.0.2");
  packet.destination = *IpAddr::parse("10.1.0.1");
  packet.port = 80;
  packet.uid = packet.gid = 1000;
  return packet;
}

TEST_CASE("judge says what the decision table says, row by row") {
  auto rows = matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_matrix.tsv");
  const auto measured = matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_measured.tsv");
  REQUIRE(measured.size() == 272);
  rows.insert(rows.end(), measured.begin(), measured.end());
  REQUIRE(rows.size() > 500);
  std::set<Outcome> seen;
  for (const auto& row : rows) {
    CAPTURE(row.name());
    CAPTURE(row.config);
    const auto parsed = matrix::parse_config(row.config);
    REQUIRE(!has_errors(parsed.problems));
    const CapturePlan made = plan(parsed.parsed.policy);
    const Judgement judgement = judge(made, matrix::packet(row));
    CAPTURE(judgement.why);
    CHECK(name(judgement.outcome) == name(matrix::outcome(row)));
    CHECK(judgement.port == (judgement.outcome == Outcome::inbound    ? parsed.parsed.policy.inbound_port
                             : judgement.outcome == Outcome::outbound ? parsed.parsed.policy.outbound_port
                             : judgement.outcome == Outcome::dns      ? parsed.parsed.policy.dns_port
                                                                      : 0));
    seen.insert(judgement.outcome);
  }
  CHECK(seen.size() == 7);
}

TEST_CASE("every step says why in words that fit into a rule's comment") {
  CapturePolicy policy = everything();
  policy.start_gate = std::chrono::seconds(30);
  policy.exclude_interfaces = {"eth1"};
  policy.kube_virt_interfaces = {"vnet0"};
  policy.mode = Mode::tproxy;
  policy.dns = Selection::all;
  policy.drop_invalid = true;
  for (Port port = 1; port < 2000; port += 2) policy.outbound_exclude_ports.add(port);
  for (const Step& step : plan(policy).steps) {
    CAPTURE(step.why);
    CHECK(!step.why.empty());
    CHECK(step.why.size() <= 120);
    CHECK(step.why.find('"') == std::string::npos);
  }
}

TEST_CASE("while the gate holds, captured connections wait and all others go on") {
  CapturePolicy policy = everything();
  policy.start_gate = std::chrono::seconds(30);
  const CapturePlan made = plan(policy);
  Packet packet = app_to_remote();
  packet.gate_is_closed = true;
  CHECK(judge(made, packet).outcome == Outcome::held);
  packet.is_tcp = false;
  CHECK(judge(made, packet).outcome == Outcome::direct);
  packet.is_tcp = true;
  packet.uid = 1337;
  CHECK(judge(made, packet).outcome == Outcome::direct);
  packet = app_to_remote();
  CHECK(judge(made, packet).outcome == Outcome::outbound);
  packet.from_outside = packet.to_this_sandbox = packet.gate_is_closed = true;
  CHECK(judge(made, packet).outcome == Outcome::held);
}

TEST_CASE("later packets of older connections are left alone") {
  Packet packet = app_to_remote();
  packet.is_first = false;
  CHECK(judge(plan(everything()), packet).outcome == Outcome::direct);
}

TEST_CASE("what was decided is told with the flag that wants it") {
  const CapturePlan made = plan(everything());
  const Judgement judgement = judge(made, app_to_remote());
  CHECK(judgement.why == "--istio-service-cidr *");
  REQUIRE(judgement.step != nullptr);
  CHECK(judgement.step->chain == Chain::outbound);
}

TEST_CASE("TPROXY changes inbound capture only, and nothing where no inbound port is captured") {
  CapturePolicy policy = everything();
  const CapturePlan redirected = plan(policy);
  policy.mode = Mode::tproxy;
  const CapturePlan transparent = plan(policy);
  CHECK(transparent.reply_route == ReplyRoute{.mark = 1337, .table = 133});
  CHECK(!redirected.reply_route);
  CHECK(judge(transparent, app_to_remote()).why == judge(redirected, app_to_remote()).why);
  policy.inbound_ports.kind = Selection::none;
  const CapturePlan nothing_inbound = plan(policy);
  policy.mode = Mode::redirect;
  CHECK(nothing_inbound == plan(policy));
}

TEST_CASE("mode none plans nothing") {
  CapturePolicy policy = everything();
  policy.mode = Mode::none;
  CHECK(plan(policy).steps.empty());
  CHECK(judge(plan(policy), app_to_remote()).outcome == Outcome::direct);
}

TEST_CASE("the null backend records what it is asked and fails where it is told to") {
  NullRedirector backend;
  const CapturePlan made = plan(everything());
  CHECK(backend.apply(made)->changed);
  CHECK(!backend.apply(made)->changed);
  CHECK(backend.check(made)->empty());
  CHECK(*backend.remove());
  CHECK(!*backend.remove());
  CHECK(!backend.check(made)->empty());
  backend.fail_at = "probe";
  CHECK(!backend.probe());
  CHECK(backend.calls == std::vector<std::string>{"apply", "apply", "check", "remove", "remove", "check", "probe"});
}

}  // namespace
}  // namespace weir::capture
