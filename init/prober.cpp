// SPDX-License-Identifier: Apache-2.0
#include "init/prober.h"

#include <algorithm>
#include <map>
#include <random>

#include <netinet/in.h>

#include "init/explain.h"
#include "iptables-rules/packet_trace.h"
#include "iptables-rules/xtables_counters.h"
#include "iptables-rules/xtables_gate.h"
#include "kernel/conntrack.h"
#include "kernel/probe_socket.h"
#include "kernel/socket.h"

namespace weir::init {

namespace {

using capture::Outcome;
using capture::Packet;

/// Above the ports that Linux gives to sockets by itself; where a port is taken the next is used.
constexpr Port kFirstPort = 61000, kPorts = 400;
/// A packet is decided within microseconds; the rest is for a busy machine. One that was refused is told of
/// already.
constexpr Nanoseconds kLimit = std::chrono::milliseconds(150), kShortLimit = std::chrono::milliseconds(20),
                      kNoLimit = std::chrono::milliseconds(1);

PortRange random_ports() {
  std::random_device random;
  const auto first = static_cast<Port>(kFirstPort + random() % (65535 - kFirstPort - kPorts));
  return {first, static_cast<Port>(first + kPorts - 1)};
}

std::optional<xtables::Variant> variant_of(std::string_view backend) {
  if (backend == "iptables-nft") return xtables::Variant::nft;
  if (backend == "iptables-legacy") return xtables::Variant::legacy;
  return std::nullopt;
}

class KernelProber : public Prober {
 public:
  KernelProber(const Wanted& wanted, PortRange ports)
      : wanted_(wanted), variant_(variant_of(wanted.backend)), ports_(ports), next_port_(ports.first) {}

  Result<> begin() {
    auto trace = nft::PacketTrace::begin(ports_, kernel::ProbeLink::kName);
    if (!trace) return pass(trace.error());
    trace_ = std::move(*trace);
    if (variant_) {
      if (!wanted_.plan.start_gate) return {};
      auto waiting = xtables::GateList(std::string(xtables::kGateFolder)).read();
      if (!waiting) return pass(waiting.error());
      waiting_ = *waiting;
      return {};
    }
    auto snapshot = nft::take_snapshot(*netlink_);
    if (!snapshot) return pass(snapshot.error());
    snapshot_ = std::move(*snapshot);
    if (!wanted_.plan.start_gate || !snapshot_.has_holding_set) return {};
    auto holds = nft::gate_holds(*netlink_);
    if (!holds) return pass(holds.error());
    gate_is_closed_ = *holds;
    return {};
  }

  bool gate_is_closed() const override { return gate_is_closed_; }

  Result<Way> way_to(const IpAddr& destination) override {
    auto found = kernel::egress(*netlink_, destination);
    if (!found) return pass(found.error());
    return Way{.interface = found->interface, .source = found->source};
  }

  Result<Packet> from_outside(Family family) override {
    if (!link_) {
      if (link_error_) return pass(*link_error_);
      auto made = kernel::ProbeLink::make(*netlink_);
      if (!made) {
        link_error_ = made.error();
        return pass(made.error());
      }
      link_.emplace(std::move(*made));
    }
    if (!link_->has(family)) return fail(ErrorCode::environment, "no {} here", to_text(family));
    Packet packet{.from_outside = true, .interface = kernel::ProbeLink::kName};
    packet.source = kernel::ProbeLink::outside(family);
    packet.destination = kernel::ProbeLink::inside(family);
    packet.to_this_sandbox = true;
    return packet;
  }

  /// Twice, if nothing was seen of it: a fresh link may not be ready, a trace may be lost.
  Result<Seen> probe(const Packet& packet) override {
    auto seen = probe_once(packet);
    return seen && !seen->outcome ? probe_once(packet) : seen;
  }

 private:
  Result<Seen> probe_once(const Packet& packet) {
    if (packet.is_invalid && !packet.from_outside)
      return fail(ErrorCode::environment, "a process cannot send a packet of a connection that it does not have");
    if (auto fair = may_be_sent(packet); !fair) return pass(fair.error());
    if (auto fresh = trace_->skip(); !fresh) return pass(fresh.error());
    const Family family = packet.destination.family();
    if (variant_ && !counted_.contains(family))
      if (auto counted = count(family); !counted) return pass(counted.error());
    auto sent = send(packet);
    if (!sent) return pass(sent.error());
    // iptables-legacy ends packets without a trace.
    const bool is_short = sent->was_refused || variant_ == xtables::Variant::legacy;
    auto sighting = trace_->watch(last_port_, variant_ && sent->was_refused ? kNoLimit : is_short ? kShortLimit : kLimit);
    if (!sighting) return pass(sighting.error());
    if (sent->fd) forget(*sent, packet);
    Seen seen = judged(packet, *sighting, sent->fd && kernel::was_refused(*sent));
    if (!variant_) {
      seen.rules = nft::name_hits(sighting->hits, snapshot_, wanted_.plan);
      if (seen.outcome == Outcome::direct && !sighting->left) take_transparent(family, seen);
      return seen;
    }
    const xtables::Counters before = counted_[family];
    if (auto counted = count(family); !counted) return pass(counted.error());
    seen.rules = xtables::met_between(before, counted_[family], wanted_.plan, family, *variant_);
    if (!seen.outcome && !sighting->arrived) take_outcome_of_rules(family, seen);
    if (seen.outcome == Outcome::direct && !sighting->left) take_transparent(family, seen);
    return seen;
  }

