// SPDX-License-Identifier: Apache-2.0
// Mode TPROXY against the real kernel, beside its rows of the decision table.
#include <doctest/doctest.h>

#include "tests/netns/conformance_lab.h"

namespace weir::conformance {
namespace {

TEST_CASE("TPROXY: a proxy that is not there, or has no transparent socket: reset, in no case past it (rows E1 to E3, D6)") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(plan_of(kTproxyConfig));
  for (bool has_plain_listener : {false, true}) {
    lab.stop_proxy();
    std::unique_ptr<Actor> plain;
    if (has_plain_listener) {
      plain = Actor::start(1337, 1337);
      CHECK(plain->ask("serve OUT15001=15001 IN15006=15006") == "ok");
    }
    for (Family family : kBothFamilies) {
      CAPTURE(to_text(family));
      CHECK(remote_to_app(family) == "RST");
      if (!has_plain_listener) CHECK(app_to_remote(family) == "RST");
      CHECK(lab.pod(1000, 1000).ask(fmt::format("tcp {} 8080 - 5000", address("LO", family))).starts_with("APP"));
      CHECK(lab.pod(1000, 1000).ask(fmt::format("tcp {} 8080 - 5000", address("POD", family))).starts_with("APP"));
      CHECK(lab.remote().ask(fmt::format("tcp {} 15021 - 5000", address("POD", family))).starts_with("ST15021"));
    }
  }
}

TEST_CASE("TPROXY: works with src_valid_mark and strict reverse path filters (hazard D8)") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(plan_of(kTproxyConfig));
  for (const std::string filter : {"0", "1", "2"}) {
    CAPTURE(filter);
    shell(fmt::format("for i in all eth0 lo; do sysctl -qw net.ipv4.conf.$i.src_valid_mark=1 net.ipv4.conf.$i.rp_filter={}; done",
                      filter));
    CHECK(remote_to_app(Family::v4) == concrete(kTransparent, Family::v4));
    CHECK(lab.pod(1337, 1337).ask("tcp 10.1.0.2 8080 borrowed/10.2.0.2/1337 5000") ==
          "APP:8080 od=10.1.0.2:8080 la=10.1.0.2:8080 peer=10.2.0.2");
  }
  shell("for i in all eth0 lo; do sysctl -qw net.ipv4.conf.$i.src_valid_mark=0 net.ipv4.conf.$i.rp_filter=0; done");
}

TEST_CASE("TPROXY: connections that are older than the rules survive enrolment and its end, both ways (row E4)") {
  Lab& lab = Lab::instance();
  for (Family family : kBothFamilies) {
    CAPTURE(to_text(family));
    lab.reset();
    Actor& app = lab.pod(1000, 1000);
    CHECK(app.ask(fmt::format("open {} 80", address("REM", family))).starts_with("REMOTE:80"));
    CHECK(lab.remote().ask(fmt::format("open {} 8080", address("POD", family))).starts_with("APP:8080"));
    apply(plan_of(kTproxyConfig));
    CHECK(app.ask("ping still-here") == "still-here");
    CHECK(lab.remote().ask("ping still-here") == "still-here");
    CHECK(remote_to_app(family) == concrete(kTransparent, family));
    // What a transparent socket took stays with it whatever rules stand.
    CHECK(lab.remote().ask(fmt::format("open {} 8080", address("POD", family))).starts_with("IN15006"));
    apply(plan_of(kDefaultConfig));
    CHECK(lab.remote().ask("ping other-mode") == "other-mode");
    CHECK(remote_to_app(family) == concrete(kIn, family));
  }
}

TEST_CASE("TPROXY: what is forwarded to a virtual machine is redirected, since no socket here is its own") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(plan_of(kTproxyConfig));
  const std::string in_remote = fmt::format("nsenter -t {} -n ", lab.remote().pid());
  shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; " + in_remote +
        "ip route add 10.3.0.0/24 via 10.1.0.2; " + in_remote + "ip route add fd03::/64 via fd01::2");
  for (Family family : kBothFamilies) {
    CHECK(lab.remote().ask(fmt::format("tcp {} 8080 - 5000", address("VM", family))) ==
          concrete("IN15006 od=VM:8080 la=POD:15006 peer=REM", family));
    CHECK(lab.remote().ask(fmt::format("tcp {} 15021 - 5000", address("VM", family))) == "RST");  // the machine's own answer
  }
  shell("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0; " + in_remote + "ip route del 10.3.0.0/24; " +
        in_remote + "ip -6 route del fd03::/64");
}

