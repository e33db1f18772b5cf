// SPDX-License-Identifier: Apache-2.0
#include "init/command_line.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "base/text.h"
#include "init/own_options.h"

namespace weir::init {

namespace {

constexpr Nanoseconds kLongestDrain = std::chrono::hours(24 * 365);

/// Istio's logging flags, which its webhook hands to every container. Those that take no value must not swallow the next word.
bool is_log_flag(std::string_view argument) { return argument.starts_with("--log_") || argument.starts_with("--vklog"); }
bool is_log_switch(std::string_view argument) { return argument == "--log_as_json"; }

std::vector<std::string> without_istio_words(std::vector<std::string> arguments) {
  if (!arguments.empty() && arguments.front() == "istio-iptables") arguments.erase(arguments.begin());
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!is_log_flag(arguments[i])) {
      kept.push_back(arguments[i]);
      continue;
    }
    const bool has_value = arguments[i].find('=') != std::string::npos || is_log_switch(arguments[i]);
    if (!has_value && i + 1 < arguments.size() && !arguments[i + 1].starts_with("-")) ++i;
  }
  return kept;
}

/// "-o" is Istio's short flag for excluded ports; since "json" is no port, `-o json` can ask for JSON as in other tools.
std::vector<std::string> with_long_output(std::vector<std::string> arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i] == "-ojson") {
      arguments[i] = "--output=json";
    } else if (arguments[i] == "-o" && i + 1 < arguments.size() && (arguments[i + 1] == "json" || arguments[i + 1] == "text")) {
      arguments[i] = "--output=" + arguments[i + 1];
      arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(i) + 1);
    }
  return arguments;
}

Problem problem(std::string object, std::string message, std::string hint = "") {
  return {Severity::error, {}, std::move(object), "", std::move(message), std::move(hint)};
}

/// What CLI11 did not expect: flags and words.
void report_unknown(const std::vector<std::string>& words, std::vector<Problem>& problems) {
  std::vector<std::string_view> flags, verbs;
  for (const capture::Option& option : capture::options())
    if (!option.long_name.empty()) flags.push_back(option.long_name);
  for (const OwnOption& option : own_options()) flags.push_back(option.name);
  for (const VerbRow& row : verb_rows()) verbs.push_back(row.name);
  for (const std::string& word : words) {
    const bool is_flag = word.size() > 1 && word.starts_with("-");
    const std::string_view bare = std::string_view(word).substr(std::min(word.find_first_not_of('-'), word.size()));
    const std::string_view near = nearest(bare.substr(0, bare.find('=')), is_flag ? flags : verbs);
    std::string hint = near.empty() ? "see weir-init --help" : fmt::format("did you mean {}{}?", is_flag ? "--" : "", near);
    problems.push_back(problem(fmt::format("{} {}", is_flag ? "flag" : "word", printable(word)),
                               is_flag ? "is not known" : "is neither a flag nor a verb", std::move(hint)));
  }
}

struct Registered {
  std::map<std::string, CLI::Option*> options;

  std::map<std::string, std::string> values() const {
    std::map<std::string, std::string> found;
    for (const auto& [name, option] : options)
      if (option->count() > 0) found[name] = option->results().empty() ? "" : option->results().back();
    return found;
  }
};

Registered register_options(CLI::App& app) {
  Registered registered;
  auto add = [&](char short_name, std::string_view name, bool is_switch) {
    std::string names = fmt::format("--{}", name);
    if (short_name != 0) names = fmt::format("-{},{}", short_name, names);
    CLI::Option* option = is_switch ? app.add_flag(names) : app.add_option(names);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    if (!is_switch) option->expected(1);
    registered.options[std::string(name)] = option;
  };
  for (const capture::Option& option : capture::options())
    if (!option.long_name.empty()) add(option.short_name, option.long_name, option.is_switch());
  for (const OwnOption& option : own_options()) add(option.short_name, option.name, option.value_name.empty());
  return registered;
}

class QuestionReader {
 public:
  QuestionReader(const std::map<std::string, std::string>& flags, const capture::CapturePolicy& policy,
                 std::vector<Problem>& problems)
      : flags_(flags), policy_(policy), problems_(problems) {}

  Question read() {
    read_from();
    read_as();
    number("uid", question_.uid);
    number("gid", question_.gid);
    read_to();
    if (auto source = value("source")) {
      IpAddr address;
      take("source", IpAddr::parse(*source), address);
      question_.source = address;
    }
    question_.interface = value("interface").value_or("");
    question_.is_udp |= value("udp").has_value();
    question_.gate_is_closed = value("gate-closed").has_value();
    question_.traces = value("trace").has_value();
    question_.is_stray = value("stray").has_value();
    if (auto mark = value("mark")) {
      capture::MarkMatch match;
      take("mark", capture::MarkMatch::parse(*mark), match);
      question_.mark = match.value;
    }
    if (auto cgroup = value("cgroup"))
      question_.cgroup = cgroup->substr(std::min(cgroup->find_first_not_of('/'), cgroup->size()));
    question_.to_excluded_domain = value("excluded-domain").has_value();
    question_.proxy_is_down = value("proxy-down").has_value();
    const std::string addresses = value("sandbox-ip").value_or("");  // split() gives views of it
    for (std::string_view item : split(addresses, ',')) {
      if (item.empty()) continue;
      IpAddr address;
      take("sandbox-ip", IpAddr::parse(item), address);
      question_.sandbox_addresses.push_back(address);
    }
    return question_;
  }

