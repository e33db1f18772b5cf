// SPDX-License-Identifier: Apache-2.0
#include "init/probe_packets.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "capture/options.h"

namespace weir::init {
namespace {

using capture::Chain;
using capture::Verdict;

const IpAddr kOwn4 = *IpAddr::parse("10.1.0.2"), kOwn6 = *IpAddr::parse("fd01::2");

capture::CapturePlan plan_of(const std::map<std::string, std::string>& flags) {
  auto outcome = capture::parse_options(flags, {}, {});
  REQUIRE(!has_errors(outcome.problems));
  return capture::plan(outcome.parsed.policy);
}

/// A sandbox with one interface, to which packets can come from outside.
Surroundings around() {
  Surroundings found;
  found.own = {kOwn4, kOwn6};
  found.way_to = [](const IpAddr& destination) -> std::optional<Way> {
    const bool stays = destination == kOwn4 || destination == kOwn6 || destination.is_loopback();
    return Way{.interface = stays ? "lo" : "eth0", .source = destination.is_v4() ? kOwn4 : kOwn6};
  };
  for (const IpAddr& own : found.own) {
    capture::Packet packet{.from_outside = true, .interface = "eth0"};
    packet.source = *IpAddr::parse(own.is_v4() ? "198.51.100.251" : "2001:db8::3");
    packet.destination = own;
    packet.to_this_sandbox = true;
    found.outside.push_back(packet);
  }
  return found;
}

TEST_CASE("each step has a packet that it decides, or is told to have none") {
  const capture::CapturePlan plan = plan_of({{"istio-inbound-ports", "*"}, {"istio-service-cidr", "*"}});
  const Chosen chosen = choose_packets(plan, around());
  CHECK(chosen.rows.size() > 20);
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const std::string step = capture::to_text(plan.steps[i].match) + " " + plan.steps[i].why;
    CAPTURE(step);
    const bool is_met = std::any_of(chosen.rows.begin(), chosen.rows.end(), [&](const Row& row) { return row.step == i; });
    const bool is_unmet = std::find(chosen.unmet.begin(), chosen.unmet.end(), i) != chosen.unmet.end();
    CHECK(is_met != is_unmet);
  }
}

TEST_CASE("a step whose loss changes an answer has a packet that shows it") {
  const capture::CapturePlan plan = plan_of({{"istio-inbound-ports", "*"}, {"istio-service-cidr", "*"}});
  for (const Row& row : choose_packets(plan, around()).rows) {
    const capture::Step& step = plan.steps[row.step];
    const std::string text = capture::to_text(step.match) + " " + step.why;
    CAPTURE(text);
    capture::CapturePlan without = plan;
    without.steps.erase(without.steps.begin() + static_cast<std::ptrdiff_t>(row.step));
    const capture::Judgement now = capture::judge(plan, row.packet), then = capture::judge(without, row.packet);
    if (step.verdict == Verdict::redirect || step.verdict == Verdict::reset) CHECK(now.outcome != then.outcome);
    // The guard of what the sandbox sends is shown by one that NAT would take: the proxy's to its own sandbox.
    if (step.chain == Chain::guard_outbound) CHECK(then.outcome == capture::Outcome::inbound);
  }
}

TEST_CASE("while the start gate holds no packet is the proxy's, since it would open it") {
  const capture::CapturePlan plan =
      plan_of({{"istio-inbound-ports", "*"}, {"istio-service-cidr", "*"}, {"start-gate", "hold:30s"}});
  Surroundings surroundings = around();
  surroundings.gate_is_closed = true;
  const Chosen chosen = choose_packets(plan, surroundings);
  CHECK(!chosen.rows.empty());
  for (const Row& row : chosen.rows) CHECK((row.packet.from_outside || row.packet.uid != well_known::kProxyUid));
}

}  // namespace
}  // namespace weir::init
