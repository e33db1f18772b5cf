// SPDX-License-Identifier: Apache-2.0
// Who and what is not captured, beyond istio-iptables' lists; and UDP, which of it is refused.
#include "capture/planner.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace weir::capture {

namespace {

/// Ranges with the same ports and protocol are one step, so that a backend with sets needs one rule for them.
struct Group {
  PortSet ports;
  Exclusion::Protocol protocol;
  std::vector<Cidr> ranges;
};
std::vector<Group> grouped(const std::vector<Exclusion>& list) {
  std::vector<Group> groups;
  for (const Exclusion& exclusion : list) {
    auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
      return group.ports == exclusion.ports && group.protocol == exclusion.protocol;
    });
    if (same == groups.end()) same = groups.insert(same, {exclusion.ports, exclusion.protocol, {}});
    same->ranges.push_back(exclusion.cidr);
  }
  return groups;
}

/// Steps for what is `protocol`, the only one that its chain asks about.
void add_exclusions(Planner& planner, Chain chain, Exclusion::Protocol protocol, const std::vector<Exclusion>& list,
                    std::vector<Cidr> Match::*side, const std::string& flag) {
  for (const Group& group : grouped(list)) {
    if (group.protocol != Exclusion::Protocol::any && group.protocol != protocol) continue;
    Match match{.protocol = protocol == Exclusion::Protocol::udp ? Match::Protocol::udp : Match::Protocol::tcp,
                .ports = group.ports};
    match.*side = group.ranges;
    planner.add(chain, match, Verdict::pass,
                group.ports.empty() ? flag : fmt::format("{} with port {}", flag, shortened(group.ports.to_text())));
  }
}

}  // namespace

void pass_senders(Planner& planner, Chain chain) {
  const CapturePolicy& policy = planner.policy();
  for (const Match& match : planner.sent_by_proxy({})) planner.add(chain, match, Verdict::pass, planner.known_by(match));
  if (!policy.proxy_gids.empty())
    planner.add(chain, {.gids = policy.proxy_gids}, Verdict::pass, "--proxy-gid " + shortened(joined(policy.proxy_gids)));
  if (!policy.exclude_uids.empty())
    planner.add(chain, {.uids = policy.exclude_uids}, Verdict::pass, "--exclude-uids " + shortened(joined(policy.exclude_uids)));
  for (const Cgroup& cgroup : policy.exclude_cgroups)
    planner.add(chain, {.cgroup = cgroup}, Verdict::pass, "--exclude-cgroups " + shortened(cgroup.path));
  const OwnerGroups& groups = policy.owner_groups;
  if (!groups.all)
    planner.add(chain, {.not_gids = groups.include}, Verdict::pass,
                "ISTIO_OUTBOUND_OWNER_GROUPS names only " + shortened(joined(groups.include)));
  else if (!groups.exclude.empty())
    planner.add(chain, {.gids = groups.exclude}, Verdict::pass,
                "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE " + shortened(joined(groups.exclude)));
}

void pass_destinations(Planner& planner, Chain chain, Exclusion::Protocol protocol) {
  const CapturePolicy& policy = planner.policy();
  if (!policy.outbound_exclude_cidrs.empty())
    planner.add(chain, {.destination = policy.outbound_exclude_cidrs}, Verdict::pass, "--istio-service-exclude-cidr");
  if (!policy.exclude_domains.empty())
    planner.add(chain, {.to_excluded_domain = true}, Verdict::pass,
                "--exclude-domains " + shortened(fmt::format("{}", fmt::join(policy.exclude_domains, ","))));
  add_exclusions(planner, chain, protocol, policy.exclude_outbound, &Match::destination, "--exclude-outbound");
}

void pass_sources(Planner& planner, Chain chain) {
  add_exclusions(planner, chain, Exclusion::Protocol::tcp, planner.policy().exclude_inbound, &Match::source, "--exclude-inbound");
}

/// QUIC is refused where TCP would be captured: in the same order as plan_outbound decides.
void plan_quic(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  if (policy.quic != Quic::refuse) return;
  constexpr Chain chain = Chain::udp_outbound;
  auto add_ports = [&](const PortSet& ports, const std::string& flag) {
    if (!ports.empty())
      planner.add(chain, {.protocol = Match::Protocol::udp, .ports = ports}, Verdict::pass,
                  flag + " " + shortened(ports.to_text()));
  };
  const std::string why = "--quic=refuse, so that HTTP/3 falls back to what is captured";
  auto refuse = [&](Match match) {
    match.protocol = Match::Protocol::udp;
    planner.add(chain, std::move(match), Verdict::refuse, why);
  };
  planner.add(chain, {.protocol = Match::Protocol::tcp}, Verdict::pass, "default: only UDP is refused");
  planner.add(chain, {.protocol = Match::Protocol::udp, .not_ports = policy.quic_ports}, Verdict::pass,
              "--quic-ports " + shortened(policy.quic_ports.to_text()));
  planner.add(chain, {.out_interface = "lo"}, Verdict::pass, "default: what stays in the sandbox is not captured");
  for (const std::string& interface : policy.exclude_interfaces)
    planner.add(chain, {.out_interface = interface}, Verdict::pass, "--istio-exclude-interfaces " + interface);
  add_ports(policy.outbound_exclude_ports, "--istio-local-outbound-ports-exclude");
  if (planner.captures_dns() && policy.quic_ports.contains(kDnsPort)) pass_captured_dns(planner, chain);
  pass_senders(planner, chain);
  if (policy.open_after)
    planner.add(chain, {.proxy_is_down = true}, Verdict::pass, "--when-proxy-down=open: what is not captured is not refused");
  pass_destinations(planner, chain, Exclusion::Protocol::udp);
  if (!policy.outbound_include_ports.empty()) refuse({.ports = policy.outbound_include_ports});
  if (policy.outbound_cidrs.kind == Selection::all) refuse({});
  if (policy.outbound_cidrs.kind == Selection::list) refuse({.destination = policy.outbound_cidrs.list});
}

}  // namespace weir::capture
