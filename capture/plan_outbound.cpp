// SPDX-License-Identifier: Apache-2.0
// From the sandbox: whose connections go to the proxy, and to where.
#include "capture/planner.h"

#include <fmt/format.h>

namespace weir::capture {

namespace {

void calls_itself(Planner& planner) {
  planner.add(Chain::outbound, {.out_interface = "lo", .not_uids = planner.policy().proxy_uids}, Verdict::pass,
              "default: the workload calls itself directly");
}

void owners(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  constexpr Chain chain = Chain::outbound;
  // All uids at once: istio-iptables writes a block for each uid, and the first block's return hides the self redirect of the
  // others (row G14 of the decision table).
  Match self{.protocol = Match::Protocol::tcp,
             .out_interface = "lo",
             .not_destination = {policy.loopback_cidr4, kLoopback6},
             .not_ports = only(policy.tunnel_port)};
  if (planner.captures_dns()) self.not_ports.add(kDnsPort);  // the servers that the proxy asks may be the sandbox's own
  for (const Match& match : planner.sent_by_proxy(self)) {
    const std::string by = planner.known_by(match);
    planner.add(chain, match, Verdict::capture_inbound,
                by.substr(0, by.find(' ')) + ": the proxy calls its own sandbox, as any client would");
  }
  if (!planner.includes_loopback()) {
    if (!planner.captures_dns()) calls_itself(planner);  // else after DNS, which is captured here too
  } else if (!policy.proxy_gids.empty()) {
    Match by_gid = self;
    by_gid.gids = policy.proxy_gids;
    planner.add(chain, by_gid, Verdict::capture_inbound, "--proxy-gid: the proxy calls its own sandbox, as any client would");
  }
  pass_senders(planner, chain);
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
  if (planner.captures_dns())
    planner.add_older_tcp(chain);
  else
    planner.add_only_new_tcp(chain);
  if (planner.is_transparent())
    planner.add(chain, {.protocol = Match::Protocol::tcp, .mark = policy.tproxy_mark}, Verdict::pass,
                "--istio-inbound-tproxy-mark: what the proxy calls with the client's address");
  for (const std::string& interface : policy.exclude_interfaces)
    planner.add(chain, {.out_interface = interface}, Verdict::pass, "--istio-exclude-interfaces " + interface);
  planner.add_ports(chain, policy.outbound_exclude_ports, Verdict::pass, "--istio-local-outbound-ports-exclude");
  if (planner.captures_dns() && policy.outbound_exclude_ports.contains(kDnsPort))
    planner.add(chain, {.protocol = Match::Protocol::udp, .ports = only(kDnsPort)}, Verdict::pass,
                "--istio-local-outbound-ports-exclude names 53, so DNS is not captured");
  planner.add(chain, {.out_interface = "lo", .source = {host(well_known::kInboundSource4), host(well_known::kInboundSource6)}},
              Verdict::pass, "default: the proxy speaks to its workload from 127.0.0.6 and ::6");
  owners(planner);
  if (planner.captures_dns()) {
    capture_dns(planner);
    if (!planner.includes_loopback()) calls_itself(planner);
  }
  planner.add(chain, {.destination = {policy.loopback_cidr4, kLoopback6}}, Verdict::pass,
              "default: localhost is private to the sandbox");
  pass_destinations(planner, chain, Exclusion::Protocol::tcp);
  planner.add_ports(chain, policy.outbound_include_ports, Verdict::capture_outbound, "--istio-outbound-ports");
  destinations(planner);
}

}  // namespace weir::capture
