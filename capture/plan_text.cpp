// SPDX-License-Identifier: Apache-2.0
// A plan in words.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "capture/planner.h"

namespace weir::capture {

namespace {

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

std::string_view name(Chain chain) {
  switch (chain) {
    case Chain::zone_inbound: return "zone_inbound";
    case Chain::zone_outbound: return "zone_outbound";
    case Chain::guard_inbound: return "guard_inbound";
    case Chain::guard_outbound: return "guard_outbound";
    case Chain::tracked_inbound: return "tracked_inbound";
    case Chain::kept_flags: return "kept_flags";
    case Chain::inbound: return "inbound";
    case Chain::outbound: return "outbound";
    case Chain::to_inbound: return "to_inbound";
    case Chain::to_outbound: return "to_outbound";
    case Chain::to_dns: return "to_dns";
    case Chain::mark_outbound: return "mark_outbound";
    case Chain::transparent_inbound: return "transparent_inbound";
    case Chain::to_transparent: return "to_transparent";
    case Chain::udp_outbound: return "udp_outbound";
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
    case Verdict::refuse: return "refuse";
    case Verdict::hold: return "hold";
    case Verdict::open_gate: return "open the gate";
    case Verdict::proxy_lives: return "the proxy lives";
    case Verdict::drop: return "drop";
    case Verdict::capture_dns: return "capture as DNS";
    case Verdict::zone: return "zone";
    case Verdict::mark: return "mark";
    case Verdict::mark_connection: return "mark the connection";
    case Verdict::capture_transparent: return "capture transparently";
    case Verdict::transparent: return "to the transparent socket";
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
  if (match.protocol == Match::Protocol::udp) add("udp");
  if (match.syn == Match::Syn::first) add("first packet");
  if (match.syn == Match::Syn::later) add("later packets");
  if (!match.in_interface.empty()) add("in by " + match.in_interface);
  if (!match.not_in_interface.empty()) add("in by not " + match.not_in_interface);
  if (!match.out_interface.empty()) add("out by " + match.out_interface);
  if (!match.not_out_interface.empty()) add("out by not " + match.not_out_interface);
  add(signed_list("from", match.source, {}));
  add(signed_list("to", match.destination, match.not_destination));
  if (match.to_this_sandbox) add("to this sandbox");
  if (match.from_elsewhere) add("from elsewhere's address");
  if (match.mark) add(fmt::format("mark {}", *match.mark));
  if (match.not_mark) add(fmt::format("mark not {}", *match.not_mark));
  if (match.connection_mark) add(fmt::format("connection mark {}", *match.connection_mark));
  if (match.to_excluded_domain) add("to an excluded domain");
  if (match.is_invalid) add("invalid");
  if (match.proxy_is_down) add("the proxy is down");
  if (!match.source_ports.empty()) add("from port " + match.source_ports.to_text());
  if (!match.ports.empty()) add("port " + match.ports.to_text());
  if (!match.not_ports.empty()) add("port not " + match.not_ports.to_text());
  add(signed_list("uid", match.uids, match.not_uids));
  add(signed_list("gid", match.gids, match.not_gids));
  if (match.sender_mark) add("mark " + match.sender_mark->to_text());
  if (match.cgroup) add("cgroup " + match.cgroup->path);
  return parts.empty() ? "everything" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string verdict_text(const Step& step) {
  if (step.verdict == Verdict::redirect) return fmt::format("redirect to {}", step.redirect_port);
  if (step.verdict == Verdict::transparent) return fmt::format("to the transparent socket on {}", step.redirect_port);
  if (step.verdict == Verdict::mark || step.verdict == Verdict::mark_connection)
    return fmt::format("{} {}", name(step.verdict), step.mark);
  if (step.verdict == Verdict::zone) return fmt::format("zone {}", step.zone);
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
  if (plan.reply_route)
    text += fmt::format("routing:\n   1. mark {}: deliver here, by table {}\n", plan.reply_route->mark, plan.reply_route->table);
  return text;
}

}  // namespace weir::capture
