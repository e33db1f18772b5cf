// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

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
  if (match.syn != Match::Syn::any && (!packet.is_tcp || (match.syn == Match::Syn::first) != packet.is_first)) return false;
  if (!match.source.empty() && !contains(match.source, packet.source)) return false;
  if (!match.destination.empty() && !contains(match.destination, packet.destination)) return false;
  if (contains(match.not_destination, packet.destination)) return false;
  if (!match.ports.empty() && !(packet.is_tcp && match.ports.contains(packet.port))) return false;
  return match.not_ports.empty() || (packet.is_tcp && !match.not_ports.contains(packet.port));
}

bool matches_place(const Match& match, const Packet& packet) {
  const std::string in = packet.from_outside ? packet.interface : "";
  const std::string out = packet.from_outside ? "" : packet.interface;
  if (!match.in_interface.empty() && !is_interface(match.in_interface, in)) return false;
  if (!match.out_interface.empty() && !is_interface(match.out_interface, out)) return false;
  if (!match.not_in_interface.empty() && is_interface(match.not_in_interface, in)) return false;
  if (match.is_invalid && !packet.is_invalid) return false;
  return !match.to_this_sandbox || packet.to_this_sandbox;
}

/// A packet that no socket of this sandbox sent has no owner: neither "is" nor "is not" holds (nft's meta skuid).
bool matches_owner(const Match& match, const Packet& packet) {
  const bool asks = !(match.uids.empty() && match.not_uids.empty() && match.gids.empty() && match.not_gids.empty());
  if (asks && packet.from_outside) return false;
  if (!match.uids.empty() && !contains(match.uids, packet.uid)) return false;
  if (contains(match.not_uids, packet.uid)) return false;
  if (!match.gids.empty() && !contains(match.gids, packet.gid)) return false;
  return !contains(match.not_gids, packet.gid);
}

bool matches(const Match& match, const Packet& packet) {
  return matches_headers(match, packet) && matches_place(match, packet) && matches_owner(match, packet);
}

/// The first step of the chain that decides about the packet.
const Step* walk(const CapturePlan& plan, Chain chain, const Packet& packet) {
  for (const Step& step : plan.steps) {
    if (step.chain != chain || !matches(step.match, packet)) continue;
    if (step.verdict == Verdict::open_gate || (step.verdict == Verdict::hold && !packet.gate_is_closed)) continue;
    return &step;
  }
  return nullptr;
}

Judgement decided(Outcome outcome, const Step& step, Port port = 0) { return {outcome, port, &step, step.why}; }

}  // namespace

std::string_view name(Outcome outcome) {
  switch (outcome) {
    case Outcome::direct: return "direct";
    case Outcome::inbound: return "to the proxy's inbound port";
    case Outcome::outbound: return "to the proxy's outbound port";
    case Outcome::reset: return "reset";
    case Outcome::held: return "held";
    case Outcome::dropped: return "dropped";
  }
  return "?";
}

Judgement judge(const CapturePlan& plan, const Packet& packet) {
  Packet seen = packet;
  const bool opens = std::any_of(plan.steps.begin(), plan.steps.end(), [&](const Step& step) {
    return step.verdict == Verdict::open_gate && !packet.from_outside && matches(step.match, packet);
  });
  if (opens || !plan.start_gate) seen.gate_is_closed = false;

  if (const Step* step = walk(plan, packet.from_outside ? Chain::guard_inbound : Chain::guard_outbound, seen))
    return decided(Outcome::reset, *step);
  if (packet.from_outside || packet.interface == "lo")
    if (const Step* step = walk(plan, Chain::tracked_inbound, seen)) return decided(Outcome::dropped, *step);
  // nf_nat leaves alone what belongs to no connection.
  if (packet.is_invalid) return {.why = "connection tracking cannot place it, so it is not translated"};
  const Step* step = walk(plan, packet.from_outside ? Chain::inbound : Chain::outbound, seen);
  if (step == nullptr) return {.why = "no step matches"};
  if (step->verdict == Verdict::pass) return decided(Outcome::direct, *step);
  const bool is_inbound = step->verdict == Verdict::capture_inbound;
  const Step* target = walk(plan, is_inbound ? Chain::to_inbound : Chain::to_outbound, seen);
  if (target == nullptr) return decided(Outcome::direct, *step);
  if (target->verdict == Verdict::hold) return decided(Outcome::held, *target);
  return decided(is_inbound ? Outcome::inbound : Outcome::outbound, *step, target->redirect_port);
}

}  // namespace weir::capture
