// SPDX-License-Identifier: Apache-2.0
// What becomes of captured connections without a proxy, where the sandbox asks to be open then.
#include <doctest/doctest.h>

#include "tests/netns/conformance_lab.h"

namespace weir::conformance {
namespace {

namespace matrix = capture::matrix;
using capture::CapturePlan;
using std::chrono::seconds;

constexpr const char* kDirectOut = "REMOTE:80 od=REM:80 la=REM:80 peer=POD";
constexpr const char* kDirectIn = "APP:8080 od=POD:8080 la=POD:8080 peer=REM";

/// As weir-proxy sends it. With iptables each family lives by its own, and the proxy sends both.
void heartbeat(Family family) {
  for (Family each : kBothFamilies)
    if (each == family || kind() != Kind::nft)
      Lab::instance().pod(1337, 1337).ask(fmt::format("udp {} 9 - 0", IpAddr::loopback(each).to_text()));
}

void check_direct(Family family) {
  CHECK(app_to_remote(family) == concrete(kDirectOut, family));
  CHECK(remote_to_app(family) == concrete(kDirectIn, family));
}

void check_captured(Family family) {
  CHECK(app_to_remote(family) == concrete(kOut, family));
  CHECK(remote_to_app(family) == concrete(kIn, family));
}

TEST_CASE("open: direct before the proxy's first heartbeat, captured after it, direct again when they end") {
  Lab& lab = Lab::instance();
  for (Family beating : kBothFamilies) {
    CAPTURE(to_text(beating));
    lab.reset();
    apply(plan_of("WEIR_WHEN_PROXY_DOWN=open:1h -b * -i *"));
    for (Family family : kBothFamilies) check_direct(family);
    lab.pod(1000, 1000).ask("udp 127.0.0.1 9 - 0");   // not the proxy
    lab.pod(1337, 1337).ask("udp 127.0.0.1 99 - 0");  // not a heartbeat
    check_direct(beating);
    heartbeat(beating);
    for (Family family : kBothFamilies) check_captured(family);

    apply(plan_of("WEIR_WHEN_PROXY_DOWN=open:1s -b * -i *"));
    CHECK(Lab::backend()->check(plan_of("WEIR_WHEN_PROXY_DOWN=open:1s -b * -i *"))->empty());
    lab.stop_proxy();
    heartbeat(beating);
    for (Family family : kBothFamilies)
      CHECK(until(concrete(kDirectOut, family), [&] { return app_to_remote(family); }) == concrete(kDirectOut, family));
    check_direct(beating);
    // A new one is captured for again at once, though the old one's time may still stand in the set.
    CHECK(until("RST", [&] {
            heartbeat(beating);
            return app_to_remote(beating);
          }) == "RST");
  }
}

TEST_CASE("open in mode TPROXY: the same") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(plan_of("WEIR_WHEN_PROXY_DOWN=open:1h -m TPROXY -b * -i *"));
  for (Family family : kBothFamilies) check_direct(family);
  heartbeat(Family::v4);
  for (Family family : kBothFamilies) {
    CHECK(app_to_remote(family) == concrete(kOut, family));
    CHECK(remote_to_app(family) == concrete(kTransparent, family));
  }
  lab.reset();
}

TEST_CASE("a sandbox that becomes open while its proxy works stays captured") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(plan_of(kDefaultConfig));
  apply(plan_of("WEIR_WHEN_PROXY_DOWN=open:1h -b * -i *"));
  for (Family family : kBothFamilies) check_captured(family);
  apply(plan_of(kDefaultConfig));
  CHECK(Lab::backend()->check(plan_of(kDefaultConfig))->empty());
}

TEST_CASE("the start gate ends in the fail mode: open") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(gated("WEIR_WHEN_PROXY_DOWN=open:1h -b * -i *", seconds(600)));
  lab.pod(1337, 1337).ask("udp 127.0.0.1 99 - 0");
  for (Family family : kBothFamilies) {
    CHECK(app_to_remote(family, 200) == "TIMEOUT");
    CHECK(remote_to_app(family, 200) == "TIMEOUT");
  }
  heartbeat(Family::v6);
  for (Family family : kBothFamilies) check_captured(family);

  lab.reset();
  apply(gated("WEIR_WHEN_PROXY_DOWN=open:1h -b * -i *", std::chrono::milliseconds(1500)));
  CHECK(app_to_remote(Family::v4, 200) == "TIMEOUT");
  CHECK(until(concrete(kDirectOut, Family::v4), [] { return app_to_remote(Family::v4, 200); }) ==
        concrete(kDirectOut, Family::v4));
  for (Family family : kBothFamilies) check_direct(family);
  lab.reset();
}

/// A pod whose lo has no IPv6 while its network has: nothing of IPv6 could come to the proxy.
class NoIpv6OnLo {
 public:
  NoIpv6OnLo() { shell("sysctl -qw net.ipv6.conf.lo.disable_ipv6=1"); }
  ~NoIpv6OnLo() { shell("sysctl -qw net.ipv6.conf.lo.disable_ipv6=0"); }
};

TEST_CASE("an IP family that is there and cannot be programmed is refused, and with it everything") {
  Lab& lab = Lab::instance();
  lab.reset();
  const NoIpv6OnLo pod;
  const std::string before = state_of_namespace();
  auto applied = Lab::backend()->apply(plan_of(kDefaultConfig));
  REQUIRE(!applied);
  CHECK(applied.error().code() == ErrorCode::environment);
  CHECK(applied.error().to_text().find("--on-missing-family=block would cut IPv6 off instead") != std::string::npos);
  CHECK(state_of_namespace() == before);
}

TEST_CASE("or it is blocked: nothing passes by, the other family is captured, and it heals when the family works") {
  Lab& lab = Lab::instance();
  lab.reset();
  const CapturePlan plan = plan_of("WEIR_ON_MISSING_FAMILY=block -b * -i *");
  {
    const NoIpv6OnLo pod;
    CHECK(join(apply(plan).notes, "").starts_with("IPv6 is blocked: "));
    CHECK(Lab::backend()->check(plan)->empty());
    CHECK(!apply(plan).changed);
    check_captured(Family::v4);
    CHECK(remote_to_app(Family::v6) == "RST");
    // A reset would have to come by lo; so silence. The proxy is no way around it either.
    CHECK(app_to_remote(Family::v6, 300) == "TIMEOUT");
    CHECK(lab.pod(1337, 1337).ask("tcp fd01::1 80 - 300") == "TIMEOUT");
    CHECK(lab.pod(1000, 1000).ask("udp fd01::1 7777 - 5000") == "REFUSED");
    CHECK(lab.remote().ask("udp fd01::2 8888 - 200") == "TIMEOUT");
  }
  CHECK(!Lab::backend()->check(plan)->empty());
  CHECK(apply(plan).changed);
  for (Family family : kBothFamilies) check_captured(family);
  lab.reset();
}

}  // namespace
}  // namespace weir::conformance
