// SPDX-License-Identifier: Apache-2.0
#include "init/program.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "init/command_line.h"

namespace weir::init {

namespace {

using capture::CapturePlan;

std::string json_list(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "" : ", ") + json_quote(text);
  return "[" + list + "]";
}

std::string yes_no(bool value) { return value ? "true" : "false"; }

class Program {
 public:
  Program(CommandLine line, const World& world) : line_(std::move(line)), world_(world) {}

  Printed run() {
    for (const Problem& problem : line_.problems) printed_.err += to_text(problem) + "\n";
    if (has_errors(line_.problems)) {
      printed_.exit_code = weir::exit_code(to_error(line_.problems));
      return std::move(printed_);
    }
    if (auto done = act(); !done) {
      printed_.err += fmt::format("weir-init: {}\n", done.error().to_text());
      printed_.exit_code = weir::exit_code(done.error());
    }
    return std::move(printed_);
  }

 private:
  Result<> act() {
    switch (line_.verb) {
      case Verb::help: printed_.out = help_text(); return {};
      case Verb::version: printed_.out = "weir-init " WEIR_VERSION "\n"; return {};
      case Verb::man: printed_.out = man_page(); return {};
      case Verb::completion: printed_.out = bash_completion(); return {};
      case Verb::apply: return line_.capture.requests.dry_run ? dry_run() : apply();
      case Verb::remove: return remove();
      case Verb::check: return check();
      case Verb::explain: return explain();
      case Verb::watch: return world_.watch_domains(line_.capture.policy.exclude_domains);
    }
    return {};
  }

  const std::string& asked() const { return line_.capture.requests.backend; }
  /// Without asking the kernel, as auto would have to: a dry run may be anywhere.
  std::string_view named_backend() const {
    return asked().empty() || asked() == "auto" ? backends().front().name : std::string_view(asked());
  }
  CapturePlan plan() const { return capture::plan(line_.capture.policy); }

  /// Istio's NONE: whoever asks for it may lack every privilege.
  Result<> skip() {
    if (line_.wants_json)
      print("{{\"verb\": \"apply\", \"changed\": false, \"notes\": [\"interception mode NONE\"]}}\n");
    else
      print("nothing done: interception mode NONE (what an earlier apply left stays; see weir-init remove)\n");
    return {};
  }

  Result<> apply() {
    if (line_.capture.policy.mode == capture::Mode::none) return skip();
    const capture::Requests& requests = line_.capture.requests;
    capture::Applied applied;
    std::string backend(named_backend());
    if (!requests.skip_rule_apply) {
      auto done = enrol_with(world_.machine, asked(), {.force = requests.force_apply}, plan());
      if (!done) return pass(done.error());
      applied = std::move(done->applied);
      backend = std::move(done->backend);
    }
    const Result<> valid = requests.run_validation ? validate() : Result<>{};
    if (line_.wants_json) {
      const std::string validated = requests.run_validation ? fmt::format(", \"validated\": {}", yes_no(valid.has_value())) : "";
      print("{{\"verb\": \"apply\", \"backend\": {}, \"changed\": {}, \"notes\": {}{}}}\n", json_quote(backend),
            yes_no(applied.changed), json_list(applied.notes), validated);
      return valid;
    }
    print("{}\n", requests.skip_rule_apply ? "the rules stay as they are (--skip-rule-apply)"
                  : applied.changed        ? "applied"
                                           : "nothing to do: the rules are there already");
    for (const std::string& note : applied.notes) print("note: {}\n", note);
    if (requests.run_validation && valid)
      print("validated: the proxy's connections to its own sandbox come to the inbound port\n");
    return valid;
  }