TEST_CASE("TPROXY: policy routing is added once, follows its flags, and others' stays") {
  Lab::instance().reset();
  const std::string list =
      "ip rule; ip -6 rule; ip route show table all type local default; ip -6 route show table all type local "
      "default";
  const std::string before = shell(list);
  apply(plan_of(kTproxyConfig));
  const std::string once = shell(list);
  CHECK(once != before);
  CHECK(!apply(plan_of(kTproxyConfig)).changed);
  CHECK(shell(list) == once);
  CHECK(apply(plan_of("-m TPROXY -b * -i * -t 77 -r 78")).changed);
  CHECK(shell(list).find("lookup 133") == std::string::npos);
  CHECK(shell(list).find("fwmark 0x4d lookup 78") != std::string::npos);
  CHECK(apply(plan_of(kDefaultConfig)).changed);
  CHECK(shell(list) == before);

  // As Istio's tool adds them: used, and left alone.
  const std::string same = "ip {0} rule {1} fwmark 1337 lookup 133; ip {0} route {1} local default dev lo table 133; ";
  shell(fmt::format(fmt::runtime(same), "-4", "add") + fmt::format(fmt::runtime(same), "-6", "add"));
  const std::string others = shell(list);
  apply(plan_of(kTproxyConfig));
  CHECK(shell(list) == others);
  REQUIRE(Lab::backend()->remove());
  CHECK(shell(list) == others);
  shell(fmt::format(fmt::runtime(same), "-4", "del") + fmt::format(fmt::runtime(same), "-6", "del"));

  // A table that leads elsewhere is refused, and nothing is left.
  shell("ip route add default via 10.1.0.1 table 133");
  const std::string foreign = state_of_namespace();
  auto refused = Lab::backend()->apply(plan_of(kTproxyConfig));
  REQUIRE(!refused);
  CHECK(refused.error().to_text().find("routing table 133 has a default route of somebody else") != std::string::npos);
  CHECK(state_of_namespace() == foreign);
  shell("ip route del default table 133");
}

TEST_CASE("TPROXY: check names what is missing of the routing too, and apply mends it") {
  std::vector<std::string> damages = {"ip rule del fwmark 1337 lookup 133", "ip -6 rule del fwmark 1337 lookup 133",
                                      "ip route flush table 133", "ip -6 route flush table 133"};
  const char* variant = kind() == Kind::iptables_nft ? "nft" : "legacy";
  for (const auto& [chain, chain_of_iptables] :
       {std::pair{"to_transparent", "WEIR_TO_TRANSPARENT"}, std::pair{"mark_outbound", "WEIR_MARK_OUTBOUND"}})
    damages.push_back(kind() == Kind::nft ? fmt::format("nft flush chain inet weir {}", chain)
                                          : fmt::format("ip6tables-{} -w -t mangle -F {}", variant, chain_of_iptables));
  check_names_damages(plan_of(kTproxyConfig), damages);
}

TEST_CASE("TPROXY: the start gate holds inbound connections too") {
  Lab& lab = Lab::instance();
  enrol_with_gate(kTproxyConfig, std::chrono::seconds(600));
  CHECK(remote_to_app(Family::v4, 200) == "TIMEOUT");
  CHECK(remote_to_app(Family::v6, 200) == "TIMEOUT");
  for (const char* heartbeat : {"udp 127.0.0.1 9 - 0", "udp ::1 9 - 0"}) lab.pod(1337, 1337).ask(heartbeat);
  CHECK(remote_to_app(Family::v4) == concrete(kTransparent, Family::v4));
  CHECK(remote_to_app(Family::v6) == concrete(kTransparent, Family::v6));
}

}  // namespace
}  // namespace weir::conformance
