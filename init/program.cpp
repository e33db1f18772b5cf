// SPDX-License-Identifier: Apache-2.0
#include "init/program.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "init/command_line.h"
#include "init/drift.h"
#include "init/explain.h"
#include "init/json_text.h"
#include "init/self_test.h"
#include "init/wanted.h"
#include "kernel/probe_socket.h"

namespace weir::init {

namespace {

using capture::CapturePlan;

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
      case Verb::self_test: return self_test();
    }
    return {};
  }

  const std::string& asked() const { return line_.capture.requests.backend; }
  /// Without asking the kernel, as auto would have to: a dry run may be anywhere.
  std::string_view named_backend() const {
    return asked().empty() || asked() == "auto" ? backends().front().name : std::string_view(asked());
  }
  CapturePlan plan() const {
    CapturePlan made = capture::plan(line_.capture.policy);
    capture::keep_asked(made, capture::to_text(line_.asked));
    return made;
  }

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

  static std::string drain_json(const DrainState& state) {
    return fmt::format("{{\"connections\": {}, \"seconds_left\": {}, \"watched\": {}}}",
                       state.connections ? std::to_string(*state.connections) : "null",
                       std::chrono::duration_cast<std::chrono::seconds>(state.left).count(), yes_no(state.is_watched));
  }

  Result<> remove_live() {
    auto removed = remove_live_with(world_.machine, asked(), line_.drain_timeout, line_.waits);
    if (!removed) return pass(removed.error());
    if (line_.wants_json) {
      print("{{\"verb\": \"remove\", \"changed\": {}, \"draining\": {}, \"notes\": {}}}\n", yes_no(removed->changed),
            removed->draining ? drain_json(*removed->draining) : "null", json_list(removed->notes));
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
    std::vector<std::string> notes;
    auto removed = remove_with(world_.machine, asked(), {policy.outbound_port, policy.inbound_port}, &notes);
    if (!removed) return pass(removed.error());
    if (line_.wants_json) {
      const std::string told = notes.empty() ? "" : fmt::format(", \"notes\": {}", json_list(notes));
      print("{{\"verb\": \"remove\", \"changed\": {}{}}}\n", yes_no(*removed), told);
      return {};
    }
    print("{}\n", *removed ? "removed" : "nothing to do: no rules of weir are there");
    for (const std::string& note : notes) print("note: {}\n", note);
    return {};
  }

  Result<> check() {
    auto by = wanted();
    if (!by) return pass(by.error());
    auto backend = world_.machine.make(by->backend, {});
    if (!by->draining && (line_.repairs || !line_.asked.empty()))
      if (auto drain = backend->draining(); drain) by->draining = *drain;
    if (by->draining) return check_drain(*by->draining);
    auto checked = line_.repairs ? repair(world_.machine, *backend, by->plan) : init::check(*backend, by->plan);
    if (!checked) return pass(checked.error());
    printed_.out += line_.wants_json ? to_json(*checked, *by, line_.repairs) : to_text(*checked, *by, line_.repairs);
    if (!checked->is_sound()) printed_.exit_code = weir::exit_code(Error(ErrorCode::check_failed, ""));
    return {};
  }

  /// remove --live has been here: whatever is planned is not there. A repair would end what was asked for; apply does.
  Result<> check_drain(const capture::Drain& drain) {
    const DrainState state = look_at(world_.machine.drains, drain);
    if (line_.wants_json)
      print("{{\"verb\": \"check\", \"differences\": {}, \"draining\": {}}}\n", json_list({init::to_text(state)}),
            drain_json(state));
    else
      print("{}\n{}", init::to_text(state), line_.repairs ? "nothing was mended: weir-init apply captures again\n" : "");
    printed_.exit_code = weir::exit_code(Error(ErrorCode::check_failed, ""));
    return {};
  }

  /// What check and explain are about. explain with flags asks nothing of the machine.
  Result<Wanted> wanted() const {
    return init::wanted(world_.machine, asked(), line_.asked, line_.capture.policy, world_.accounts);
  }

  Result<> explain() {
    const Question& question = line_.question;
    auto own = question.sandbox_addresses.empty() ? world_.sandbox_addresses() : question.sandbox_addresses;
    if (!own) return pass(own.error(), "asking for this network namespace's addresses");
    auto by = line_.asked.empty()
                  ? wanted()
                  : Result<Wanted>(wanted_by_flags(line_.asked, line_.capture.policy, std::string(named_backend())));
    if (!by) return pass(by.error());
    auto backend = world_.machine.make(by->backend, {});
    if (by->nothing_stands || by->draining) by->plan.steps.clear();  // so everything is direct
    capture::Packet packet = packet_of(question, *own);
    if (question.traces && packet.from_outside) packet.interface = kernel::ProbeLink::kName;  // where it will come in
    const Wanted probed = *by;                                                                // outlives the prober
    std::unique_ptr<Prober> prober;
    if (question.traces) {
      auto begun = world_.probe(probed);
      if (!begun) return pass(begun.error(), "--trace");
      prober = std::move(*begun);
      packet.gate_is_closed |= prober->gate_is_closed();
    }
    Explanation explanation = init::explain(std::move(*by), packet, *backend, world_.accounts);
    if (explanation.wanted.is_read_back) {
      auto drift = backend->check(explanation.wanted.plan);
      if (!drift) return pass(drift.error());
      explanation.drift = std::move(drift->differences);
    }
    if (prober)
      if (auto traced = trace(explanation, *prober); !traced) return traced;
    printed_.out += line_.wants_json ? to_json(explanation) : to_text(explanation);
    return {};
  }

  Result<> trace(Explanation& explanation, Prober& prober) {
    auto traced = init::trace(explanation, prober);
    if (!traced) return pass(traced.error(), "--trace");
    explanation.trace = std::move(*traced);
    if (!explanation.trace->agrees) printed_.exit_code = weir::exit_code(Error(ErrorCode::check_failed, ""));
    return {};
  }

  Result<> self_test() {
    auto own = world_.sandbox_addresses();
    if (!own) return pass(own.error(), "asking for this network namespace's addresses");
    auto by = wanted();
    if (!by) return pass(by.error());
    if (by->nothing_stands)
      return fail(ErrorCode::check_failed, "self-test: no rules of weir are in this network namespace, and no flags are given");
    if (by->draining)
      return fail(ErrorCode::check_failed, "self-test: {}", init::to_text(look_at(world_.machine.drains, *by->draining)));
    auto prober = world_.probe(*by);
    if (!prober) return pass(prober.error(), "self-test");
    auto tested = init::self_test(*by, *world_.machine.make(by->backend, {}), **prober, *own);
    if (!tested) return pass(tested.error(), "self-test");
    printed_.out += line_.wants_json ? to_json(*tested, *by) : to_text(*tested, *by);
    if (!tested->has_passed()) printed_.exit_code = weir::exit_code(Error(ErrorCode::check_failed, ""));
    return {};
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

}  // namespace weir::init