 private:
  std::optional<std::string> value(const std::string& name) const {
    auto found = flags_.find(name);
    return found == flags_.end() ? std::nullopt : std::optional(found->second);
  }
  void wrong(const std::string& flag, std::string message, std::string hint = "") {
    problems_.push_back(problem("flag --" + flag, std::move(message), std::move(hint)));
  }
  template <class T>
  void take(const std::string& flag, Result<T> result, T& into) {
    if (result)
      into = *result;
    else
      wrong(flag, result.error().message());
  }
  void number(const std::string& flag, std::uint32_t& into) {
    auto text = value(flag);
    if (!text) return;
    if (auto id = parse_uint(*text, UINT32_MAX - 1))
      into = static_cast<std::uint32_t>(*id);
    else
      wrong(flag, fmt::format("\"{}\" is not a number", printable(*text)), "write one like 1000");
  }
  void read_from() {
    const std::string from = value("from").value_or("app");
    if (from == "outside" || from == "remote") {
      question_.from_outside = true;
    } else if (from == "root") {
      question_.uid = question_.gid = 0;
    } else if (from == "proxy") {
      if (!policy_.proxy_uids.empty()) question_.uid = policy_.proxy_uids.front();
      if (!policy_.proxy_gids.empty()) question_.gid = policy_.proxy_gids.front();
      if (policy_.proxy_mark) question_.mark = policy_.proxy_mark->value;
      if (!policy_.proxy_cgroups.empty()) question_.cgroup = policy_.proxy_cgroups.front().path;
    } else if (auto address = IpAddr::parse(from)) {
      question_.from_outside = true;
      question_.source = *address;
    } else if (from != "app") {
      wrong("from", fmt::format("\"{}\" is not known", printable(from)), "write app, root, proxy, outside or an address outside");
    }
  }
  /// "uid=1000,gid=1000"; a gid that is not named is the uid.
  void read_as() {
    const auto as = value("as");
    if (!as) return;
    std::optional<std::uint32_t> uid, gid;
    for (std::string_view part : split(*as, ',')) {
      std::optional<std::uint32_t>* into = part.starts_with("uid=") ? &uid : part.starts_with("gid=") ? &gid : nullptr;
      auto id = into != nullptr ? parse_uint(part.substr(4), UINT32_MAX - 1) : std::nullopt;
      if (!id) {
        wrong("as", fmt::format("\"{}\" is not known", printable(part)), "write one like uid=1000,gid=1000");
        return;
      }
      *into = static_cast<std::uint32_t>(*id);
    }
    if (question_.from_outside) {
      wrong("as", "what comes from outside has no uid", "use one of --as and --from");
      return;
    }
    if (uid) question_.uid = *uid;
    if (uid || gid) question_.gid = gid.value_or(question_.uid);
  }
  void read_to() {
    auto to = value("to");
    if (!to) {
      wrong("to", "is missing", "write where the packet goes, like --to 10.0.0.1:80 or --to [fd00::1]:53/udp");
      return;
    }
    std::string_view text = *to;
    if (const auto slash = text.rfind('/'); slash != std::string_view::npos) {
      const std::string_view protocol = text.substr(slash + 1);
      if (protocol != "tcp" && protocol != "udp") {
        wrong("to", fmt::format("\"{}\" is not a protocol", printable(protocol)), "write tcp or udp");
        return;
      }
      question_.is_udp = protocol == "udp";
      text = text.substr(0, slash);
    }
    take("to", SocketAddr::parse(text), question_.to);
  }

  const std::map<std::string, std::string>& flags_;
  const capture::CapturePolicy& policy_;
  std::vector<Problem>& problems_;
  Question question_;
};

void read_output(const std::map<std::string, std::string>& flags, CommandLine& line) {
  auto output = flags.find("output");
  if (output == flags.end()) return;
  line.wants_json = output->second == "json";
  if (!line.wants_json && output->second != "text")
    line.problems.push_back(
        problem("flag --output", fmt::format("\"{}\" is not known", printable(output->second)), "write text or json"));
}

