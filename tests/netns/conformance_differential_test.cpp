// SPDX-License-Identifier: Apache-2.0
// Random policies and packets: judge must say what the kernel does. WEIR_POLICIES says how many (200; scripts/soak capture:
// 10,000), WEIR_SEED where to begin; a mismatch prints the seed that makes the same policy and packets again.
#include <doctest/doctest.h>

#include <cstdlib>
#include <algorithm>
#include <random>
#include <set>

#include "base/text.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {
namespace {

namespace matrix = capture::matrix;
using capture::CapturePolicy;
using capture::Selection;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : parse_uint(text).value_or(otherwise);
}

/// All choices of one policy and its packets, from one seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return random_() % limit; }
  bool once_in(std::size_t n) { return below(n) == 0; }
  template <class T>
  const T& one_of(const std::vector<T>& list) {
    return list[below(list.size())];
  }
  template <class T>
  std::vector<T> some_of(const std::vector<T>& list, std::size_t most) {
    std::vector<T> chosen;
    for (std::size_t n = below(most + 1); n > 0; --n) {
      const T& item = one_of(list);
      if (std::find(chosen.begin(), chosen.end(), item) == chosen.end()) chosen.push_back(item);
    }
    return chosen;
  }

  CapturePolicy policy() {
    CapturePolicy policy;
    policy.inbound_ports.kind = one_of<Selection>({Selection::none, Selection::list, Selection::all, Selection::all});
    if (policy.inbound_ports.kind == Selection::list) policy.inbound_ports.list = ports(true);
    if (policy.inbound_ports.kind == Selection::all) policy.inbound_exclude_ports = ports();
    policy.outbound_cidrs.kind = one_of<Selection>({Selection::none, Selection::list, Selection::all, Selection::all});
    if (policy.outbound_cidrs.kind == Selection::list) {
      policy.outbound_cidrs.list = cidrs();
      if (policy.outbound_cidrs.list.empty()) policy.outbound_cidrs.list = {*Cidr::parse("10.0.0.0/8")};
    }
    if (once_in(2)) policy.outbound_exclude_cidrs = cidrs();
    if (once_in(3)) policy.outbound_include_ports = ports();
    if (once_in(3)) policy.outbound_exclude_ports = ports();
    if (once_in(4)) policy.exclude_interfaces = {one_of<std::string>({"eth0", "eth+", "vnet0", "eth1"})};
    if (policy.exclude_interfaces.empty() && once_in(3)) policy.kube_virt_interfaces = {"vnet0"};
    if (once_in(4)) policy.proxy_uids = {3, 4};
    if (once_in(4)) policy.proxy_gids = some_of<std::uint32_t>({3, 5, 1337}, 3);
    if (once_in(4)) policy.loopback_cidr4 = *Cidr::parse("127.0.0.0/8");
    if (once_in(4))
      policy.owner_groups = {.all = false, .include = {0, 1000}, .exclude = {}};
    else if (once_in(4))
      policy.owner_groups.exclude = {1000};
    policy.drop_invalid = once_in(4);
    if (once_in(3)) policy.mode = capture::Mode::tproxy;
    if (once_in(3)) {
      policy.dns = one_of<Selection>({Selection::list, Selection::all});
      if (policy.dns == Selection::list)
        policy.dns_servers = some_of<IpAddr>({matrix::address("REM", Family::v4), matrix::address("REM", Family::v6),
                                              matrix::address("REM2", Family::v4), matrix::address("LO", Family::v6)},
                                             3);
      if (policy.dns == Selection::list && policy.dns_servers.empty()) policy.dns = Selection::all;
    }
    return policy;
  }

  matrix::Row packet(const CapturePolicy& policy) {
    matrix::Row row;
    row.protocol = once_in(6) ? "udp" : "tcp";
    row.source = "-";
    row.family = once_in(2) ? Family::v4 : Family::v6;
    row.from = one_of<std::string>({"pod", "pod", "pod", "remote", "remote", "vm"});
    row.destination = row.from == "pod" ? one_of<std::string>({"REM", "REM", "REM2", "POD", "LO", "LO2"}) : "POD";
    const bool is_remote = row.destination.starts_with("REM");
    row.port = is_remote ? one_of<Port>({80, 443, 53}) : one_of<Port>({8080, 9090, 53, 15008, 15020, 15021, 15090, 15001, 15006});
    if (row.from == "pod") {
      row.uid = one_of<std::uint32_t>({0, 3, 4, 1000, 1337});
      row.gid = one_of<std::uint32_t>({0, 3, 5, 1000, 1337});
      if (!is_remote && row.destination == "POD" && once_in(5)) row.source = "MAGIC";
    }
    if (row.protocol == "udp") as_datagram(row);
    // To its own capture ports the guard's reset goes to whom the address belongs: refused too, but not told.
    const bool is_own_port = row.port == 15001 || row.port == 15006;
    if (row.protocol == "tcp" && row.destination == "POD" && !is_own_port && may_borrow(policy, row) && once_in(3))
      row.source = one_of<std::string>({"borrowed/REM2", "borrowed/REM2/1337"});
    return row;
  }

 private:
  /// Ports that answer, and one of its own to come from: what connection tracking remembers of another is not asked.
  void as_datagram(matrix::Row& row) {
    static int port = 20000;
    port = port == 60000 ? 20000 : port + 1;
    row.source = fmt::format("port={}", port);
    row.port = row.destination.starts_with("REM") ? one_of<Port>({53, 53, 7777}) : one_of<Port>({53, 53, 8888});
    if (row.destination == "LO2") row.destination = "LO";
  }
  /// Who has CAP_NET_ADMIN in the lab, and is the proxy to the policy.
  static bool may_borrow(const CapturePolicy& policy, const matrix::Row& row) {
    const auto has = [](const std::vector<std::uint32_t>& list, std::uint32_t id) {
      return std::find(list.begin(), list.end(), id) != list.end();
    };
    return row.from == "pod" && (row.uid == 1337 || row.gid == 1337) && policy.mode == capture::Mode::tproxy &&
           policy.inbound_ports.kind != Selection::none && (has(policy.proxy_uids, row.uid) || has(policy.proxy_gids, row.gid));
  }

  PortSet ports(bool at_least_one = false) {
    PortSet set;
    for (Port port : some_of<Port>({80, 443, 53, 8080, 9090, 15020, 15021, 15090}, 4)) set.add(port);
    if (once_in(4)) set.add({8000, 8999});
    if (at_least_one && set.empty()) set.add(8080);
    return set;
  }
  std::vector<Cidr> cidrs() {
    std::vector<Cidr> list;
    for (const std::string& text : some_of<std::string>({"10.1.0.0/16", "10.2.0.2", "10.0.0.0/8", "fd01::/16", "fd02::2",
                                                         "fd00::/8", "127.0.0.0/8", "0.0.0.0/0", "::/0", "192.168.0.0/16"},
                                                        4))
      list.push_back(*Cidr::parse(text));
    return list;
  }

  std::mt19937_64 random_;
};

