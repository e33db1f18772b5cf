// SPDX-License-Identifier: Apache-2.0
// DNS capture: the workload's queries go to the proxy, the proxy's own to the servers.
#include "capture/planner.h"

#include <fmt/format.h>

namespace weir::capture {

namespace {

constexpr std::uint16_t kProxyZone = 1, kWorkloadZone = 2;

/// The servers whose queries are captured; empty: all.
std::vector<Cidr> servers(const CapturePolicy& policy) {
  std::vector<Cidr> list;
  if (policy.dns == Selection::list)
    for (const IpAddr& server : policy.dns_servers) list.emplace_back(server, server.is_v4() ? 32U : 128U);
  return list;
}

/// A workload and its proxy may ask the same server from the same port. In one zone the second query would get the address
/// translation of the first: the proxy's would come back to it, or the workload's pass it by. So the proxy's are zone 1, the
/// workload's zone 2.
void zones(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  const std::string why = "--redirect-dns: the proxy's own queries are kept apart from the workload's";
  for (auto [uids, gids] :
       {std::pair{policy.proxy_uids, std::vector<std::uint32_t>{}}, std::pair{std::vector<std::uint32_t>{}, policy.proxy_gids}}) {
    if (uids.empty() && gids.empty()) continue;
    planner.add_zone(Chain::zone_outbound, {.ports = only(kDnsPort), .uids = uids, .gids = gids}, kProxyZone, why);
    planner.add_zone(Chain::zone_outbound, {.source_ports = only(policy.dns_port), .uids = uids, .gids = gids}, kWorkloadZone,
                     why);
  }
  planner.add_zone(Chain::zone_outbound, {.destination = servers(policy), .ports = only(kDnsPort)}, kWorkloadZone, why);
  planner.add_zone(Chain::zone_inbound, {.source = servers(policy), .source_ports = only(kDnsPort)}, kProxyZone, why);
}

}  // namespace

void plan_dns(Planner& planner) {
  if (!planner.captures_dns()) return;
  const Port port = planner.policy().dns_port;
  zones(planner);
  planner.add_hold(Chain::to_dns);
  for (auto protocol : {Match::Protocol::udp, Match::Protocol::tcp})
    planner.add(Chain::to_dns, {.protocol = protocol}, Verdict::redirect, fmt::format("--redirect-dns: port {}", port), port);
}

void pass_captured_dns(Planner& planner, Chain chain) {
  planner.add(chain, {.protocol = Match::Protocol::udp, .destination = servers(planner.policy()), .ports = only(kDnsPort)},
              Verdict::pass, "--redirect-dns: was captured, so it is no way around the proxy");
}

void capture_dns(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  const std::string why =
      policy.dns == Selection::all ? "--redirect-dns with --capture-all-dns" : "--redirect-dns: a server of resolv.conf";
  for (auto protocol : {Match::Protocol::udp, Match::Protocol::tcp})
    planner.add(Chain::outbound, {.protocol = protocol, .destination = servers(policy), .ports = only(kDnsPort)},
                Verdict::capture_dns, why);
  planner.add(Chain::outbound, {.protocol = Match::Protocol::not_tcp}, Verdict::pass,
              "default: of what is not TCP only DNS is captured");
}

}  // namespace weir::capture