  Result<> count(Family family) {
    auto counted = xtables::counters(*variant_, family);
    if (!counted) return pass(counted.error());
    counted_[family] = std::move(*counted);
    return {};
  }

  /// What stays in the sandbox is confirmed before it is dropped: a later probe of the same numbers would not be decided anew.
  void forget(const kernel::ProbeSent& sent, const Packet& packet) {
    if (auto from = kernel::local_address(sent.fd.ref()))
      (void)kernel::forget_flow(*netlink_, packet.is_tcp ? IPPROTO_TCP : IPPROTO_UDP, *from, {packet.destination, packet.port});
  }

  /// Not what would do something, or could not be judged.
  Result<> may_be_sent(const Packet& packet) const {
    const Family family = packet.destination.family();
    if (waiting_.of(family))
      return fail(ErrorCode::environment,
                  "the start gate of {} waits for the proxy, or its time is over, which iptables does not tell: a probe could be "
                  "held, or open it",
                  to_text(family));
    if (gate_is_closed_ && opens_gate(packet.uid))
      return fail(ErrorCode::environment, "a packet of uid {} would open the start gate, which waits for the proxy's",
                  packet.uid);
    const capture::Step* target = capture::judge(wanted_.plan, packet).target;
    if (target != nullptr && target->verdict == capture::Verdict::transparent &&
        !kernel::listens(target->redirect_port).value_or(true))
      return fail(ErrorCode::environment, "nobody listens on port {}, and only a proxy's transparent socket gets such a packet",
                  target->redirect_port);
    return {};
  }

  bool opens_gate(std::uint32_t uid) const {
    return std::any_of(wanted_.plan.steps.begin(), wanted_.plan.steps.end(), [&](const capture::Step& step) {
      const std::vector<std::uint32_t>& uids = step.match.uids;
      return step.verdict == capture::Verdict::open_gate && std::find(uids.begin(), uids.end(), uid) != uids.end();
    });
  }

  Result<kernel::ProbeSent> send(const Packet& packet) {
    if (packet.mark != 0 || packet.from_elsewhere)
      return fail(ErrorCode::environment, "packets with a mark or a borrowed address are not sent as probes");
    kernel::ProbePacket probe{
        .is_tcp = packet.is_tcp, .uid = packet.uid, .gid = packet.gid, .to = {packet.destination, packet.port}};
    if (packet.from_outside) {
      if (auto link = from_outside(packet.destination.family()); !link) return pass(link.error());
      probe.source_port = take_port();
      if (auto sent = link_->send(probe, packet.is_invalid); !sent) return pass(sent.error());
      return kernel::ProbeSent{};
    }
    if (!packet.source.is_unspecified()) probe.source = packet.source;
    for (int attempt = 0;; ++attempt) {
      probe.source_port = take_port();
      auto sent = kernel::send_probe(probe);
      if (sent || sent.error().sys_errno() != EADDRINUSE || attempt == 20) return sent;
    }
  }

  Port take_port() {
    last_port_ = next_port_;
    next_port_ = next_port_ == ports_.last ? ports_.first : static_cast<Port>(next_port_ + 1);
    return last_port_;
  }

  Seen judged(const Packet& packet, const nft::Sighting& sighting, bool was_refused) const {
    Seen seen;
    if (sighting.arrived) {
      const bool is_as_sent = sighting.arrived->port == packet.port && sighting.arrived->ip == packet.destination;
      seen.outcome = is_as_sent || sighting.left ? std::optional(Outcome::direct) : outcome_at(sighting.arrived->port);
      if (seen.outcome && *seen.outcome != Outcome::direct) seen.port = sighting.arrived->port;
      seen.text = seen.outcome ? outcome_text({.outcome = *seen.outcome, .port = seen.port, .why = ""})
                               : fmt::format("sent to {} by somebody else", sighting.arrived->to_text());
      return seen;
    }
    if (was_refused) {
      seen.outcome = packet.is_tcp ? Outcome::reset : Outcome::refused;
    } else if (sighting.was_dropped && !sighting.hits.empty()) {
      seen.outcome = dropped_by(sighting.hits.back());
      if (!seen.outcome) {
        seen.text = fmt::format("dropped by a rule of others: {} {}, handle {}", sighting.hits.back().table,
                                sighting.hits.back().chain, sighting.hits.back().handle);
        return seen;
      }
    }
    seen.text = seen.outcome ? std::string(capture::name(*seen.outcome)) : "nothing was seen of it any more";
    return seen;
  }

