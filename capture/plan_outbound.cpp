// SPDX-License-Identifier: Apache-2.0
// From the sandbox: whose connections go to the proxy, and to where.
#include "capture/planner.h"

#include <fmt/format.h>

namespace weir::capture {

namespace {

void owners(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  constexpr Chain chain = Chain::outbound;
  // All uids at once: istio-iptables writes a block for each uid, and the first block's return hides the self redirect of the
  // others (row G14 of the decision table).
  Match self{.protocol = Match::Protocol::tcp,
             .out_interface = "lo",
             .not_destination = {policy.loopback_cidr4, kLoopback6},
             .not_ports = only(policy.tunnel_port)};
  Match by_uid = self;
  by_uid.uids = policy.proxy_uids;
  planner.add(chain, by_uid, Verdict::capture_inbound, "--proxy-uid: the proxy calls its own sandbox, as any client would");
  if (!planner.includes_loopback()) {
    planner.add(chain, {.out_interface = "lo", .not_uids = policy.proxy_uids}, Verdict::pass,
                "default: the workload calls itself directly");
  } else if (!policy.proxy_gids.empty()) {
    Match by_gid = self;
    by_gid.gids = policy.proxy_gids;
    planner.add(chain, by_gid, Verdict::capture_inbound, "--proxy-gid: the proxy calls its own sandbox, as any client would");
  }
  planner.add(chain, {.uids = policy.proxy_uids}, Verdict::pass, "--proxy-uid " + shortened(joined(policy.proxy_uids)));
  if (!policy.proxy_gids.empty())
    planner.add(chain, {.gids = policy.proxy_gids}, Verdict::pass, "--proxy-gid " + shortened(joined(policy.proxy_gids)));
  const OwnerGroups& groups = policy.owner_groups;
  if (!groups.all)
    planner.add(chain, {.not_gids = groups.include}, Verdict::pass,
                "ISTIO_OUTBOUND_OWNER_GROUPS names only " + shortened(joined(groups.include)));
  else if (!groups.exclude.empty())
    planner.add(chain, {.gids = groups.exclude}, Verdict::pass,
                "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE " + shortened(joined(groups.exclude)));
}

void destinations(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  constexpr Chain chain = Chain::outbound;
  switch (policy.outbound_cidrs.kind) {
    case Selection::all: planner.add(chain, {}, Verdict::capture_outbound, "--istio-service-cidr *"); return;
    case Selection::list:
      planner.add(chain, {.destination = policy.outbound_cidrs.list}, Verdict::capture_outbound, "--istio-service-cidr");
      planner.add(chain, {}, Verdict::pass, "--istio-service-cidr does not contain the destination");
      return;
    case Selection::none:
      planner.add(chain, {}, Verdict::pass, "--istio-service-cidr is empty: no outbound destination is captured");
  }
}

}  // namespace

void plan_outbound(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  constexpr Chain chain = Chain::outbound;
  planner.add_only_new_tcp(chain);
  for (const std::string& interface : policy.exclude_interfaces)
    planner.add(chain, {.out_interface = interface}, Verdict::pass, "--istio-exclude-interfaces " + interface);
  planner.add_ports(chain, policy.outbound_exclude_ports, Verdict::pass, "--istio-local-outbound-ports-exclude");
  planner.add(chain, {.out_interface = "lo", .source = {host(well_known::kInboundSource4), host(well_known::kInboundSource6)}},
              Verdict::pass, "default: the proxy speaks to its workload from 127.0.0.6 and ::6");
  owners(planner);
  planner.add(chain, {.destination = {policy.loopback_cidr4, kLoopback6}}, Verdict::pass,
              "default: localhost is private to the sandbox");
  if (!policy.outbound_exclude_cidrs.empty())
    planner.add(chain, {.destination = policy.outbound_exclude_cidrs}, Verdict::pass, "--istio-service-exclude-cidr");
  planner.add_ports(chain, policy.outbound_include_ports, Verdict::capture_outbound, "--istio-outbound-ports");
  destinations(planner);
}

}  // namespace weir::capture
