// SPDX-License-Identifier: Apache-2.0
#include "capture/redirector.h"

#include "capture/asked.h"

namespace weir::capture {

Result<Released> Redirector::release(const Drain&) {
  return fail(ErrorCode::environment, "the backend {} cannot un-enrol live; use remove without --live", name());
}

Result<bool> Redirector::end_drain(const Drain&) { return false; }

Result<> NullRedirector::record(std::string verb) {
  calls.push_back(verb);
  if (verb == fail_at) return fail(ErrorCode::environment, "the null backend was told to fail at {}", verb);
  return {};
}

Result<> NullRedirector::probe() { return record("probe"); }

Result<Applied> NullRedirector::apply(const CapturePlan& plan) {
  if (auto r = record("apply"); !r) return pass(r.error());
  const bool changed = applied != plan;
  before_ = applied;
  applied = plan;
  drain.reset();
  return Applied{.changed = changed, .notes = {}};
}

Result<> NullRedirector::undo() {
  if (auto r = record("undo"); !r) return r;
  applied = before_;
  return {};
}

Result<Drift> NullRedirector::check(const CapturePlan& plan) {
  if (auto r = record("check"); !r) return pass(r.error());
  Drift drift;
  if (applied != plan) drift.differences.push_back("another plan, or none, was applied");
  return drift;
}

Result<bool> NullRedirector::remove() {
  if (auto r = record("remove"); !r) return pass(r.error());
  const bool had = applied.has_value() || drain.has_value();
  applied.reset();
  drain.reset();
  return had;
}

Result<Released> NullRedirector::release(const Drain& wanted) {
  if (auto r = record("release"); !r) return pass(r.error());
  if (!applied) return Released{.changed = false, .drain = drain};
  applied.reset();
  drain = wanted;
  return Released{.changed = true, .drain = drain};
}

Result<bool> NullRedirector::end_drain(const Drain& ended) {
  if (auto r = record("end_drain"); !r) return pass(r.error());
  if (drain != ended) return false;
  drain.reset();
  return true;
}

std::vector<std::string> NullRedirector::rules_of(const CapturePlan& plan, std::size_t step, Family) const {
  return {to_text(plan.steps.at(step).match)};
}

Result<std::string> NullRedirector::kept() {
  if (auto r = record("kept"); !r) return pass(r.error());
  std::vector<std::string> comments;
  if (applied)
    for (const Step& step : applied->steps)
      if (step.chain == Chain::kept_flags) comments.push_back(step.why);
  return kept_asked(comments);
}

}  // namespace weir::capture
