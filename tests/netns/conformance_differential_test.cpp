// SPDX-License-Identifier: Apache-2.0
// Random policies and packets: judge must say what the kernel does, on the backend of this run. WEIR_POLICIES says how many
// (200; scripts/soak capture: 10,000), WEIR_SEED where to begin; a mismatch prints the seed that makes the same policy and
// packets again.
#include <doctest/doctest.h>

#include <cstdlib>
#include <set>

#include "iptables-rules/excluded_addresses.h"
#include "kernel/cgroup.h"
#include "kernel/netlink.h"
#include "tests/netns/conformance_cgroup.h"
#include "tests/netns/conformance_dice.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {
namespace {

namespace matrix = capture::matrix;
using capture::CapturePlan;
using capture::CapturePolicy;
using capture::Outcome;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : parse_uint(text).value_or(otherwise);
}

bool is_silence(Outcome outcome) { return outcome == Outcome::held || outcome == Outcome::dropped; }
/// Whoever sends a datagram that is dropped on its way out is told (EPERM).
bool is_silence(const matrix::Row& row) {
  return row.expected == "TIMEOUT" || (row.protocol == "udp" && row.from == "pod" && row.expected == "REFUSED");
}

/// The cgroup of those that have its gid; none where there are no cgroups.
struct AppCgroup {
  AppCgroup() {
    if (CgroupWith::root().empty()) return;
    cgroup.emplace(CgroupWith::own("/app"), std::vector<pid_t>{});
    if (auto id = kernel::cgroup_id(CgroupWith::own("/app"))) value = capture::Cgroup{CgroupWith::own("/app"), *id};
  }
  Actor& pod(std::uint32_t uid, std::uint32_t gid) {
    Actor& actor = Lab::instance().pod(uid, gid);
    if (cgroup && gid == kCgroupGid && inside.insert(uid).second) cgroup->add(actor.pid());
    return actor;
  }
  std::optional<CgroupWith> cgroup;
  std::optional<capture::Cgroup> value;
  std::set<std::uint32_t> inside;
};

/// Whether the proxy has been heard: with nft in any family, with iptables in the packet's own.
class Heard {
 public:
  void note(Family family) { (family == Family::v4 ? v4_ : v6_) = true; }
  bool in(Family family) const { return kind() == Kind::nft ? v4_ || v6_ : family == Family::v4 ? v4_ : v6_; }

 private:
  bool v4_ = false, v6_ = false;
};

/// A policy in force, and what has happened since.
class World {
 public:
  World(const CapturePolicy& policy, AppCgroup& cgroup, Dice& dice)
      : policy_(policy), plan_(capture::plan(policy)), cgroup_(cgroup) {
    if (policy.start_gate) {
      enrol_with_gate(plan_);  // with a proxy that has not sent a packet
    } else {
      // What captures already would not become open without a proxy.
      if (policy.open_after) REQUIRE(Lab::backend()->remove());
      apply(plan_);
    }
    if (!policy.exclude_domains.empty()) {
      nft::Excluded excluded{.backend = std::string(Lab::backend()->name()), .addresses = {}};
      for (Family family : kBothFamilies) excluded.addresses.push_back(matrix::address(kExcludedDomainAt, family));
      REQUIRE(nft::set_excluded(*kernel::open_netlink(), excluded));
    }
    if (policy.open_after && dice.once_in(2)) beat(dice.once_in(2) ? Family::v4 : Family::v6);
  }
  const CapturePlan& plan() const { return plan_; }
  bool is_gated() const { return policy_.start_gate && !(is_open_.in(Family::v4) && is_open_.in(Family::v6)); }

  /// The proxy's heartbeat, by whatever the policy knows it.
  void beat(Family family) {
    const bool by_mark = policy_.proxy_uids.front() == capture::kNobodysId && policy_.proxy_mark.has_value();
    const bool by_cgroup = policy_.proxy_uids.front() == capture::kNobodysId && !by_mark;
    Actor& sender = by_mark     ? cgroup_.pod(0, 0)
                    : by_cgroup ? cgroup_.pod(1000, kCgroupGid)
                                : cgroup_.pod(policy_.proxy_uids.front(), 1337);
    sender.ask(fmt::format("udp {} 9 {} 0", IpAddr::loopback(family).to_text(),
                           by_mark ? fmt::format("mark={}", policy_.proxy_mark->value) : "-"));
    is_alive_.note(family);
    is_open_.note(family);
  }

