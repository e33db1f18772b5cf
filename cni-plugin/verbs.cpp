// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/verbs.h"

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "capture/plan.h"
#include "cni-plugin/decision.h"
#include "cni-plugin/record.h"
#include "cni-plugin/result.h"

namespace weir::cni {

namespace {

tl::unexpected<Failure> fail_with(Code code, std::string message, std::string details = "") {
  return tl::unexpected(Failure{code, std::move(message), std::move(details)});
}

std::string joined(const std::vector<Problem>& problems) {
  std::vector<std::string> lines;
  for (const Problem& problem : problems)
    if (problem.severity == Severity::error) lines.push_back(to_text(problem));
  return join(lines, "; ");
}

/// Without room for another descriptor nobody can tell whether it is there.
bool is_gone(const Error& error) {
  constexpr int kOurTrouble[] = {EMFILE, ENFILE, ENOMEM, EPERM};
  return std::find(std::begin(kOurTrouble), std::end(kOurTrouble), error.sys_errno()) == std::end(kOurTrouble);
}

class Call {
 public:
  Call(const Request& request, Node& node, LogEntry& entry)
      : request_(request), node_(node), entry_(entry), file_(record_file(request.network, request.attachment)) {}

  Outcome<std::string> run() {
    for (const Problem& remark : request_.remarks) entry_.notes.push_back(to_text(remark));
    switch (request_.verb) {
      case Verb::version: entry_.outcome = "told"; return version_json(request_.version);
      case Verb::add: return add().map([&] { return add_json(request_); });
      case Verb::check: return check().map([] { return std::string(); });
      case Verb::del: return del().map([] { return std::string(); });
      case Verb::status: return status().map([] { return std::string(); });
      case Verb::gc: return collect().map([] { return std::string(); });
    }
    return std::string();
  }

 private:
  const std::string& directory() const { return request_.config.state_dir; }
  void note(const Error& error) { entry_.notes.push_back(error.to_text()); }

  // ── deciding ──

  Outcome<std::vector<PodRule>> rules() {
    const std::string& file = request_.config.policy_file;
    if (file.empty()) return std::vector<PodRule>{};
    auto text = node_.read(file);
    if (!text) return fail_with(Code::io, "the policy file cannot be read", text.error().to_text());
    if (!*text) return fail_with(Code::try_again, fmt::format("the policy file {} is not there yet", file));
    std::vector<Problem> problems;
    std::vector<PodRule> read = parse_pod_policy(**text, file, problems);
    if (has_errors(problems)) return fail_with(Code::bad_config, "invalid policy file", joined(problems));
    return read;
  }

  Outcome<Decision> decision() {
    Decision made = decide(request_, {});
    // Pods that are left alone whatever the file says do not wait for it.
    if (!request_.annotations && made.skip != Skip::excluded_namespace) {
      auto read = rules();
      if (!read) return tl::unexpected(read.error());
      made = decide(request_, *read);
    }
    if (has_errors(made.problems)) return fail_with(Code::bad_config, "invalid pod annotations", joined(made.problems));
    for (const Problem& problem : made.problems) entry_.notes.push_back(to_text(problem));
    entry_.notes.insert(entry_.notes.end(), made.notes.begin(), made.notes.end());
    entry_.why = made.why;
    if (made.skip) entry_.reason = std::string(name(*made.skip));
    return made;
  }

  static std::string backend_of(const PolicyInput& input) {
    auto found = input.flags.find("backend");
    return found == input.flags.end() ? std::string() : found->second;
  }

  // ── records ──

  /// One that cannot be read counts as none; the next ADD replaces it.
  std::optional<Record> load(const std::string& file) {
    auto text = node_.load(directory(), file);
    if (!text) {
      note(text.error());
      return std::nullopt;
    }
    if (!*text) return std::nullopt;
    auto record = parse_record(**text);
    if (record) return std::move(*record);
    entry_.notes.push_back(fmt::format("record {}: {}", file, record.error().to_text()));
    return std::nullopt;
  }

  Record record() const {
    return {.network = request_.network,
            .attachment = request_.attachment,
            .netns = request_.netns,
            .pod = request_.pod,
            .skipped = {},
            .input = {},
            .trace = entry_.trace};
  }

  /// Another attachment of the same container that has enrolled the sandbox.
  std::optional<Record> sibling() {
    auto files = node_.files(directory());
    if (!files) {
      note(files.error());
      return std::nullopt;
    }
    const std::string prefix = record_prefix(request_.attachment.container);
    for (const std::string& file : *files) {
      if (file == file_ || !file.starts_with(prefix) || !file.ends_with(".json")) continue;
      auto other = load(file);
      if (other && other->is_enrolled() && other->attachment.container == request_.attachment.container) return other;
    }
    return std::nullopt;
  }