/// --live and what belongs to it.
void read_live(const std::map<std::string, std::string>& flags, CommandLine& line) {
  line.is_live = flags.contains("live");
  line.waits = flags.contains("wait");
  const bool removes_live = line.is_live && line.verb == Verb::remove;
  if (line.is_live && line.verb != Verb::remove && line.verb != Verb::apply)
    line.problems.push_back(problem("flag --live", "goes with apply and remove only", "leave it out"));
  if (line.is_live && line.verb == Verb::apply && line.capture.policy.drop_invalid)
    line.problems.push_back(problem("flag --live",
                                    "contradicts --drop-invalid, which would drop the end of a connection that is older than the "
                                    "rules and has been silent since",
                                    "leave one of the two out"));
  for (const char* name : {"drain-timeout", "wait"})
    if (flags.contains(name) && !removes_live)
      line.problems.push_back(problem(fmt::format("flag --{}", name), "belongs to remove --live", "leave it out"));
  auto timeout = flags.find("drain-timeout");
  if (timeout == flags.end()) return;
  auto duration = parse_duration(timeout->second);
  if (!duration)
    line.problems.push_back(problem("flag --drain-timeout", duration.error().message()));
  else if (*duration > kLongestDrain)
    line.problems.push_back(problem("flag --drain-timeout", fmt::format("\"{}\" is too long", printable(timeout->second)),
                                    fmt::format("write at most {}", to_text(kLongestDrain))));
  else
    line.drain_timeout = *duration;
}

/// Flags that say twice, and differently, what to do.
void check_verb(const std::map<std::string, std::string>& flags, CommandLine& line) {
  if (line.capture.requests.cleanup_only) {
    if (line.verb != Verb::apply && line.verb != Verb::remove)
      line.problems.push_back(problem("flag --cleanup-only", "contradicts the verb", "use one of the two"));
    else
      line.verb = Verb::remove;
  }
  if (line.capture.requests.skip_rule_apply && line.verb != Verb::apply)
    line.problems.push_back(problem("flag --skip-rule-apply", "only apply can be skipped", "leave it out"));
  if (line.capture.requests.run_validation && line.verb != Verb::apply)
    line.problems.push_back(problem("flag --run-validation", "goes with apply only", "leave it out, or use the verb check"));
  if (line.capture.requests.run_validation && line.capture.requests.dry_run)
    line.problems.push_back(
        problem("flag --run-validation", "contradicts --dry-run, which programs nothing", "use one of the two"));
  if (line.capture.requests.dry_run && line.verb != Verb::apply)
    line.problems.push_back(problem("flag --dry-run", "only apply can be tried", "leave it out"));
  const std::string& backend = line.capture.requests.backend;
  if (line.verb == Verb::watch && line.capture.policy.exclude_domains.empty())
    line.problems.push_back(
        problem("flag --exclude-domains", "names nothing to watch", "write: weir-init watch --exclude-domains=NAMES"));
  if (line.verb == Verb::watch && !backend.empty() && backend != "nft" && backend != "auto")
    line.problems.push_back(problem("flag --backend", fmt::format("{} has no sets to keep", backend), "use the backend nft"));
  line.repairs = flags.contains("repair");
  if (line.repairs && line.verb != Verb::check)
    line.problems.push_back(problem("flag --repair", "goes with check only", "write: weir-init check --repair …"));
  if (line.verb == Verb::explain) return;
  for (const OwnOption& option : own_options())
    if (option.only_explain && flags.contains(std::string(option.name)))
      line.problems.push_back(
          problem(fmt::format("flag --{}", option.name), "belongs to the verb explain", "write: weir-init explain …"));
}

}  // namespace

CommandLine parse_command_line(std::vector<std::string> arguments, const std::map<std::string, std::string>& environment,
                               const capture::Accounts& accounts) {
  CommandLine line;
  CLI::App app;
  app.set_help_flag("");
  app.allow_extras();
  Registered registered = register_options(app);
  std::vector<std::pair<CLI::App*, Verb>> verbs;
  for (const VerbRow& row : verb_rows()) {
    CLI::App* sub = app.add_subcommand(std::string(row.name));
    sub->set_help_flag("");
    sub->fallthrough();
    sub->allow_extras();
    verbs.emplace_back(sub, row.verb);
  }
  arguments = with_long_output(without_istio_words(std::move(arguments)));
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string what = error.what();
    line.problems.push_back(problem("flag " + what.substr(0, what.find(':')), "its value is missing", "see weir-init --help"));
  } catch (const CLI::ParseError& error) {
    line.problems.push_back(problem("", error.what(), "see weir-init --help"));
  }
  report_unknown(app.remaining(true), line.problems);
  int named = 0;
  for (auto [sub, verb] : verbs)
    if (sub->parsed()) {
      line.verb = verb;
      ++named;
    }
  if (named > 1)
    line.problems.push_back(problem("", "more than one verb", "use one of apply, remove, check, explain, self-test"));

  const auto flags = registered.values();
  if (flags.contains("help")) line.verb = Verb::help;
  if (flags.contains("version")) line.verb = Verb::version;
  if (line.verb == Verb::help || line.verb == Verb::version) return line;
  read_output(flags, line);
  capture::ParseOutcome outcome = capture::parse_options(flags, environment, accounts);
  line.capture = std::move(outcome.parsed);
  for (Problem& found : outcome.problems) line.problems.push_back(std::move(found));
  check_verb(flags, line);
  read_live(flags, line);
  if (!has_errors(line.problems)) line.asked = capture::asked_options(flags, environment, accounts);
  if (line.verb == Verb::explain) line.question = QuestionReader(flags, line.capture.policy, line.problems).read();
  return line;
}

}  // namespace weir::init
