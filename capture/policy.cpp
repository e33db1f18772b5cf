// SPDX-License-Identifier: Apache-2.0
#include "capture/policy.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace weir::capture {

namespace {

/// Names of interfaces: IFNAMSIZ is 16 with the terminating zero; net/core/dev.c refuses '/', ':' and blanks.
constexpr std::size_t kInterfaceNameLimit = 15;
constexpr std::size_t kOwnerGroupLimit = 64;  // as istio-iptables

class Checker {
 public:
  void error(std::string_view name, std::string message, std::string hint) {
    add(Severity::error, name, std::move(message), std::move(hint));
  }
  void warning(std::string_view name, std::string message, std::string hint) {
    add(Severity::warning, name, std::move(message), std::move(hint));
  }
  std::vector<Problem> take() { return std::move(problems_); }

 private:
  void add(Severity severity, std::string_view name, std::string message, std::string hint) {
    std::string object = fmt::format("{} {}", name.starts_with("--") ? "flag" : "environment variable", name);
    problems_.push_back({severity, {}, std::move(object), "", std::move(message), std::move(hint)});
  }
  std::vector<Problem> problems_;
};

void check_ports(const CapturePolicy& policy, Checker& checker) {
  struct Named {
    std::string_view flag;
    Port port;
  };
  const Named ports[] = {{"--envoy-port", policy.outbound_port},
                         {"--inbound-capture-port", policy.inbound_port},
                         {"--inbound-tunnel-port", policy.tunnel_port}};
  for (std::size_t i = 0; i < std::size(ports); ++i)
    for (std::size_t j = i + 1; j < std::size(ports); ++j)
      if (ports[i].port == ports[j].port)
        checker.error(ports[j].flag, fmt::format("port {} is also the value of {}", ports[j].port, ports[i].flag),
                      "give each its own port, for example the defaults 15001, 15006 and 15008");
  if (policy.inbound_ports.kind == Selection::list && !policy.inbound_exclude_ports.empty())
    checker.warning(
        "--istio-local-exclude-ports",
        fmt::format("ports {} have no effect, because --istio-inbound-ports is a list", policy.inbound_exclude_ports.to_text()),
        "leave it out, or use --istio-inbound-ports '*'");
}

void check_interfaces(const CapturePolicy& policy, Checker& checker) {
  auto check_names = [&](std::string_view flag, const std::vector<std::string>& names) {
    for (const std::string& name : names)
      if (name.empty() || name == "+" || name.size() > kInterfaceNameLimit ||
          name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@+") != std::string::npos ||
          name.find('+') < name.size() - 1)
        checker.error(flag, fmt::format("\"{}\" is not the name of an interface", name),
                      "write names of at most 15 letters, digits, '.', '_', '-', '@'; a last '+' stands for any ending");
      else if (name == "lo")
        checker.error(flag, "lo cannot be named: the proxy reaches its own workload through it", "leave lo out");
  };
  check_names("--istio-exclude-interfaces", policy.exclude_interfaces);
  check_names("--kube-virt-interfaces", policy.kube_virt_interfaces);
  for (const std::string& name : policy.kube_virt_interfaces)
    if (std::find(policy.exclude_interfaces.begin(), policy.exclude_interfaces.end(), name) != policy.exclude_interfaces.end())
      checker.error("--kube-virt-interfaces", fmt::format("{} is also in --istio-exclude-interfaces", name),
                    "capture an interface or exclude it, not both");
}

void check_owners(const CapturePolicy& policy, Checker& checker) {
  if (policy.proxy_uids.empty())
    checker.error("--proxy-uid", "no uid is exempt, so the proxy's own traffic would come back to it", "name the proxy's uid");
  if (policy.proxy_uids == std::vector{kNobodysId} && !policy.proxy_mark && policy.proxy_cgroups.empty())
    checker.error("--proxy-uid",
                  "none leaves nothing by which the proxy's own traffic could be told, so it would come back to it",
                  "add --proxy-mark or --proxy-cgroups, or name the proxy's uid");
  if (!policy.owner_groups.all && !policy.owner_groups.exclude.empty())
    checker.warning("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "has no effect, because ISTIO_OUTBOUND_OWNER_GROUPS is a list",
                    "leave it out, or set ISTIO_OUTBOUND_OWNER_GROUPS to '*'");
  if (!policy.owner_groups.all && policy.owner_groups.include.empty())
    checker.error("ISTIO_OUTBOUND_OWNER_GROUPS", "the list of groups is empty", "name groups, or write '*' for all");
  for (const auto& [flag, groups] : {std::pair{"ISTIO_OUTBOUND_OWNER_GROUPS", &policy.owner_groups.include},
                                     std::pair{"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", &policy.owner_groups.exclude}})
    if (groups->size() > kOwnerGroupLimit)
      checker.error(flag, fmt::format("{} groups are too many", groups->size()),
                    fmt::format("name at most {}", kOwnerGroupLimit));
}

void check_tproxy(const CapturePolicy& policy, Checker& checker) {
  if (policy.tproxy_mark == 0 || policy.tproxy_mark == well_known::kSelfMark)
    checker.error("--istio-inbound-tproxy-mark",
                  policy.tproxy_mark == 0 ? "0 is the mark of packets that have none"
                                          : fmt::format("{} marks the proxy's calls to its own sandbox", policy.tproxy_mark),
                  "choose another, for example the default 1337");
  // linux/rtnetlink.h: RT_TABLE_UNSPEC, COMPAT, DEFAULT, MAIN, LOCAL.
  if (const auto table = policy.tproxy_route_table; table == 0 || (table >= 252 && table <= 255))
    checker.error("--istio-inbound-tproxy-route-table", fmt::format("{} is one of the system's own routing tables", table),
                  "choose another, for example the default 133");
  // They are not only the proxy's: with iptables such a packet would open the start gate.
  if (policy.mode == Mode::tproxy && policy.proxy_mark)
    for (const std::uint32_t own : {policy.tproxy_mark, well_known::kSelfMark})
      if (policy.proxy_mark->contains(own))
        checker.error(
            "--proxy-mark",
            fmt::format("{} contains {}, which weir itself gives to packets in mode TPROXY", policy.proxy_mark->to_text(), own),
            "choose a mark or mask without it, for example 0x700/0xff00");
}

void check_fail_mode(const CapturePolicy& policy, Checker& checker) {
  // The kernel counts in ticks of up to 10 ms: what it shows must be what was asked for.
  constexpr Nanoseconds kStep = std::chrono::milliseconds(100), kLeast = std::chrono::seconds(1), kMost = std::chrono::hours(1);
  if (policy.open_after &&
      (*policy.open_after < kLeast || *policy.open_after > kMost || *policy.open_after % kStep != kStep.zero()))
    checker.error("--when-proxy-down", fmt::format("open after {} cannot be kept", to_text(*policy.open_after)),
                  "write 1s to 1h, in tenths of a second; weir-proxy shows itself each 500ms");
}

void check_quic(const CapturePolicy& policy, Checker& checker) {
  if (policy.quic != Quic::refuse) return;
  if (policy.quic_ports.empty()) checker.error("--quic-ports", "the list is empty, so nothing would be refused", "write 443");
  if (policy.outbound_cidrs.kind == Selection::none && policy.outbound_include_ports.empty())
    checker.warning("--quic", "refuse has no effect, because nothing outbound is captured",
                    "leave it out, or add --istio-service-cidr");
}

}  // namespace

std::vector<Problem> validate(const CapturePolicy& policy) {
  Checker checker;
  check_ports(policy, checker);
  check_interfaces(policy, checker);
  check_owners(policy, checker);
  check_tproxy(policy, checker);
  if (policy.dns != Selection::none)
    checker.warning("--redirect-dns", fmt::format("DNS goes to port {}, which weir-proxy does not serve yet", policy.dns_port),
                    "use it with a proxy that does, such as Istio's agent");
  const Cidr& loopback = policy.loopback_cidr4;
  if (loopback.family() != Family::v4 || !loopback.address().is_loopback() || loopback.prefix() < 8)
    checker.error("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", fmt::format("{} is not within 127.0.0.0/8", loopback.to_text()),
                  "write a range like 127.0.0.1/32 or 127.0.0.0/8");
  if (policy.start_gate && *policy.start_gate < std::chrono::milliseconds(1))
    checker.error("--start-gate", "the gate would hold for no time", "write hold:30s, or off");
  check_fail_mode(policy, checker);
  check_quic(policy, checker);
  return checker.take();
}

}  // namespace weir::capture