  capture::Judgement judge(const matrix::Row& row) {
    capture::Packet packet = packet_of(row);
    const auto judged = capture::judge(plan_, packet);
    // The next packet finds the gate open.
    if (!packet.from_outside && !policy_.open_after && is_of_proxy(packet)) is_open_.note(row.family);
    return judged;
  }
  std::string ask(const matrix::Row& row, int limit_ms) {
    Lab& lab = Lab::instance();
    Actor& actor = row.from == "remote" ? lab.remote() : row.from == "vm" ? lab.vm() : cgroup_.pod(row.uid, row.gid);
    return actor.ask(fmt::format("{} {} {} {} {}", row.protocol, address(row.destination.c_str(), row.family), row.port,
                                 row.protocol == "udp" ? row.source : source_of(row), limit_ms));
  }

 private:
  capture::Packet packet_of(matrix::Row row) const {
    const std::uint32_t mark = mark_of(row);
    if (row.protocol == "udp") row.source = "-";
    capture::Packet packet = matrix::packet(row);
    if (mark != 0) packet.mark = mark;
    if (row.from == "pod" && row.gid == kCgroupGid && cgroup_.value) packet.cgroup = cgroup_.value->path;
    packet.to_excluded_domain = !policy_.exclude_domains.empty() && row.destination == kExcludedDomainAt;
    packet.proxy_is_down = policy_.open_after && !is_alive_.in(row.family);
    packet.gate_is_closed = policy_.start_gate && !is_open_.in(row.family);
    return packet;
  }
  bool is_of_proxy(const capture::Packet& packet) const {
    const auto& uids = policy_.proxy_uids;
    return std::find(uids.begin(), uids.end(), packet.uid) != uids.end() ||
           (policy_.proxy_mark && policy_.proxy_mark->contains(packet.mark)) ||
           std::any_of(policy_.proxy_cgroups.begin(), policy_.proxy_cgroups.end(),
                       [&](const capture::Cgroup& cgroup) { return cgroup.contains(packet.cgroup); });
  }

  const CapturePolicy& policy_;
  CapturePlan plan_;
  AppCgroup& cgroup_;
  Heard is_open_, is_alive_;
};

TEST_CASE("judge says what the kernel does, for random policies and packets" * doctest::test_suite("differential")) {
  Lab::instance().reset();
  const std::uint64_t first = from_environment("WEIR_SEED", 1), policies = from_environment("WEIR_POLICIES", 200);
  AppCgroup cgroup;
  std::set<Outcome> seen, wanted = {Outcome::direct, Outcome::inbound, Outcome::outbound, Outcome::reset,
                                    Outcome::dns,    Outcome::dropped, Outcome::held};
  for (std::uint64_t seed = first; seed < first + policies; ++seed) {
    Dice dice(seed);
    const CapturePolicy policy = dice.policy(*Lab::backend(), cgroup.value);
    REQUIRE_MESSAGE(!has_errors(capture::validate(policy)), "seed ", seed, ": ", to_text(capture::validate(policy)));
    if (policy.quic == capture::Quic::refuse) wanted.insert(Outcome::refused);
    World world(policy, cgroup, dice);
    for (int n = 0; n < 16; ++n) {
      matrix::Row row = dice.packet(policy);
      const capture::Judgement judged = world.judge(row);
      // Where nothing may come, it is waited for no longer than what comes takes on a machine at rest.
      row.expected = world.ask(row, is_silence(judged.outcome) ? 50 : 5000);
      seen.insert(judged.outcome);
      const bool agree =
          is_silence(judged.outcome) ? is_silence(row) : judged.outcome == matrix::outcome(row) && row.expected != "TIMEOUT";
      CHECK_MESSAGE(agree, "WEIR_SEED=", seed, " WEIR_POLICIES=1, packet ", n + 1, ": ", row.protocol, " ", row.from, " uid ",
                    row.uid, " gid ", row.gid, " source ", row.source, " to ", row.destination, ":", row.port, " ",
                    to_text(row.family), ": kernel ", row.expected, ", judge ", capture::name(judged.outcome), " (", judged.why,
                    ")\n", to_text(world.plan()), Lab::backend()->render(world.plan()));
      if (world.is_gated() && n == 10) world.beat(row.family);
    }
  }
  for (Outcome outcome : wanted)
    CHECK_MESSAGE((policies < 100 || seen.count(outcome) == 1), "never seen: ", capture::name(outcome));
}

}  // namespace
}  // namespace weir::conformance
