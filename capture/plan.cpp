// SPDX-License-Identifier: Apache-2.0
#include "capture/plan.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace weir::capture {

namespace {

const Cidr kLoopback6{IpAddr::loopback(Family::v6), 128};

Cidr host(const char* text) { return *Cidr::parse(text); }

std::string joined(const std::vector<std::uint32_t>& ids) { return fmt::format("{}", fmt::join(ids, ",")); }

/// Lists of people may be long: a why stays within what a rule comment can hold.
std::string shortened(std::string text) {
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

class Planner {
 public:
  explicit Planner(const CapturePolicy& policy) : policy_(policy) {}

  CapturePlan make() {
    if (policy_.mode == Mode::none) return {.steps = {}, .start_gate = std::nullopt, .needs_inbound_source6 = false};
    plan_.start_gate = policy_.start_gate;
    guards();
    if (policy_.drop_invalid)
      add(Chain::tracked_inbound, {.is_invalid = true}, Verdict::drop, "--drop-invalid: connection tracking cannot place it");
    targets();
    inbound();
    outbound();
    return std::move(plan_);
  }

 private:
  void add(Chain chain, Match match, Verdict verdict, std::string why, Port redirect_port = 0) {
    plan_.steps.push_back({chain, std::move(match), verdict, redirect_port, std::move(why)});
  }

  void guards() {
    PortSet own;
    own.add(policy_.outbound_port);
    own.add(policy_.inbound_port);
    add(Chain::guard_inbound,
        {.protocol = Match::Protocol::tcp,
         .syn = Match::Syn::first,
         .not_in_interface = "lo",
         .ports = own,
         .to_this_sandbox = true},
        Verdict::reset, "loop guard: nobody outside may address the proxy's capture ports");
    if (policy_.start_gate)
      add(Chain::guard_outbound, {.uids = policy_.proxy_uids}, Verdict::open_gate,
          "--start-gate: the first packet of the proxy's uid (--proxy-uid) opens the gate for good");
    add(Chain::guard_outbound, {.protocol = Match::Protocol::tcp, .syn = Match::Syn::first, .out_interface = "lo", .ports = own},
        Verdict::reset, "loop guard: no process of the sandbox may address the proxy's capture ports");
  }

  void targets() {
    for (auto [chain, port, flag] : {std::tuple{Chain::to_inbound, policy_.inbound_port, "--inbound-capture-port"},
                                     std::tuple{Chain::to_outbound, policy_.outbound_port, "--envoy-port"}}) {
      if (policy_.start_gate)
        add(chain, {}, Verdict::hold,
            fmt::format("--start-gate: wait up to {} for the proxy's first packet", weir::to_text(*policy_.start_gate)));
      add(chain, {.protocol = Match::Protocol::tcp}, Verdict::redirect, fmt::format("{} {}", flag, port), port);
    }
  }

  /// What both directions begin with. Without the second, connections that are older than the rules would be translated in
  /// mid-stream and so reset.
  void only_new_tcp(Chain chain) {
    add(chain, {.protocol = Match::Protocol::not_tcp}, Verdict::pass, "default: only TCP is captured");
    add(chain, {.protocol = Match::Protocol::tcp, .syn = Match::Syn::later}, Verdict::pass,
        "default: connections that are older than the rules stay as they are");
  }

  void inbound() {
    constexpr Chain chain = Chain::inbound;
    only_new_tcp(chain);
    add(chain, {.in_interface = "lo"}, Verdict::pass, "default: what stays in the sandbox was decided when it was sent");
    kube_virt();
    for (const std::string& interface : policy_.exclude_interfaces)
      add(chain, {.in_interface = interface}, Verdict::pass, "--istio-exclude-interfaces " + interface);
    if (policy_.inbound_ports.kind == Selection::none) {
      add(chain, {}, Verdict::pass, "--istio-inbound-ports is empty: nothing inbound is captured");
      return;
    }
    add(chain, {.protocol = Match::Protocol::tcp, .ports = port(policy_.tunnel_port)}, Verdict::pass,
        fmt::format("--inbound-tunnel-port {} is never captured", policy_.tunnel_port));
    if (policy_.inbound_ports.kind == Selection::list) {
      add_ports(chain, policy_.inbound_ports.list, Verdict::capture_inbound, "--istio-inbound-ports");
      add(chain, {}, Verdict::pass, "--istio-inbound-ports does not name the port");
      return;
    }
    add_ports(chain, policy_.inbound_exclude_ports, Verdict::pass, "--istio-local-exclude-ports");
    add(chain, {}, Verdict::capture_inbound, "--istio-inbound-ports *");
  }

  void kube_virt() {
    for (const std::string& interface : policy_.kube_virt_interfaces) {
      const std::string why = "--kube-virt-interfaces " + interface;
      if (policy_.outbound_cidrs.kind == Selection::all)
        add(Chain::inbound, {.in_interface = interface}, Verdict::capture_outbound, why);
      else if (policy_.outbound_cidrs.kind == Selection::list)
        add(Chain::inbound, {.in_interface = interface, .destination = policy_.outbound_cidrs.list}, Verdict::capture_outbound,
            why + " with --istio-service-cidr");
      add(Chain::inbound, {.in_interface = interface}, Verdict::pass, why + ": not captured as inbound");
    }
  }

  void outbound() {
    constexpr Chain chain = Chain::outbound;
    only_new_tcp(chain);
    for (const std::string& interface : policy_.exclude_interfaces)
      add(chain, {.out_interface = interface}, Verdict::pass, "--istio-exclude-interfaces " + interface);
    add_ports(chain, policy_.outbound_exclude_ports, Verdict::pass, "--istio-local-outbound-ports-exclude");
    add(chain, {.out_interface = "lo", .source = {host(well_known::kInboundSource4), host(well_known::kInboundSource6)}},
        Verdict::pass, "default: the proxy speaks to its workload from 127.0.0.6 and ::6");
    owners();
    add(chain, {.destination = {policy_.loopback_cidr4, kLoopback6}}, Verdict::pass,
        "default: localhost is private to the sandbox");
    if (!policy_.outbound_exclude_cidrs.empty())
      add(chain, {.destination = policy_.outbound_exclude_cidrs}, Verdict::pass, "--istio-service-exclude-cidr");
    add_ports(chain, policy_.outbound_include_ports, Verdict::capture_outbound, "--istio-outbound-ports");
    destinations();
  }

  void owners() {
    constexpr Chain chain = Chain::outbound;
    // All uids at once: istio-iptables writes a block for each uid, and the first block's return hides the self redirect of the
    // others (row G14 of the decision table).
    Match self{.protocol = Match::Protocol::tcp,
               .out_interface = "lo",
               .not_destination = {policy_.loopback_cidr4, kLoopback6},
               .not_ports = port(policy_.tunnel_port)};
    Match by_uid = self;
    by_uid.uids = policy_.proxy_uids;
    add(chain, by_uid, Verdict::capture_inbound, "--proxy-uid: the proxy calls its own sandbox, as any client would");
    if (!includes_loopback()) {
      add(chain, {.out_interface = "lo", .not_uids = policy_.proxy_uids}, Verdict::pass,
          "default: the workload calls itself directly");
    } else if (!policy_.proxy_gids.empty()) {
      Match by_gid = self;
      by_gid.gids = policy_.proxy_gids;
      add(chain, by_gid, Verdict::capture_inbound, "--proxy-gid: the proxy calls its own sandbox, as any client would");
    }
    add(chain, {.uids = policy_.proxy_uids}, Verdict::pass, "--proxy-uid " + shortened(joined(policy_.proxy_uids)));
    if (!policy_.proxy_gids.empty())
      add(chain, {.gids = policy_.proxy_gids}, Verdict::pass, "--proxy-gid " + shortened(joined(policy_.proxy_gids)));
    const OwnerGroups& groups = policy_.owner_groups;
    if (!groups.all)
      add(chain, {.not_gids = groups.include}, Verdict::pass,
          "ISTIO_OUTBOUND_OWNER_GROUPS names only " + shortened(joined(groups.include)));
    else if (!groups.exclude.empty())
      add(chain, {.gids = groups.exclude}, Verdict::pass,
          "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE " + shortened(joined(groups.exclude)));
  }

  void destinations() {
    constexpr Chain chain = Chain::outbound;
    switch (policy_.outbound_cidrs.kind) {
      case Selection::all: add(chain, {}, Verdict::capture_outbound, "--istio-service-cidr *"); return;
      case Selection::list:
        add(chain, {.destination = policy_.outbound_cidrs.list}, Verdict::capture_outbound, "--istio-service-cidr");
        add(chain, {}, Verdict::pass, "--istio-service-cidr does not contain the destination");
        return;
      case Selection::none: add(chain, {}, Verdict::pass, "--istio-service-cidr is empty: no outbound destination is captured");
    }
  }

  void add_ports(Chain chain, const PortSet& ports, Verdict verdict, const std::string& flag) {
    if (!ports.empty())
      add(chain, {.protocol = Match::Protocol::tcp, .ports = ports}, verdict, flag + " " + shortened(ports.to_text()));
  }

  /// As istio-iptables: by the first address of a range, so 127.0.0.0/8 does and 0.0.0.0/0 does not.
  bool includes_loopback() const {
    const auto& list = policy_.outbound_cidrs.list;
    return policy_.outbound_cidrs.kind == Selection::list &&
           std::any_of(list.begin(), list.end(), [](const Cidr& cidr) { return cidr.address().is_loopback(); });
  }

  static PortSet port(Port port) {
    PortSet set;
    set.add(port);
    return set;
  }

  const CapturePolicy& policy_;
  CapturePlan plan_;
};

std::string signed_list(std::string_view label, const std::vector<std::uint32_t>& is, const std::vector<std::uint32_t>& is_not) {
  if (!is.empty()) return fmt::format("{} {}", label, joined(is));
  if (!is_not.empty()) return fmt::format("{} not {}", label, joined(is_not));
  return "";
}

std::string signed_list(std::string_view label, const std::vector<Cidr>& is, const std::vector<Cidr>& is_not) {
  const auto& list = is.empty() ? is_not : is;
  if (list.empty()) return "";
  std::string text = fmt::format("{}{}", label, is.empty() ? " not" : "");
  for (const Cidr& cidr : list) text += " " + cidr.to_text();
  return text;
}

}  // namespace

CapturePlan plan(const CapturePolicy& policy) { return Planner(policy).make(); }

bool is_always_there(Chain chain) { return chain != Chain::tracked_inbound; }

std::vector<Chain> chains_of(const CapturePlan& plan) {
  std::vector<Chain> chains;
  for (Chain chain : kChains)
    if (is_always_there(chain) ||
        std::any_of(plan.steps.begin(), plan.steps.end(), [&](const Step& step) { return step.chain == chain; }))
      chains.push_back(chain);
  return chains;
}

std::string_view name(Chain chain) {
  switch (chain) {
    case Chain::guard_inbound: return "guard_inbound";
    case Chain::guard_outbound: return "guard_outbound";
    case Chain::tracked_inbound: return "tracked_inbound";
    case Chain::inbound: return "inbound";
    case Chain::outbound: return "outbound";
    case Chain::to_inbound: return "to_inbound";
    case Chain::to_outbound: return "to_outbound";
  }
  return "?";
}

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::pass: return "pass";
    case Verdict::capture_inbound: return "capture as inbound";
    case Verdict::capture_outbound: return "capture as outbound";
    case Verdict::redirect: return "redirect";
    case Verdict::reset: return "reset";
    case Verdict::hold: return "hold";
    case Verdict::open_gate: return "open the gate";
    case Verdict::drop: return "drop";
  }
  return "?";
}

