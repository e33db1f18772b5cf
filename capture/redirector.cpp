// SPDX-License-Identifier: Apache-2.0
#include "capture/redirector.h"

namespace weir::capture {

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
  const bool had = applied.has_value();
  applied.reset();
  return had;
}

}  // namespace weir::capture
