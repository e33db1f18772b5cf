// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "capture/plan.h"

namespace weir::capture {
namespace {

CapturePolicy everything() {
  CapturePolicy policy;
  policy.inbound_ports.kind = policy.outbound_cidrs.kind = Selection::all;
  return policy;
}

Packet outbound() {
  return {.interface = "eth0",
          .source = *IpAddr::parse("10.1.0.2"),
          .destination = *IpAddr::parse("10.1.0.1"),
          .port = 80,
          .uid = 1000,
          .gid = 1000};
}

Packet inbound() {
  Packet packet = outbound();
  packet.from_outside = packet.to_this_sandbox = true;
  return packet;
}

Packet heartbeat(std::uint32_t uid) {
  return {.interface = "lo",
          .is_tcp = false,
          .source = IpAddr::loopback(Family::v4),
          .destination = IpAddr::loopback(Family::v4),
          .port = well_known::kHeartbeatPort,
          .uid = uid,
          .gid = uid,
          .to_this_sandbox = true};
}

TEST_CASE("closed: what is captured is reset without a proxy") {
  for (Packet packet : {outbound(), inbound()}) {
    packet.proxy_is_down = true;
    const Judgement judgement = judge(plan(everything()), packet);
    CHECK(judgement.outcome == Outcome::reset);
    CHECK(judgement.why.starts_with("--when-proxy-down=closed: nobody listens on port 150"));
  }
}

TEST_CASE("open: what is captured goes direct without a proxy, and says for how long it has been away") {
  CapturePolicy policy = everything();
  policy.open_after = std::chrono::seconds(2);
  for (Packet packet : {outbound(), inbound()}) {
    const Outcome captured = packet.from_outside ? Outcome::inbound : Outcome::outbound;
    CHECK(judge(plan(policy), packet).outcome == captured);
    packet.proxy_is_down = true;
    const Judgement judgement = judge(plan(policy), packet);
    CHECK(judgement.outcome == Outcome::direct);
    CHECK(judgement.why == "--when-proxy-down=open: no heartbeat of the proxy for 2s");
  }
}

TEST_CASE("the start gate holds before the fail mode decides") {
  CapturePolicy policy = everything();
  policy.start_gate = std::chrono::seconds(30);
  for (bool is_open : {false, true}) {
    if (is_open) policy.open_after = std::chrono::seconds(2);
    Packet packet = outbound();
    packet.proxy_is_down = packet.gate_is_closed = true;
    CHECK(judge(plan(policy), packet).outcome == Outcome::held);
    packet.gate_is_closed = false;
    CHECK(judge(plan(policy), packet).outcome == (is_open ? Outcome::direct : Outcome::reset));
  }
}

/// Whether the packet has a step of that verdict.
bool meets(const CapturePolicy& policy, Verdict verdict, Packet packet) {
  CapturePlan made = plan(policy);
  std::erase_if(made.steps, [&](const Step& step) { return step.verdict != verdict; });
  for (Step& step : made.steps) step.verdict = Verdict::reset;
  return judge(made, packet).outcome == Outcome::reset;
}

TEST_CASE("a gate opens by any packet of the proxy, where the sandbox is open without it only by a heartbeat") {
  CapturePolicy policy = everything();
  policy.start_gate = std::chrono::seconds(30);
  Packet other = heartbeat(1337);
  other.port = 53;
  CHECK(meets(policy, Verdict::open_gate, other));
  CHECK(meets(policy, Verdict::open_gate, heartbeat(1337)));
  CHECK(!meets(policy, Verdict::open_gate, heartbeat(1000)));
  policy.open_after = std::chrono::seconds(2);
  for (Verdict verdict : {Verdict::open_gate, Verdict::proxy_lives}) {
    CHECK(!meets(policy, verdict, other));
    CHECK(meets(policy, verdict, heartbeat(1337)));
    CHECK(!meets(policy, verdict, heartbeat(1000)));
  }
}

}  // namespace
}  // namespace weir::capture