  Outcome<std::unique_ptr<Sandbox>> sandbox() {
    auto opened = node_.open(request_.netns);
    if (!opened) return fail_with(Code::bad_netns, "CNI_NETNS cannot be entered", opened.error().to_text());
    if ((*opened)->is_own() && !request_.may_be_own_netns)
      return fail_with(Code::bad_netns, "CNI_NETNS is this plugin's own network namespace, the host's");
    return std::move(*opened);
  }

  // ── ADD ──

  Outcome<> add() {
    auto made = decision();
    if (!made) return tl::unexpected(made.error());
    return made->skip ? skip(*made->skip) : enrol(*made);
  }

  Outcome<> skip(Skip reason) {
    entry_.outcome = "skipped";
    const auto before = load(file_);
    if (before && before->is_enrolled()) return {};  // DEL takes away what that ADD left
    Record left = record();
    left.skipped = name(reason);
    // Nobody needs it to start the pod.
    if (auto saved = node_.save(directory(), file_, to_json(left)); !saved) note(saved.error());
    return {};
  }

  Outcome<> enrol(const Decision& made) {
    auto opened = sandbox();
    if (!opened) return tl::unexpected(opened.error());
    if (auto other = sibling(); other && other->input != made.input)
      return fail_with(Code::conflict,
                       fmt::format("network {} has enrolled this container already, with other flags", other->network),
                       "a sandbox is captured by one policy: give both networks the same flags");
    const auto before = load(file_);
    // First, so that what is left by an ADD that is killed is known.
    Record now = record();
    now.input = made.input;
    if (auto saved = node_.save(directory(), file_, to_json(now)); !saved)
      return fail_with(Code::io, "the attachment cannot be recorded", saved.error().to_text());
    auto enrolled = (*opened)->enrol(backend_of(made.input), capture::plan(policy_of(made.input).parsed.policy));
    if (!enrolled) return undone(enrolled.error(), before);
    entry_.outcome = enrolled->applied.changed ? "enrolled" : "unchanged";
    entry_.backend = enrolled->backend;
    entry_.notes.insert(entry_.notes.end(), enrolled->applied.notes.begin(), enrolled->applied.notes.end());
    return {};
  }

  /// The sandbox is as it was; the record follows.
  Outcome<> undone(const Error& error, const std::optional<Record>& before) {
    std::string details = error.to_text();
    const auto restored =
        before ? node_.save(directory(), file_, to_json(*before)) : node_.erase(directory(), file_).map([](bool) {});
    if (!restored) details += "; the record stays: " + restored.error().to_text();
    if (error.sys_errno() == ETIMEDOUT) return fail_with(Code::try_again, "the pod could not be enrolled in time", details);
    if (error.code() == ErrorCode::usage) return fail_with(Code::bad_config, "these flags cannot be programmed", details);
    if (error.code() == ErrorCode::environment) return fail_with(Code::unable, "this node cannot enrol the pod", details);
    return fail_with(Code::not_enrolled, "the pod could not be enrolled", details);
  }

  // ── CHECK ──

  Outcome<> check() {
    PolicyInput input;
    if (auto known = load(file_)) {
      entry_.outcome = "skipped";
      entry_.reason = known->skipped;
      if (!known->is_enrolled()) return {};
      input = known->input;
    } else {
      if (has_errors(request_.remarks))
        return fail_with(Code::bad_config, "invalid network configuration", joined(request_.remarks));
      auto made = decision();
      if (!made) return tl::unexpected(made.error());
      entry_.outcome = "skipped";
      if (made->skip) return {};
      input = made->input;
    }
    auto opened = sandbox();
    if (!opened) return tl::unexpected(opened.error());
    const std::string backend = backend_of(input);
    auto drift = (*opened)->check(backend, capture::plan(policy_of(input).parsed.policy));
    if (!drift) return fail_with(Code::unable, "the pod's capture cannot be looked at", drift.error().to_text());
    if (!drift->empty())
      return fail_with(Code::drift, "the pod is not captured as it was enrolled", join(drift->differences, "; "));
    entry_.outcome = "captured";
    return {};
  }

  // ── DEL ──

  Outcome<> del() {
    const auto known = load(file_);
    auto left = leave(known);
    if (!left) return left;
    if (auto erased = node_.erase(directory(), file_); !erased)
      return fail_with(Code::io, "the attachment's record cannot be removed", erased.error().to_text());
    return {};
  }

  Outcome<> leave(const std::optional<Record>& known) {
    entry_.outcome = "nothing-there";
    if (request_.netns.empty()) return {};
    if (known && !known->is_enrolled()) {
      entry_.outcome = "skipped";
      entry_.reason = known->skipped;
      return {};
    }
    auto opened = node_.open(request_.netns);
    if (!opened && is_gone(opened.error())) return {};
    if (!opened) return fail_with(Code::bad_netns, "CNI_NETNS cannot be entered", opened.error().to_text());
    if ((*opened)->is_own() && !request_.may_be_own_netns)
      return fail_with(Code::bad_netns, "CNI_NETNS is this plugin's own network namespace, the host's");
    if (auto other = sibling()) {
      entry_.outcome = "shared";
      entry_.why = fmt::format("network {} still captures this container", other->network);
      return {};
    }
    auto removed = (*opened)->remove();
    if (removed) {
      if (*removed) entry_.outcome = "removed";
      return {};
    }
    // What can never be removed, such as a table of somebody else, must not keep a pod from ending: it goes with the namespace.
    if (removed.error().code() != ErrorCode::environment && removed.error().code() != ErrorCode::usage)
      return fail_with(Code::not_removed, "the pod's rules could not be taken away", removed.error().to_text());
    entry_.level = log::Level::warn;
    note(removed.error());
    return {};
  }