  static std::optional<Outcome> outcome_of(capture::Verdict verdict) {
    if (verdict == capture::Verdict::reset) return Outcome::reset;
    if (verdict == capture::Verdict::hold) return Outcome::held;
    if (verdict == capture::Verdict::drop) return Outcome::dropped;
    if (verdict == capture::Verdict::refuse) return Outcome::refused;
    return std::nullopt;
  }

  /// Whether a rule of the step was met.
  bool was_met(std::size_t step, Family family, const std::vector<std::string>& met) const {
    const auto is_met = [&](const std::string& rule) { return std::find(met.begin(), met.end(), rule) != met.end(); };
    if (variant_) {
      const auto rules = xtables::rules_of(wanted_.plan, step, family, xtables::program_of(*variant_, family));
      return std::any_of(rules.begin(), rules.end(), is_met);
    }
    const std::vector<nft::Rule> rules = nft::compile(wanted_.plan);
    return std::any_of(rules.begin(), rules.end(),
                       [&](const nft::Rule& rule) { return rule.step == step && is_met(nft::listing(rule)); });
  }

  /// For iptables, whose trace tells no rules: the packet ended at one of ours that ends packets.
  void take_outcome_of_rules(Family family, Seen& seen) const {
    for (std::size_t i = 0; i < wanted_.plan.steps.size(); ++i) {
      const auto outcome = outcome_of(wanted_.plan.steps[i].verdict);
      if (!outcome || !was_met(i, family, seen.rules)) continue;
      seen.outcome = outcome;
      seen.text = std::string(capture::name(*outcome));
      return;
    }
  }

  /// Whoever gets a packet transparently, its addresses stay: only the rule tells. nft's matches only if the proxy listens,
  /// iptables' drops otherwise.
  void take_transparent(Family family, Seen& seen) const {
    for (std::size_t i = 0; i < wanted_.plan.steps.size(); ++i) {
      const capture::Step& step = wanted_.plan.steps[i];
      if (step.verdict != capture::Verdict::transparent || !was_met(i, family, seen.rules)) continue;
      seen.outcome = Outcome::inbound;
      seen.port = step.redirect_port;
      seen.text = outcome_text({.outcome = Outcome::inbound, .port = seen.port, .why = ""});
    }
  }

  /// To which port of the proxy it came, by the plan's redirects.
  std::optional<Outcome> outcome_at(Port port) const {
    for (const capture::Step& step : wanted_.plan.steps)
      if (step.verdict == capture::Verdict::redirect && step.redirect_port == port)
        return step.chain == capture::Chain::to_inbound ? Outcome::inbound
               : step.chain == capture::Chain::to_dns   ? Outcome::dns
                                                        : Outcome::outbound;
    return std::nullopt;
  }

  /// What a rule of ours that drops means; none: it is not ours.
  std::optional<Outcome> dropped_by(const nft::RuleHit& hit) const {
    if (hit.table != nft::kTable || variant_) return std::nullopt;
    auto chain = snapshot_.rules.find(hit.chain);
    if (chain == snapshot_.rules.end()) return std::nullopt;
    for (const nft::StandingRule& standing : chain->second) {
      if (standing.handle != hit.handle) continue;
      for (const nft::Rule& rule : nft::compile(wanted_.plan)) {
        if (capture::name(rule.chain) != hit.chain || nft::canonical(rule) != standing.text) continue;
        return outcome_of(wanted_.plan.steps[rule.step].verdict);
      }
    }
    return std::nullopt;
  }

  const Wanted& wanted_;
  std::optional<xtables::Variant> variant_;
  PortRange ports_;
  Port next_port_, last_port_ = 0;
  std::unique_ptr<kernel::Netlink> netlink_ = kernel::open_netlink();
  std::unique_ptr<nft::PacketTrace> trace_;
  std::optional<kernel::ProbeLink> link_;  // deleted before netlink_
  std::optional<Error> link_error_;
  nft::Snapshot snapshot_;
  xtables::Gate waiting_;
  std::map<Family, xtables::Counters> counted_;  // as they were after the last probe
  bool gate_is_closed_ = false;
};

}  // namespace

Result<std::unique_ptr<Prober>> begin_probing(const Wanted& wanted) {
  if (wanted.plan.open_after)
    return fail(ErrorCode::environment,
                "with --when-proxy-down=open no probes are sent: one as the proxy's uid would count as its heartbeat");
  auto prober = std::make_unique<KernelProber>(wanted, random_ports());
  if (auto begun = prober->begin(); !begun) return pass(begun.error());
  return std::unique_ptr<Prober>(std::move(prober));
}

}  // namespace weir::init
