// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <set>

#include "capture/options.h"

namespace weir::capture {
namespace {

using Values = std::map<std::string, std::string>;

std::string problems_of(const Values& flags, const Values& environment = {}) {
  return to_text(parse_options(flags, environment, {}).problems);
}

TEST_CASE("a flag beats its environment variable, which beats the default") {
  CHECK(parse_options({}, {}, {}).parsed.policy.inbound_port == 15006);
  CHECK(parse_options({}, {{"INBOUND_CAPTURE_PORT", "1"}}, {}).parsed.policy.inbound_port == 1);
  CHECK(parse_options({{"inbound-capture-port", "2"}}, {{"INBOUND_CAPTURE_PORT", "1"}}, {}).parsed.policy.inbound_port == 2);
}

TEST_CASE("an empty environment variable is not set, an empty flag is") {
  CHECK(parse_options({}, {{"ISTIO_SERVICE_CIDR", ""}}, {}).parsed.policy.outbound_cidrs.kind == Selection::none);
  const auto outcome = parse_options({{"istio-service-cidr", ""}}, {{"ISTIO_SERVICE_CIDR", "*"}}, {});
  CHECK(outcome.parsed.policy.outbound_cidrs.kind == Selection::none);
}

TEST_CASE("a bad environment variable fails loudly, where istio-iptables keeps the default") {
  CHECK(problems_of({}, {{"INBOUND_CAPTURE_PORT", "many"}}) ==
        "environment variable INBOUND_CAPTURE_PORT: \"many\" is not a port; write a number from 1 to 65535");
}

TEST_CASE("an alias of a variable counts, the first that is set wins") {
  CHECK(problems_of({}, {{"ISTIO_META_DNS_CAPTURE", "true"}}) ==
        "warning: flag --redirect-dns: /etc/resolv.conf names no server, so DNS is not captured; add --capture-all-dns");
  CHECK(problems_of({}, {{"REDIRECT_DNS", "false"}, {"ISTIO_META_DNS_CAPTURE", "true"}}).empty());
}

TEST_CASE("DNS capture takes resolv.conf's servers or all") {
  Accounts accounts;
  accounts.dns_servers = [] {
    return parse_resolv_conf(
        "# nameserver 9.9.9.9\nsearch x\nnameserver 10.0.0.10\n nameserver\tfe80::1%eth0\nnameserver x\nnameserver6 ::1\n");
  };
  CHECK(parse_options({{"redirect-dns", "true"}}, {}, accounts).parsed.policy.dns_servers ==
        std::vector{*IpAddr::parse("10.0.0.10"), *IpAddr::parse("fe80::1")});
  const auto all = parse_options({{"redirect-dns", "true"}}, {{"CAPTURE_ALL_DNS", "1"}}, accounts).parsed.policy;
  CHECK(all.dns == Selection::all);
  CHECK(problems_of({{"capture-all-dns", "true"}}).find("no effect without --redirect-dns") != std::string::npos);
}

TEST_CASE("the proxy is the user of ENVOY_USER, else 1337, and its gid is its uid") {
  Accounts accounts;
  accounts.uid_of = [](std::string_view name) { return name == "envoy" ? std::optional<std::uint32_t>(77) : std::nullopt; };
  auto policy = parse_options({}, {{"ENVOY_USER", "envoy"}}, accounts).parsed.policy;
  CHECK(policy.proxy_uids == std::vector<std::uint32_t>{77});
  CHECK(policy.proxy_gids == std::vector<std::uint32_t>{77});
  policy = parse_options({{"proxy-uid", "3,4"}}, {}, accounts).parsed.policy;
  CHECK(policy.proxy_gids == std::vector<std::uint32_t>{3, 4});
  CHECK(parse_options({}, {}, {}).parsed.policy.proxy_uids == std::vector<std::uint32_t>{1337});
}

TEST_CASE("lists take ranges, blanks and empty items, as Istio's do") {
  const auto policy =
      parse_options({{"istio-inbound-ports", "6000, 7000,8000:8010,"}, {"istio-service-cidr", "10.0.0.0/8, fd00::/8,"}}, {}, {})
          .parsed.policy;
  CHECK(policy.inbound_ports.list.to_text() == "6000,7000,8000-8010");
  CHECK(policy.outbound_cidrs.list.size() == 2);
}

TEST_CASE("what is not supported is refused unless it has its default") {
  CHECK(problems_of({{"cni-mode", "false"}}).empty());
  CHECK(problems_of({{"cni-mode", "true"}}).find("not supported yet") != std::string::npos);
  for (const Option& option : options()) {
    if (option.is_supported() || option.long_name.empty()) continue;
    CAPTURE(option.long_name);
    CHECK(!problems_of({{std::string(option.long_name), option.is_switch() ? "true" : "other"}}).empty());
  }
}

TEST_CASE("TPROXY's mark and table are numbers that the system does not use itself") {
  const auto policy = parse_options({{"istio-inbound-interception-mode", "TPROXY"}, {"istio-inbound-tproxy-mark", "0x10"}},
                                    {{"ISTIO_INBOUND_TPROXY_ROUTE_TABLE", "77"}}, {})
                          .parsed.policy;
  CHECK(policy.mode == Mode::tproxy);
  CHECK(policy.tproxy_mark == 16);
  CHECK(policy.tproxy_route_table == 77);
  for (const char* wrong : {"0", "1338", "x", "0x", "4294967296", "-1", "1 "})
    CHECK(!problems_of({{"istio-inbound-tproxy-mark", wrong}}).empty());
  for (const char* wrong : {"0", "254", "main"}) CHECK(!problems_of({{"istio-inbound-tproxy-route-table", wrong}}).empty());
}

TEST_CASE("all problems are told at once, one for each bad item") {
  const std::string text =
      problems_of({{"envoy-port", "70000"}, {"istio-service-cidr", "10.0.0.0/ab,1.2.3.4/33"}, {"start-gate", "hold"}});
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
}

TEST_CASE("flags that contradict each other are named") {
  CHECK(problems_of({{"envoy-port", "15006"}}).find("is also the value of --envoy-port") != std::string::npos);
  CHECK(problems_of({{"istio-exclude-interfaces", "eth0"}, {"kube-virt-interfaces", "eth0"}}).find("not both") !=
        std::string::npos);
  CHECK(problems_of({}, {{"ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "10.0.0.0/8"}}).find("not within 127.0.0.0/8") !=
        std::string::npos);
}

TEST_CASE("flags without effect are warned of and do no harm") {
  const auto outcome = parse_options({{"istio-inbound-ports", "80"}, {"istio-local-exclude-ports", "80"}}, {}, {});
  CHECK(!has_errors(outcome.problems));
  CHECK(to_text(outcome.problems).find("have no effect") != std::string::npos);
}

TEST_CASE("no two options share a name") {
  std::set<std::string> names;
  for (const Option& option : options()) {
    if (!option.long_name.empty()) CHECK(names.insert(std::string(option.long_name)).second);
    if (option.short_name != 0) CHECK(names.insert(std::string(1, option.short_name)).second);
    for (std::string_view variable : option.environment) CHECK(names.insert(std::string(variable)).second);
  }
}

}  // namespace
}  // namespace weir::capture
