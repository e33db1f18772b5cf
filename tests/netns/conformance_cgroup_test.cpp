// SPDX-License-Identifier: Apache-2.0
// Senders known by their cgroup (v2): a container that is excluded, a proxy without a uid of its own.
#include <doctest/doctest.h>

#include <cstdlib>

#include "kernel/cgroup.h"
#include "tests/netns/conformance_cgroup.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {
namespace {

namespace matrix = capture::matrix;

capture::CapturePlan plan_with(const std::string& config, const std::string& path) {
  auto parsed = matrix::parse_config(config);
  REQUIRE_MESSAGE(!has_errors(parsed.problems), to_text(parsed.problems));
  const auto id = kernel::cgroup_id(path);
  REQUIRE(id);
  for (auto* list : {&parsed.parsed.policy.exclude_cgroups, &parsed.parsed.policy.proxy_cgroups})
    for (capture::Cgroup& cgroup : *list) cgroup.id = *id;
  return capture::plan(parsed.parsed.policy);
}

bool has_cgroups() {
  const bool has = !CgroupWith::root().empty();
  const char* why = "not run: there is no cgroup v2 hierarchy on /sys/fs/cgroup here";
  if (std::getenv("WEIR_REQUIRE_NETNS") != nullptr)
    CHECK_MESSAGE(has, why);
  else
    WARN_MESSAGE(has, why);
  return has;
}

TEST_CASE("an excluded cgroup, with all below it, is not captured; the same user elsewhere is") {
  if (!has_cgroups()) return;
  Lab& lab = Lab::instance();
  lab.reset();
  Actor& inside = lab.pod(1000, 1001);  // of the same uid as the app
  const CgroupWith cgroup(CgroupWith::own("/app"), {inside.pid()});
  for (const std::string& path : {CgroupWith::own("/app"), CgroupWith::own()}) {
    CAPTURE(path);
    const auto plan = plan_with(fmt::format("WEIR_EXCLUDE_CGROUPS=/{} -b * -i *", path), path);
    apply(plan);
    CHECK(Lab::backend()->check(plan)->empty());
    for (Family family : kBothFamilies) {
      CHECK(inside.ask(fmt::format("tcp {} 80 - 5000", matrix::address("REM", family).to_text())) ==
            concrete("REMOTE:80 od=REM:80 la=REM:80 peer=POD", family));
      CHECK(app_to_remote(family) == concrete(kOut, family));
    }
  }
  lab.reset();
}

TEST_CASE("a proxy known only by its cgroup is exempt, calls its own sandbox as a client, and shows that it lives") {
  if (!has_cgroups()) return;
  Lab& lab = Lab::instance();
  lab.reset();
  Actor& proxy = lab.pod(1000, 1001);
  const CgroupWith cgroup(CgroupWith::own("/proxy"), {proxy.pid()});
  apply(plan_with(
      fmt::format("PROXY_UID=none WEIR_PROXY_CGROUPS={} WEIR_WHEN_PROXY_DOWN=open:1h -b * -i *", CgroupWith::own("/proxy")),
      CgroupWith::own("/proxy")));
  CHECK(app_to_remote(Family::v4).starts_with("REMOTE"));
  for (Family family : kBothFamilies) proxy.ask(fmt::format("udp {} 9 - 0", IpAddr::loopback(family).to_text()));
  for (Family family : kBothFamilies) {
    CHECK(app_to_remote(family) == concrete(kOut, family));
    CHECK(proxy.ask(fmt::format("tcp {} 80 - 5000", matrix::address("REM", family).to_text())).starts_with("REMOTE"));
    CHECK(proxy.ask(fmt::format("tcp {} 8080 - 5000", matrix::address("POD", family).to_text())) ==
          concrete("IN15006 od=POD:8080 la=LO:15006 peer=POD", family));
  }
  lab.reset();
}

}  // namespace
}  // namespace weir::conformance