  Result<> validate() {
    auto own = world_.sandbox_addresses();
    if (!own) return pass(own.error(), "asking for this network namespace's addresses");
    const capture::CapturePolicy& policy = line_.capture.policy;
    // ::1, ::6 and link-local addresses are there without anybody who speaks IPv6.
    const bool has_v6 = std::any_of(own->begin(), own->end(), [](const IpAddr& address) {
      const IpAddr source6 = *IpAddr::parse(well_known::kInboundSource6);
      return !address.is_v4() && !address.is_loopback() && address != source6 && !Cidr::parse("fe80::/10")->contains(address);
    });
    return world_.validate({.outbound_port = policy.outbound_port,
                            .inbound_port = policy.inbound_port,
                            .probe_port = line_.capture.requests.probe_port,
                            .limit = line_.capture.requests.probe_timeout,
                            .needs_v6 = has_v6});
  }

  Result<> dry_run() {
    const CapturePlan made = plan();
    const auto backend = world_.machine.make(named_backend(), {});
    if (const auto problems = backend->why_not(made); !problems.empty())
      return fail(ErrorCode::usage, "the backend {} cannot express {}; --backend=nft can", backend->name(), join(problems, "; "));
    const std::string rules = backend->render(made);
    if (const std::string& file = line_.capture.requests.dry_run_file; !file.empty())
      if (auto written = world_.write_file(file, rules); !written) return pass(written.error(), "DRY_RUN_FILE_PATH");
    if (!line_.wants_json) {
      print("{}\n{}", capture::to_text(made), rules);
      return {};
    }
    std::string steps;
    for (const capture::Step& step : made.steps)
      steps += fmt::format("{}\n    {{\"chain\": {}, \"match\": {}, \"verdict\": {}, \"why\": {}}}", steps.empty() ? "" : ",",
                           json_quote(capture::name(step.chain)), json_quote(capture::to_text(step.match)),
                           json_quote(capture::verdict_text(step)), json_quote(step.why));
    print("{{\n  \"steps\": [{}\n  ],\n  \"rules\": {}\n}}\n", steps, json_quote(rules));
    return {};
  }

  static std::string to_json(const DrainState& state) {
    return fmt::format("{{\"connections\": {}, \"seconds_left\": {}, \"watched\": {}}}",
                       state.connections ? std::to_string(*state.connections) : "null",
                       std::chrono::duration_cast<std::chrono::seconds>(state.left).count(), yes_no(state.is_watched));
  }

  Result<> remove_live() {
    auto removed = remove_live_with(world_.machine, asked(), line_.drain_timeout, line_.waits);
    if (!removed) return pass(removed.error());
    if (line_.wants_json) {
      print("{{\"verb\": \"remove\", \"changed\": {}, \"draining\": {}, \"notes\": {}}}\n", yes_no(removed->changed),
            removed->draining ? to_json(*removed->draining) : "null", json_list(removed->notes));
      return {};
    }
    if (removed->draining)
      print("{}\n", init::to_text(*removed->draining));
    else
      print("{}\n", removed->changed ? "removed" : "nothing to do: no rules of weir are there");
    for (const std::string& note : removed->notes) print("note: {}\n", note);
    return {};
  }

  Result<> remove() {
    if (line_.is_live) return remove_live();
    const capture::CapturePolicy& policy = line_.capture.policy;
    auto removed = remove_with(world_.machine, asked(), {policy.outbound_port, policy.inbound_port});
    if (!removed) return pass(removed.error());
    if (line_.wants_json)
      print("{{\"verb\": \"remove\", \"changed\": {}}}\n", yes_no(*removed));
    else
      print("{}\n", *removed ? "removed" : "nothing to do: no rules of weir are there");
    return {};
  }

  Result<> check() {
    auto backend = world_.machine.make(backend_to_check(world_.machine, asked()), {});
    auto drift = backend->check(plan());
    if (!drift) return pass(drift.error());
    if (!drift->empty())
      if (auto drain = backend->draining(); drain && *drain) return check_drain(**drain);
    if (line_.wants_json)
      print("{{\"verb\": \"check\", \"differences\": {}}}\n", json_list(drift->differences));
    else if (drift->empty())
      print("the rules are what these flags ask\n");
    else
      for (const std::string& difference : drift->differences) print("{}\n", difference);
    if (!drift->empty()) printed_.exit_code = weir::exit_code(Error(ErrorCode::check_failed, ""));
    return {};
  }

