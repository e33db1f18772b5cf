// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fmt/format.h>

#include "capture/plan.h"

namespace weir::capture {

namespace {

/// "eth+" means every name that begins with eth, as iptables writes it.
bool is_interface(const std::string& pattern, const std::string& name) {
  if (!pattern.empty() && pattern.back() == '+') return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

bool contains(const std::vector<Cidr>& list, const IpAddr& address) {
  return std::any_of(list.begin(), list.end(), [&](const Cidr& cidr) { return cidr.contains(address); });
}

bool contains(const std::vector<std::uint32_t>& list, std::uint32_t id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

bool matches_headers(const Match& match, const Packet& packet) {
  if (match.protocol != Match::Protocol::any && (match.protocol == Match::Protocol::tcp) != packet.is_tcp) return false;
  const bool has_ports = packet.is_tcp != (match.protocol == Match::Protocol::udp);
  if (match.syn != Match::Syn::any && (!packet.is_tcp || (match.syn == Match::Syn::first) != packet.is_first)) return false;
  if (!match.source.empty() && !contains(match.source, packet.source)) return false;
  if (!match.destination.empty() && !contains(match.destination, packet.destination)) return false;
  if (contains(match.not_destination, packet.destination)) return false;
  if (!match.source_ports.empty() && !(has_ports && match.source_ports.contains(packet.source_port))) return false;
  if (!match.ports.empty() && !(has_ports && match.ports.contains(packet.port))) return false;
  return match.not_ports.empty() || (has_ports && !match.not_ports.contains(packet.port));
}

bool matches_place(const Match& match, const Packet& packet) {
  const std::string in = packet.from_outside ? packet.interface : "";
  const std::string out = packet.from_outside ? "" : packet.interface;
  if (!match.in_interface.empty() && !is_interface(match.in_interface, in)) return false;
  if (!match.out_interface.empty() && !is_interface(match.out_interface, out)) return false;
  if (!match.not_in_interface.empty() && is_interface(match.not_in_interface, in)) return false;
  if (!match.not_out_interface.empty() && is_interface(match.not_out_interface, out)) return false;
  if (match.is_invalid && !packet.is_invalid) return false;
  if (match.from_elsewhere && !packet.from_elsewhere) return false;
  if (match.to_excluded_domain && !packet.to_excluded_domain) return false;
  if (match.proxy_is_down && !packet.proxy_is_down) return false;
  return !match.to_this_sandbox || packet.to_this_sandbox;
}

bool matches_marks(const Match& match, const Packet& packet) {
  if (match.connection_mark) return false;  // a connection that opens has none yet
  if (match.sender_mark && !match.sender_mark->contains(packet.mark)) return false;
  return (!match.mark || *match.mark == packet.mark) && (!match.not_mark || *match.not_mark != packet.mark);
}

/// A packet that no socket of this sandbox sent has no owner: neither "is" nor "is not" holds (nft's meta skuid).
bool matches_owner(const Match& match, const Packet& packet) {
  const bool asks =
      !(match.uids.empty() && match.not_uids.empty() && match.gids.empty() && match.not_gids.empty() && !match.cgroup);
  if (asks && packet.from_outside) return false;
  if (!match.uids.empty() && !contains(match.uids, packet.uid)) return false;
  if (contains(match.not_uids, packet.uid)) return false;
  if (!match.gids.empty() && !contains(match.gids, packet.gid)) return false;
  if (match.cgroup && !match.cgroup->contains(packet.cgroup)) return false;
  return !contains(match.not_gids, packet.gid);
}

bool matches(const Match& match, const Packet& packet) {
  return matches_headers(match, packet) && matches_place(match, packet) && matches_marks(match, packet) &&
         matches_owner(match, packet);
}

/// Steps after which a packet goes on.
bool goes_on(const Step& step, const Packet& packet) {
  switch (step.verdict) {
    case Verdict::zone:
    case Verdict::open_gate:
    case Verdict::proxy_lives:
    case Verdict::mark:
    case Verdict::mark_connection: return true;
    case Verdict::hold: return !packet.gate_is_closed;
    default: return false;
  }
}

/// The first step of the chain that decides about the packet; marks it on the way.
const Step* walk(const CapturePlan& plan, Chain chain, Packet& packet) {
  for (const Step& step : plan.steps) {
    if (step.chain != chain || !matches(step.match, packet)) continue;
    if (step.verdict == Verdict::mark) packet.mark = step.mark;
    if (!goes_on(step, packet)) return &step;
  }
  return nullptr;
}

Judgement decided(Outcome outcome, const Step& step, Port port = 0) {
  return {.outcome = outcome, .port = port, .step = &step, .why = step.why};
}

Outcome refused_by(Verdict verdict) {
  return verdict == Verdict::drop ? Outcome::dropped : verdict == Verdict::refuse ? Outcome::refused : Outcome::reset;
}

struct Captured {
  Chain chain;
  Outcome outcome;
};
Captured captured_by(Verdict verdict) {
  if (verdict == Verdict::capture_inbound) return {Chain::to_inbound, Outcome::inbound};
  if (verdict == Verdict::capture_transparent) return {Chain::to_transparent, Outcome::inbound};
  if (verdict == Verdict::capture_dns) return {Chain::to_dns, Outcome::dns};
  return {Chain::to_outbound, Outcome::outbound};
}

}  // namespace

std::string_view name(Outcome outcome) {
  switch (outcome) {
    case Outcome::direct: return "direct";
    case Outcome::inbound: return "to the proxy's inbound port";
    case Outcome::outbound: return "to the proxy's outbound port";
    case Outcome::reset: return "reset";
    case Outcome::held: return "held";
    case Outcome::dropped: return "dropped";
    case Outcome::dns: return "to the proxy's DNS port";
    case Outcome::refused: return "refused";
  }
  return "?";
}

namespace {

/// What to_* does with what `step` captured.
Judgement captured(const CapturePlan& plan, const Step& step, Packet packet) {
  const Captured where = captured_by(step.verdict);
  const Step* target = walk(plan, where.chain, packet);
  if (target == nullptr) return decided(Outcome::direct, step);
  if (target->verdict == Verdict::hold) return decided(Outcome::held, *target);
  if (target->verdict == Verdict::pass) return decided(Outcome::direct, *target);
  if (packet.proxy_is_down)
    return {.outcome = Outcome::reset,
            .step = target,
            .why = fmt::format("--when-proxy-down=closed: nobody listens on port {}", target->redirect_port)};
  Judgement judgement = decided(where.outcome, step, target->redirect_port);
  judgement.target = target;
  return judgement;
}

bool captures(const Step* step) { return step != nullptr && step->verdict != Verdict::pass; }

bool opens_gate(const CapturePlan& plan, const Packet& packet) {
  return !packet.from_outside && std::any_of(plan.steps.begin(), plan.steps.end(), [&](const Step& step) {
    return step.verdict == Verdict::open_gate && matches(step.match, packet);
  });
}

}  // namespace

Judgement judge(const CapturePlan& plan, const Packet& packet) {
  Packet seen = packet;
  if (!plan.start_gate || opens_gate(plan, packet)) seen.gate_is_closed = false;

  if (const Step* step = walk(plan, packet.from_outside ? Chain::guard_inbound : Chain::guard_outbound, seen))
    return decided(refused_by(step->verdict), *step);
  if (!packet.from_outside)
    if (const Step* step = walk(plan, Chain::udp_outbound, seen); step != nullptr && step->verdict == Verdict::refuse)
      return decided(Outcome::refused, *step);
  if (!packet.from_outside) walk(plan, Chain::mark_outbound, seen);  // it decides nothing but marks
  Packet arriving = seen;  // what stays in the sandbox comes in by lo, and there nobody owns it any more
  arriving.from_outside = true;
  const bool arrives = packet.from_outside || packet.interface == "lo";
  if (arrives)
    if (const Step* step = walk(plan, Chain::tracked_inbound, arriving); step != nullptr && step->verdict == Verdict::drop)
      return decided(Outcome::dropped, *step);
  // nf_nat leaves alone what belongs to no connection.
  if (packet.is_invalid) return {.why = "connection tracking cannot place it, so it is not translated"};
  const Step* transparent = arrives ? walk(plan, Chain::transparent_inbound, arriving) : nullptr;
  if (packet.from_outside && captures(transparent)) return captured(plan, *transparent, arriving);
  const Step* step = walk(plan, packet.from_outside ? Chain::inbound : Chain::outbound, seen);
  if (captures(step)) return captured(plan, *step, seen);
  // What a process sent is translated before it arrives.
  if (captures(transparent)) return captured(plan, *transparent, arriving);
  if (packet.from_outside && transparent != nullptr) step = transparent;
  if (step == nullptr) return {.why = "no step matches"};
  return decided(Outcome::direct, *step);
}

}  // namespace weir::capture