  // ── STATUS, GC ──

  Outcome<> status() {
    std::vector<std::string> missing;
    auto flag = request_.config.flags.find("backend");
    if (auto probed = node_.probe(flag == request_.config.flags.end() ? "" : flag->second); !probed)
      missing.push_back(probed.error().to_text());
    constexpr const char* kTrial = "weir-cni-status";
    if (auto saved = node_.save(directory(), kTrial, ""); !saved)
      missing.push_back(saved.error().to_text());
    else if (auto erased = node_.erase(directory(), kTrial); !erased)
      missing.push_back(erased.error().to_text());
    if (auto read = rules(); !read) missing.push_back(read.error().details.empty() ? read.error().message : read.error().details);
    if (!missing.empty()) return fail_with(Code::not_available, "pods cannot be enrolled on this node", join(missing, "; "));
    entry_.outcome = "ready";
    return {};
  }

  Outcome<> collect() {
    auto files = node_.files(directory());
    if (!files) return fail_with(Code::io, "the records cannot be read", files.error().to_text());
    std::vector<std::string> valid;
    for (const Attachment& attachment : request_.valid) valid.push_back(record_file(request_.network, attachment));
    ErrorList errors;
    std::size_t erased = 0;
    for (const std::string& file : *files) {
      constexpr std::string_view kUnfinished = ".new";  // of a save that was killed
      const bool is_unfinished = file.ends_with(kUnfinished);
      const std::string of = is_unfinished ? file.substr(0, file.size() - kUnfinished.size()) : file;
      if (!of.ends_with(".json") || std::find(valid.begin(), valid.end(), of) != valid.end()) continue;
      std::optional<bool> is_ours = is_of_network(of, request_.network);
      if (!is_ours) {
        auto content = load(file);
        is_ours = content && content->network == request_.network;
      }
      if (!*is_ours) continue;
      auto gone = node_.erase(directory(), file);
      errors.add_if_failed(gone);
      if (gone && *gone) ++erased;
    }
    entry_.outcome = "collected";
    entry_.notes.push_back(fmt::format("{} records removed", erased));
    if (auto all = errors.to_result(); !all)
      return fail_with(Code::io, "some records could not be removed", all.error().to_text());
    return {};
  }

  const Request& request_;
  Node& node_;
  LogEntry& entry_;
  const std::string file_;
};

using Environment = std::map<std::string, std::string>;

LogEntry entry_of(const Request& request, const Environment& environment, const std::string& fresh_trace) {
  LogEntry entry;
  const auto command = environment.find("CNI_COMMAND");
  if (command != environment.end() && verb_of(command->second)) entry.verb = name(request.verb);
  entry.network = request.network;
  entry.attachment = request.attachment;
  entry.netns = request.netns;
  entry.pod = request.pod;
  entry.trace = request.trace.empty() ? fresh_trace : request.trace;
  return entry;
}

Answer refuse(const Request& request, const Failure& failure, LogEntry entry) {
  entry.level = log::Level::error;
  entry.outcome = "failed";
  entry.code = static_cast<int>(failure.code);
  entry.message = failure.message;
  entry.details = failure.details;
  std::string out = error_json(failure, request.version, entry.trace) + "\n";
  return {.exit_code = 1,
          .out = std::move(out),
          .entry = std::move(entry),
          .log = request.config.log,
          .log_level = request.config.log_level};
}

}  // namespace

Answer serve(const Environment& environment, std::string_view input, Node& node, const std::string& fresh_trace) {
  auto request = parse_request(environment, input);
  if (!request)
    return refuse(request.error().request, request.error().failure, entry_of(request.error().request, environment, fresh_trace));
  LogEntry entry = entry_of(*request, environment, fresh_trace);
  auto done = Call(*request, node, entry).run();
  if (!done) return refuse(*request, done.error(), std::move(entry));
  if (request->verb == Verb::version) entry.level = log::Level::debug;
  if (!done->empty()) *done += "\n";
  return {.exit_code = 0,
          .out = std::move(*done),
          .entry = std::move(entry),
          .log = request->config.log,
          .log_level = request->config.log_level};
}

Answer failed(const Environment& environment, std::string_view input, const Failure& failure, const std::string& fresh_trace) {
  const auto parsed = parse_request(environment, input);
  const Request& request = parsed ? *parsed : parsed.error().request;
  return refuse(request, failure, entry_of(request, environment, fresh_trace));
}

}  // namespace weir::cni