std::string ask(const matrix::Row& row) {
  Lab& lab = Lab::instance();
  Actor& actor = row.from == "remote" ? lab.remote() : row.from == "vm" ? lab.vm() : lab.pod(row.uid, row.gid);
  return actor.ask(fmt::format("{} {} {} {} 5000", row.protocol, matrix::address(row.destination, row.family).to_text(), row.port,
                               row.protocol == "udp" ? row.source : source_of(row)));
}

capture::Packet packet_of(matrix::Row row) {
  if (row.protocol == "udp") row.source = "-";
  return matrix::packet(row);
}

TEST_CASE("judge says what the kernel does, for random policies and packets" * doctest::test_suite("differential")) {
  Lab::instance().reset();
  const std::uint64_t first = from_environment("WEIR_SEED", 1), policies = from_environment("WEIR_POLICIES", 200);
  std::set<capture::Outcome> seen;
  for (std::uint64_t seed = first; seed < first + policies; ++seed) {
    Dice dice(seed);
    const CapturePolicy policy = dice.policy();
    REQUIRE_MESSAGE(!has_errors(capture::validate(policy)), "seed ", seed, ": ", to_text(capture::validate(policy)));
    const capture::CapturePlan plan = capture::plan(policy);
    apply(plan);
    for (int n = 0; n < 16; ++n) {
      matrix::Row row = dice.packet(policy);
      const capture::Judgement judged = capture::judge(plan, packet_of(row));
      row.expected = ask(row);
      seen.insert(judged.outcome);
      const bool agree = judged.outcome == matrix::outcome(row) && row.expected != "TIMEOUT";
      CHECK_MESSAGE(agree, "WEIR_SEED=", seed, " WEIR_POLICIES=1: ", row.protocol, " ", row.from, " uid ", row.uid, " gid ",
                    row.gid, " source ", row.source, " to ", row.destination, ":", row.port, " ", to_text(row.family),
                    ": kernel ", row.expected, ", judge ", capture::name(judged.outcome), " (", judged.why, ")\n", to_text(plan),
                    Lab::backend()->render(plan));
    }
  }
  CHECK((policies < 20 || seen.size() == 5));
}

}  // namespace
}  // namespace weir::conformance
