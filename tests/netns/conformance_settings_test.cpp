// SPDX-License-Identifier: Apache-2.0
// A setting that is changed leaves nothing of the former one, whichever backend programs it.
#include <doctest/doctest.h>

#include "tests/netns/conformance_lab.h"

namespace weir::conformance {
namespace {

using capture::CapturePlan;

struct Setting {
  const char* config;
  bool has_gate = false;
};
constexpr Setting kSettings[] = {
    {"-d 1", true},
    {"WEIR_WHEN_PROXY_DOWN=open:1h"},
    {"WEIR_QUIC=refuse", true},
    {"WEIR_QUIC=refuse WEIR_WHEN_PROXY_DOWN=open WEIR_EXCLUDE_UIDS=7 WEIR_PROXY_MARK=0x500/0xff00", true},
    {"WEIR_EXCLUDE_OUTBOUND=10.1.0.0/24:443/tcp,[fd01::/64]:8000-8999 WEIR_EXCLUDE_INBOUND=10.3.0.0/24"},
    {"WEIR_EXCLUDE_DOMAINS=a.example WEIR_QUIC=refuse"},
    {"CAPTURE_ALL_DNS=1 REDIRECT_DNS=1"},
    {"DROP_INVALID=1"},
    {"-m TPROXY"},
    {"-m TPROXY WEIR_WHEN_PROXY_DOWN=open", true},
    {"-k vnet0"},
};

TEST_CASE("changing a setting there and back leaves no rule of the former one") {
  Lab::instance().reset();
  const std::string clean = rules_of_namespace();
  const CapturePlan plain = plan_of("-b * -i *");
  for (const Setting& setting : kSettings) {
    const std::string config = std::string("-b * -i * ") + setting.config;
    CAPTURE(config);
    const CapturePlan with = setting.has_gate ? gated(config, std::chrono::hours(1)) : plan_of(config);
    apply(with);
    const std::string with_setting = rules_of_namespace();
    REQUIRE(Lab::backend()->remove());
    apply(plain);
    const std::string without = rules_of_namespace();
    CHECK(with_setting != without);
    CHECK(!Lab::backend()->check(with)->empty());
    CHECK(apply(with).changed);
    CHECK(until(with_setting, rules_of_namespace) == with_setting);
    CHECK(Lab::backend()->check(with)->empty());
    CHECK(!Lab::backend()->check(plain)->empty());
    CHECK(apply(plain).changed);
    CHECK(until(without, rules_of_namespace) == without);
    CHECK(Lab::backend()->check(plain)->empty());
    CHECK(*Lab::backend()->remove());
    CHECK(until(clean, rules_of_namespace) == clean);
  }
}

/// What others may do to the rules of these settings.
std::vector<std::string> damages() {
  if (kind() == Kind::nft)
    return {"nft flush chain inet weir udp_outbound", "nft insert rule inet weir udp_outbound udp dport 443 accept",
            "nft flush chain inet weir guard_outbound", "nft insert rule inet weir to_outbound accept"};
  std::vector<std::string> found;
  for (const char* family : {"ip", "ip6"})
    for (const char* damage :
         {"filter -F WEIR_UDP_OUTBOUND", "filter -I WEIR_UDP_OUTBOUND -p udp -j RETURN", "filter -D WEIR_UDP_OUTBOUND 1",
          "filter -D WEIR_GUARD_OUTBOUND 1", "nat -D WEIR_TO_OUTBOUND 1", "nat -I WEIR_TO_INBOUND -j RETURN"})
      found.push_back(fmt::format("{}tables-{} -w -t {}", family, kind() == Kind::iptables_nft ? "nft" : "legacy", damage));
  return found;
}

TEST_CASE("check names what is missing or strange in the rules of fail mode and QUIC, and apply mends it") {
  check_names_damages(plan_of("WEIR_QUIC=refuse WEIR_WHEN_PROXY_DOWN=open -b * -i *"), damages());
}

}  // namespace
}  // namespace weir::conformance