std::string to_text(const Match& match) {
  std::vector<std::string> parts;
  auto add = [&](std::string part) {
    if (!part.empty()) parts.push_back(std::move(part));
  };
  if (match.protocol == Match::Protocol::not_tcp) add("not tcp");
  if (match.protocol == Match::Protocol::tcp) add("tcp");
  if (match.syn == Match::Syn::first) add("first packet");
  if (match.syn == Match::Syn::later) add("later packets");
  if (!match.in_interface.empty()) add("in by " + match.in_interface);
  if (!match.not_in_interface.empty()) add("in by not " + match.not_in_interface);
  if (!match.out_interface.empty()) add("out by " + match.out_interface);
  add(signed_list("from", match.source, {}));
  add(signed_list("to", match.destination, match.not_destination));
  if (match.to_this_sandbox) add("to this sandbox");
  if (match.is_invalid) add("invalid");
  if (!match.ports.empty()) add("port " + match.ports.to_text());
  if (!match.not_ports.empty()) add("port not " + match.not_ports.to_text());
  add(signed_list("uid", match.uids, match.not_uids));
  add(signed_list("gid", match.gids, match.not_gids));
  return parts.empty() ? "everything" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string verdict_text(const Step& step) {
  if (step.verdict == Verdict::redirect) return fmt::format("redirect to {}", step.redirect_port);
  return std::string(name(step.verdict));
}

std::string to_text(const CapturePlan& plan) {
  if (plan.steps.empty()) return "nothing is captured\n";
  std::string text;
  for (Chain chain : chains_of(plan)) {
    text += fmt::format("{}:\n", name(chain));
    int number = 0;
    for (const Step& step : plan.steps)
      if (step.chain == chain)
        text += fmt::format("  {:2}. {}: {}\n      why: {}\n", ++number, to_text(step.match), verdict_text(step), step.why);
  }
  return text;
}

}  // namespace weir::capture