  /// remove --live has been here: whatever is planned is not there.
  Result<> check_drain(const capture::Drain& drain) {
    const DrainState state = look_at(world_.machine.drains, drain);
    if (line_.wants_json)
      print("{{\"verb\": \"check\", \"differences\": {}, \"draining\": {}}}\n", json_list({init::to_text(state)}),
            to_json(state));
    else
      print("{}\n", init::to_text(state));
    printed_.exit_code = weir::exit_code(Error(ErrorCode::check_failed, ""));
    return {};
  }

  Result<> explain() {
    const Question& question = line_.question;
    auto own = question.sandbox_addresses.empty() ? world_.sandbox_addresses() : question.sandbox_addresses;
    if (!own) return pass(own.error(), "asking for this network namespace's addresses");
    const capture::Packet packet = packet_of(question, *own);
    const CapturePlan made = plan();
    print_judgement(packet, capture::judge(made, packet));
    return {};
  }

  void print_judgement(const capture::Packet& packet, const capture::Judgement& judgement) {
    std::string verdict(capture::name(judgement.outcome));
    if (judgement.port != 0) verdict += fmt::format(" {}", judgement.port);
    const std::string chain(judgement.step == nullptr ? "" : capture::name(judgement.step->chain));
    const std::string match = judgement.step == nullptr ? "" : capture::to_text(judgement.step->match);
    if (line_.wants_json) {
      print("{{\"verdict\": {}, \"chain\": {}, \"match\": {}, \"why\": {}}}\n", json_quote(verdict), json_quote(chain),
            json_quote(match), json_quote(judgement.why));
      return;
    }
    const std::string sender = packet.from_outside
                                   ? fmt::format("from outside by {}", packet.interface)
                                   : fmt::format("from uid {} gid {} by {}", packet.uid, packet.gid, packet.interface);
    print("{} {}, {} to {}: {}\n", packet.is_tcp ? "tcp" : "udp", packet.is_tcp ? "connection" : "datagram", sender,
          SocketAddr{packet.destination, packet.port}.to_text(), verdict);
    if (judgement.step != nullptr) print("decided in {} by: {}\n", chain, match);
    print("why: {}\n", judgement.why);
  }

  template <class... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) {
    printed_.out += fmt::format(format, std::forward<Args>(args)...);
  }

  CommandLine line_;
  const World& world_;
  Printed printed_;
};

}  // namespace

Printed run(const std::vector<std::string>& arguments, const World& world) {
  return Program(parse_command_line(arguments, world.environment, world.accounts), world).run();
}

capture::Packet packet_of(const Question& question, const std::vector<IpAddr>& own) {
  const bool is_own = std::find(own.begin(), own.end(), question.to.ip) != own.end();
  const bool stays = is_own || question.to.ip.is_loopback() || question.to.ip.is_unspecified();
  capture::Packet packet{.from_outside = question.from_outside,
                         .interface = question.interface,
                         .is_tcp = !question.is_udp,
                         .source = IpAddr::any(question.to.ip.family()),
                         .destination = question.to.ip,
                         .port = question.to.port,
                         .uid = question.uid,
                         .gid = question.gid,
                         // What comes from outside is for the sandbox, unless its addresses say otherwise.
                         .to_this_sandbox = stays || (question.from_outside && own.empty()),
                         .gate_is_closed = question.gate_is_closed,
                         .mark = question.mark,
                         .cgroup = question.cgroup,
                         .to_excluded_domain = question.to_excluded_domain,
                         .proxy_is_down = question.proxy_is_down};
  if (question.to.ip.is_unspecified()) packet.destination = IpAddr::loopback(question.to.ip.family());  // as connect(2) does
  if (packet.interface.empty()) packet.interface = stays && !question.from_outside ? "lo" : "eth0";
  if (question.source) packet.source = *question.source;
  return packet;
}

}  // namespace weir::init
