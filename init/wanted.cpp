// SPDX-License-Identifier: Apache-2.0
#include "init/wanted.h"

#include <algorithm>
#include <cerrno>

namespace weir::init {

namespace {

Result<capture::CapturePolicy> policy_of(const capture::AskedOptions& asked, const capture::Accounts& accounts) {
  capture::ParseOutcome outcome = capture::parse_options(asked, accounts);
  if (has_errors(outcome.problems)) return pass(to_error(outcome.problems));
  return outcome.parsed.policy;
}

struct Kept {
  std::string text;
  capture::AskedOptions asked;
  capture::CapturePolicy policy;
};

Result<Kept> read_kept(capture::Redirector& backend, const capture::Accounts& accounts) {
  auto text = backend.kept();
  if (!text) return pass(text.error());
  auto asked = capture::parse_asked(*text);
  if (!asked) return pass(asked.error(), "reading the flags that the standing rules keep");
  auto policy = policy_of(*asked, accounts);
  if (!policy) return pass(policy.error(), "reading the flags that the standing rules keep");
  return Kept{.text = std::move(*text), .asked = std::move(*asked), .policy = std::move(*policy)};
}

}  // namespace

std::string Wanted::flags_text() const {
  std::string text = capture::to_text(asked);
  return text.empty() ? "none" : text;
}

std::string Wanted::where_from() const {
  if (nothing_stands) return "none given, and no rules of weir are here";
  if (draining) return "none given, and the rules of weir are draining";
  return is_read_back ? "kept by the rules" : "given";
}

Wanted wanted_by_flags(const capture::AskedOptions& asked, const capture::CapturePolicy& policy, std::string backend) {
  Wanted found{.backend = std::move(backend), .asked = asked, .policy = policy, .plan = capture::plan(policy)};
  capture::keep_asked(found.plan, capture::to_text(asked));
  return found;
}

Result<Wanted> wanted(const Machine& machine, std::string_view asked_backend, const capture::AskedOptions& asked,
                      const capture::CapturePolicy& policy, const capture::Accounts& accounts) {
  Wanted found = wanted_by_flags(asked, policy, backend_to_check(machine, asked_backend));
  auto backend = machine.make(found.backend, {});
  auto kept = read_kept(*backend, accounts);
  const bool is_same = kept && kept->policy == policy;
  if (asked.empty() && !kept) {
    const std::vector<std::string> standing = machine.standing();
    const int error = kept.error().sys_errno();
    if (error == EPERM || error == EACCES)
      return pass(kept.error(), "no flags are given, so those of the standing rules are wanted");
    if (std::find(standing.begin(), standing.end(), found.backend) == standing.end()) {
      found.nothing_stands = true;
      return found;
    }
    if (auto drain = backend->draining(); drain && *drain) {
      found.draining = **drain;
      return found;
    }
    return fail(ErrorCode::environment, "no flags are given, and those of the standing rules cannot be known: {}; give the flags",
                kept.error().to_text());
  }
  if (!asked.empty() && !is_same) return found;
  found.asked = std::move(kept->asked);
  found.policy = std::move(kept->policy);
  found.plan = capture::plan(found.policy);
  found.is_read_back = asked.empty();
  capture::keep_asked(found.plan, kept->text);
  return found;
}

}  // namespace weir::init
