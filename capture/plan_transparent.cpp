// SPDX-License-Identifier: Apache-2.0
// Mode tproxy: inbound connections go to the proxy's transparent socket, which sees client and destination as they are; and the
// proxy may call its workload with the client's address.
//
// Two marks. What the proxy calls in its own sandbox, as any client would, has kSelfMark: it says no more than "take this too",
// and no routing rule looks at it. The other, tproxy_mark, is routed into the sandbox; it is on connections to the workload under
// a borrowed address, so that the answers, which would leave by the default route, come back. Nothing that comes from outside
// gets a mark: its destination is here already, and with sysctl src_valid_mark a marked packet's source would be looked up by
// that routing rule and found invalid.
#include "capture/planner.h"

#include <fmt/format.h>

namespace weir::capture {

namespace {

using Protocol = Match::Protocol;
using Syn = Match::Syn;

/// A step for the proxy's uids and one for its gids.
void mark_owned(Planner& planner, Match match, std::uint32_t mark, const std::string& why) {
  const CapturePolicy& policy = planner.policy();
  match.uids = policy.proxy_uids;
  planner.add_mark(Chain::mark_outbound, match, Verdict::mark, mark, why);
  if (policy.proxy_gids.empty()) return;
  match.uids.clear();
  match.gids = policy.proxy_gids;
  planner.add_mark(Chain::mark_outbound, match, Verdict::mark, mark, why);
}

void marks(Planner& planner) {
  constexpr Chain chain = Chain::mark_outbound;
  const CapturePolicy& policy = planner.policy();
  const std::uint32_t borrowed = policy.tproxy_mark;
  mark_owned(planner, {.protocol = Protocol::tcp, .syn = Syn::first, .out_interface = "lo", .from_elsewhere = true}, borrowed,
             "mode TPROXY: the proxy calls its workload with the client's address");
  planner.add_mark(chain, {.protocol = Protocol::tcp, .syn = Syn::first, .out_interface = "lo", .mark = borrowed},
                   Verdict::mark_connection, borrowed, "--istio-inbound-tproxy-mark: the answers shall come back to the proxy");
  planner.add(chain, {.protocol = Protocol::tcp, .out_interface = "lo", .mark = borrowed}, Verdict::pass,
              "--istio-inbound-tproxy-mark: what the proxy calls with the client's address");
  planner.add(chain,
              {.protocol = Protocol::tcp,
               .out_interface = "lo",
               .source = {host(well_known::kInboundSource4), host(well_known::kInboundSource6)}},
              Verdict::pass, "default: the proxy speaks to its workload from 127.0.0.6 and ::6");
  mark_owned(planner,
             {.protocol = Protocol::tcp,
              .syn = Syn::first,
              .out_interface = "lo",
              .not_destination = {policy.loopback_cidr4, kLoopback6}},
             well_known::kSelfMark, "mode TPROXY: the proxy calls its own sandbox, as any client would");
  planner.add_mark(chain, {.protocol = Protocol::tcp, .connection_mark = borrowed}, Verdict::mark, borrowed,
                   "--istio-inbound-tproxy-mark: the workload answers a client whose address the proxy has taken");
}

}  // namespace

void plan_transparent(Planner& planner) {
  if (!planner.is_transparent()) return;
  const CapturePolicy& policy = planner.policy();
  planner.reply_route({.mark = policy.tproxy_mark, .table = policy.tproxy_route_table});
  marks(planner);

  planner.add_hold(Chain::to_transparent);
  planner.add(Chain::to_transparent, {.protocol = Protocol::tcp}, Verdict::transparent,
              fmt::format("--inbound-capture-port {}", policy.inbound_port), policy.inbound_port);
  planner.add(Chain::to_transparent, {.protocol = Protocol::tcp}, Verdict::reset,
              fmt::format("default: no transparent socket listens on {}, so the connection is refused", policy.inbound_port));

  constexpr Chain chain = Chain::transparent_inbound;
  planner.add_only_new_tcp(chain);
  planner.add(chain, {.in_interface = "lo", .not_mark = well_known::kSelfMark}, Verdict::pass,
              "default: what stays in the sandbox was decided when it was sent");
  planner.add(chain, {.in_interface = "lo", .destination = {policy.loopback_cidr4, kLoopback6}}, Verdict::pass,
              "default: was redirected when it was sent");
  for (const std::string& interface : policy.kube_virt_interfaces)
    planner.add(chain, {.in_interface = interface}, Verdict::pass,
                "--kube-virt-interfaces " + interface + ": counts as outbound");
  for (const std::string& interface : policy.exclude_interfaces)
    planner.add(chain, {.in_interface = interface}, Verdict::pass, "--istio-exclude-interfaces " + interface);
  add_inbound_ports(planner, chain, Verdict::capture_transparent, true);
}

}  // namespace weir::capture
