// SPDX-License-Identifier: Apache-2.0
#include "init/explain.h"

#include <algorithm>
#include <memory>

#include "base/json.h"
#include "init/flag_changes.h"
#include "init/json_text.h"

namespace weir::init {

namespace {

std::vector<std::string> rules_of(const capture::Redirector& backend, const capture::CapturePlan& plan, const capture::Step* step,
                                  Family family) {
  if (step == nullptr) return {};
  return backend.rules_of(plan, static_cast<std::size_t>(step - plan.steps.data()), family);
}

}  // namespace

capture::Packet packet_of(const Question& question, const std::vector<IpAddr>& own) {
  const bool is_own = std::find(own.begin(), own.end(), question.to.ip) != own.end();
  const bool stays = is_own || question.to.ip.is_loopback() || question.to.ip.is_unspecified();
  capture::Packet packet{.from_outside = question.from_outside,
                         .interface = question.interface,
                         .is_tcp = !question.is_udp,
                         .is_first = !question.is_stray,
                         .source = IpAddr::any(question.to.ip.family()),
                         .destination = question.to.ip,
                         .port = question.to.port,
                         .uid = question.uid,
                         .gid = question.gid,
                         // What comes from outside is for the sandbox, unless its addresses say otherwise.
                         .to_this_sandbox = stays || (question.from_outside && own.empty()),
                         .gate_is_closed = question.gate_is_closed,
                         .is_invalid = question.is_stray};
  packet.cgroup = question.cgroup;
  packet.to_excluded_domain = question.to_excluded_domain;
  packet.proxy_is_down = question.proxy_is_down;
  if (question.to.ip.is_unspecified()) packet.destination = IpAddr::loopback(question.to.ip.family());  // as connect(2) does
  if (packet.interface.empty()) packet.interface = stays && !question.from_outside ? "lo" : "eth0";
  packet.mark = question.mark;
  if (question.source) {
    packet.source = *question.source;
    packet.from_elsewhere = !packet.from_outside && !own.empty() && !packet.source.is_loopback() &&
                            !packet.source.is_unspecified() && std::find(own.begin(), own.end(), packet.source) == own.end() &&
                            packet.source != *IpAddr::parse(well_known::kInboundSource4);
  }
  return packet;
}

std::string outcome_text(const capture::Judgement& judgement) {
  std::string text(capture::name(judgement.outcome));
  if (judgement.port != 0) text += fmt::format(" {}", judgement.port);
  return text;
}

std::string packet_text(const capture::Packet& packet) {
  const std::string sender = packet.from_outside
                                 ? fmt::format("from outside by {}", packet.interface)
                                 : fmt::format("from uid {} gid {} by {}", packet.uid, packet.gid, packet.interface);
  return fmt::format("{} {}, {} to {}", packet.is_tcp ? "tcp" : "udp", packet.is_tcp ? "connection" : "datagram", sender,
                     SocketAddr{packet.destination, packet.port}.to_text());
}

Explanation explain(Wanted wanted, const capture::Packet& packet, const capture::Redirector& backend,
                    const capture::Accounts& accounts) {
  Explanation found{.wanted = std::move(wanted), .packet = packet};
  const capture::CapturePlan& plan = found.wanted.plan;  // a vector keeps its elements where they are when it is moved
  found.judgement = capture::judge(plan, packet);
  const Family family = packet.destination.family();
  found.rules = rules_of(backend, plan, found.judgement.step, family);
  found.then = rules_of(backend, plan, found.judgement.target, family);
  found.changes = flag_changes(found.wanted.asked, packet, found.judgement, accounts);
  return found;
}

Result<Trace> trace(const Explanation& explanation, Prober& prober) {
  if (explanation.packet.from_outside) {
    auto sent = prober.from_outside(explanation.packet.destination.family());
    if (!sent) return pass(sent.error());
    capture::Packet packet = explanation.packet;
    packet.source = sent->source;
    if (capture::judge(explanation.wanted.plan, packet).step != explanation.judgement.step)
      return fail(ErrorCode::environment, "probes from outside bear the address {}, which the rules treat otherwise than {}",
                  packet.source.to_text(), explanation.packet.source.to_text());
  }
  auto seen = prober.probe(explanation.packet);
  if (!seen) return pass(seen.error());
  const capture::Judgement& judgement = explanation.judgement;
  const auto was_met = [&](const std::string& rule) {
    return std::find(seen->rules.begin(), seen->rules.end(), rule) != seen->rules.end();
  };
  const bool by_rule = explanation.rules.empty() || std::any_of(explanation.rules.begin(), explanation.rules.end(), was_met);
  const bool agrees = seen->outcome == judgement.outcome && seen->port == judgement.port && by_rule;
  return Trace{.seen = std::move(*seen), .agrees = agrees};
}

std::string to_text(const Explanation& explanation) {
  const capture::Judgement& judgement = explanation.judgement;
  std::string text = fmt::format("{}: {}\n", packet_text(explanation.packet), outcome_text(judgement));
  if (judgement.step != nullptr)
    text += fmt::format("decided in {} by: {}\n", capture::name(judgement.step->chain), capture::to_text(judgement.step->match));
  for (const std::string& rule : explanation.rules) text += fmt::format("rule: {}\n", rule);
  for (const std::string& rule : explanation.then) text += fmt::format("then: {}\n", rule);
  text += fmt::format("why: {}\n", judgement.why);
  if (explanation.trace) {
    text += fmt::format("trace: a packet was sent; the kernel {}: {}\n", explanation.trace->agrees ? "agrees" : "DISAGREES",
                        explanation.trace->seen.text);
    for (const std::string& rule : explanation.trace->seen.rules) text += fmt::format("  met: {}\n", rule);
  }
  for (const Change& change : explanation.changes) text += fmt::format("with {}: {}\n", change.how, change.outcome);
  if (explanation.changes.empty()) text += "no single flag would change it\n";
  text += fmt::format("flags ({}): {}\n", explanation.wanted.where_from(), explanation.wanted.flags_text());
  if (!explanation.drift.empty()) {
    text += "careful: what stands is not what these flags ask, so the kernel may do otherwise (see weir-init check):\n";
    for (const std::string& difference : explanation.drift) text += fmt::format("  {}\n", difference);
  }
  return text;
}

std::string to_json(const Explanation& explanation) {
  const capture::Judgement& judgement = explanation.judgement;
  const bool has_step = judgement.step != nullptr;
  std::string changes;
  for (const Change& change : explanation.changes)
    changes += fmt::format("{}{{\"with\": {}, \"verdict\": {}}}", changes.empty() ? "" : ", ", json_quote(change.how),
                           json_quote(change.outcome));
  const std::string trace =
      explanation.trace
          ? fmt::format("{{\"agrees\": {}, \"verdict\": {}, \"met\": {}}}", explanation.trace->agrees ? "true" : "false",
                        json_quote(explanation.trace->seen.text), json_list(explanation.trace->seen.rules))
          : "null";
  return fmt::format(
      "{{\"verdict\": {}, \"chain\": {}, \"match\": {}, \"why\": {}, \"rules\": {}, \"then\": {}, \"changes\": [{}], \"flags\": "
      "{}, \"flags_are\": {}, \"drift\": {}, \"trace\": {}}}\n",
      json_quote(outcome_text(judgement)), json_quote(has_step ? std::string(capture::name(judgement.step->chain)) : ""),
      json_quote(has_step ? capture::to_text(judgement.step->match) : ""), json_quote(judgement.why),
      json_list(explanation.rules), json_list(explanation.then), changes, json_quote(capture::to_text(explanation.wanted.asked)),
      json_quote(explanation.wanted.where_from()), json_list(explanation.drift), trace);
}

}  // namespace weir::init
