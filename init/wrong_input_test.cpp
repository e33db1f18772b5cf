// SPDX-License-Identifier: Apache-2.0
// Wrong flags and environments: each must end with exit 1, change nothing, and name flag, value and what would be right.
#include <doctest/doctest.h>

#include <set>

#include "base/test_golden.h"
#include "base/text.h"
#include "init/program.h"

namespace weir::init {
namespace {

/// A blank separates words; '' is an empty one; words with '=' before the first flag are environment variables.
constexpr const char* kWrong[] = {
    "-p 0",
    "-p 65536",
    "-p -1",
    "-p http",
    "-p 15001,15002",
    "-p ''",
    "-z 99999999999999999999",
    "-z 0x1f90",
    "-z 15001",
    "-e 15006",
    "-e eight",
    "-p 1 -z 1 -e 1",
    "-u envoy",
    "-u -1",
    "-u 4294967295",
    "-u 3,four,5,six",
    "-g staff",
    "-g 1.5",
    "-m TRANSPARENT",
    "-m redirect",
    "-m none",
    "-m TPROXY -t 1338",
    "-b http",
    "-b 80,*",
    "-b 80,99999",
    "-b 90-80",
    "-b 80-",
    "-b 80;90",
    "-b all",
    "-d *",
    "-d 15090,abc,0",
    "-d -5",
    "-q *",
    "-q 443-442",
    "-q 70000",
    "-o *",
    "-o https",
    "-o 1:2:3",
    "-i 10.0.0.0/33",
    "-i 10.0.0/8",
    "-i fd00::/129",
    "-i fd00:::/8",
    "-i example.com",
    "-i 10.0.0.0/8,*",
    "-i 10.0.0.0/-1",
    "-i 10.0.0.0-10.0.0.9",
    "-x *",
    "-x 1.2.3",
    "-x 10.0.0.0/8/8",
    "-x ::ffff:0:0/ab,1.2.3.256",
    "-c lo",
    "-c an-interface-with-a-long-name",
    "-c eth0/1",
    "-c +",
    "-c et+h",
    "-c eth0:1",
    "-k lo",
    "-k vnet0 -c vnet0",
    "-k tap$",
    "-t 0",
    "-t many",
    "-r 255",
    "--start-gate=hold",
    "--start-gate=hold:",
    "--start-gate=hold:30",
    "--start-gate=hold:0s",
    "--start-gate=hold:-1s",
    "--start-gate=open",
    "--when-proxy-down=pass",
    "--when-proxy-down=open:",
    "--when-proxy-down=open:soon",
    "--when-proxy-down=open:500ms",
    "--when-proxy-down=open:1250ms",
    "--when-proxy-down=open:2h",
    "WEIR_WHEN_PROXY_DOWN=OPEN",
    "--on-missing-family=pass",
    "--proxy-mark=envoy",
    "--proxy-mark=0",
    "--proxy-mark=0x505/0xff00",
    "--proxy-mark=1/",
    "-m TPROXY --proxy-mark=0x500/0xff00",
    "-m TPROXY --proxy-mark=1337",
    "--proxy-cgroups=a/b",
    "--exclude-cgroups=/,../x,a//b",
    "--exclude-uids=-1,app",
    "--exclude-outbound=*",
    "--exclude-outbound=10.0.0.0/33:80,10.0.0.0/8:0,10.0.0.0/8:",
    "--exclude-outbound=10.0.0.0/8:http/tcp,10.0.0.0/8:80/sctp",
    "--exclude-outbound=[fd00::/8:443,fd00::/8]:443,[fd00::/8]443",
    "--exclude-outbound=fd00::/8:443",
    "--exclude-inbound=10.0.0.0/8:53/udp",
    "--exclude-inbound=example.com:80",
    "--exclude-domains=*.example.com,10.0.0.1,a..b,-a.example,fd00::1",
    "watch",
    "watch --exclude-domains=a.example --backend=iptables-nft",
    "--quic=capture",
    "--quic=drop",
    "--quic=refuse --quic-ports=*",
    "--quic=refuse --quic-ports=,",
    "--proxy-uid=none",
    "explain --to 10.0.0.1:80 --mark many",
    "WEIR_PROXY_MARK=-1 WEIR_EXCLUDE_UIDS=x WEIR_QUIC=no",
    "--iptables-probe-port=0",
    "--iptables-probe-port=x",
    "--probe-timeout=5",
    "--probe-timeout=0s",
    "--probe-timeout=soon",
    "--dry-run=maybe",
    "--drop-invalid=on",
    "--reconcile=yes",
    "--force-apply=2",
    "--dual-stack=both",
    "--native-nftables=nft",
    "--redirect-dns=all",
    "--capture-all-dns=some",
    "--cni-mode",
    "--network-namespace /run/netns/x",
    "--backend=iptables",
    "--backend=nft --force-iptables-binary=legacy",
    "--force-iptables-binary ipset",
    "--run-validation --dry-run",
    "--run-validation --cleanup-only",
    "check --run-validation",
    "remove --skip-rule-apply",
    "check --dry-run",
    "explain --cleanup-only --to 10.0.0.1:80",
    "apply remove",
    "applyy",
    "--istio-service-cidrs *",
    "--istio-inbound-port=80",
    "--proxy-user 1337",
    "-y",
    "-p",
    "--output=yaml",
    "explain",
    "explain --to 10.0.0.1",
    "explain --to 10.0.0.1:0x50 --uid me --from mars",
    "explain --to 10.0.0.1:80 --source x --sandbox-ip 10.0.0.2,y",
    "apply --to 10.0.0.1:80",
    "INBOUND_CAPTURE_PORT=many",
    "INBOUND_TUNNEL_PORT=0",
    "PROXY_UID=nobody-at-all PROXY_GID=1e3",
    "ISTIO_INBOUND_INTERCEPTION_MODE=tproxy",
    "ISTIO_INBOUND_PORTS=80,x ISTIO_LOCAL_EXCLUDE_PORTS=y",
    "ISTIO_EXCLUDE_INTERFACES=lo",
    "ISTIO_SERVICE_CIDR=10.0.0.0/8,ten ISTIO_SERVICE_EXCLUDE_CIDR=*",
    "ISTIO_OUTBOUND_PORTS=0 ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE=65536",
    "KUBE_VIRT_INTERFACES=vnet0,lo",
    "DRY_RUN=maybe",
    "RUN_VALIDATION=ja",
    "INVALID_DROP=1,2",
    "ISTIO_DUAL_STACK=ipv6",
    "ISTIO_META_DNS_CAPTURE=yes",
    "WEIR_START_GATE=30s",
    "ISTIO_OUTBOUND_OWNER_GROUPS=java,202,-1",
    "ISTIO_OUTBOUND_OWNER_GROUPS=,",
    "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE=*",
    "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR=10.0.0.0/8",
    "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR=127.0.0.0/7",
    "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR=::1/128",
    "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR=localhost",
};

Printed run_line(const std::string& line) {
  World world;
  std::vector<std::string> arguments;
  for (std::string_view word : split(line, ' ')) {
    const auto equals = word.find('=');
    if (arguments.empty() && equals != std::string_view::npos && !word.starts_with("-"))
      world.environment.emplace(word.substr(0, equals), word.substr(equals + 1));
    else
      arguments.emplace_back(word == "''" ? "" : word);
  }
  world.machine.make = [](std::string_view, const BackendOptions&) -> std::unique_ptr<capture::Redirector> {
    FAIL("a backend was asked for");
    return nullptr;
  };
  world.sandbox_addresses = []() -> Result<std::vector<IpAddr>> { return std::vector<IpAddr>{}; };
  return run(arguments, world);
}

TEST_CASE("each wrong input ends with exit 1 and a message that names it") {
  std::string text;
  for (const std::string line : kWrong) {
    CAPTURE(line);
    const Printed printed = run_line(line);
    CHECK(printed.exit_code == 1);
    CHECK(printed.out == "");
    CHECK(!printed.err.empty());
    text += fmt::format("$ {}\n{}", line, printed.err);
  }
  CHECK(std::set<std::string>(std::begin(kWrong), std::end(kWrong)).size() == std::size(kWrong));
  static_assert(std::size(kWrong) >= 80);
  test::check_golden(WEIR_TESTDATA "/wrong-inputs.txt", text);
}

}  // namespace
}  // namespace weir::init
