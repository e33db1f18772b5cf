// SPDX-License-Identifier: Apache-2.0
// What every redirection backend can do, and nothing more.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/well_known.h"
#include "capture/drain.h"
#include "capture/plan.h"

namespace weir::capture {

/// The name that all we put into the kernel bears; only what bears it is ever changed or deleted (invariant 5).
struct Owner {
  std::string name = well_known::kOwner;
};

/// What apply() did.
struct Applied {
  bool changed = false;            ///< false: the kernel already had exactly this plan
  std::vector<std::string> notes;  ///< for people: "IPv6 is off in this namespace: …"
};

/// Differences between plan and kernel, one sentence each; empty: none.
struct Drift {
  std::vector<std::string> differences;
  bool empty() const { return differences.empty(); }
};

/// Programs one network namespace: the one in which it was made. Not thread-safe.
class Redirector {
 public:
  virtual ~Redirector() = default;
  virtual std::string_view name() const = 0;
  /// Can it work here? The error (environment) says what is missing and what to do. Changes nothing.
  virtual Result<> probe() = 0;
  /// Where probe() would fail, apply() fails as well: it leaves nothing and its error says as much. So nobody needs to probe
  /// before it.
  virtual bool apply_is_probe() const { return false; }
  /// Leaves the whole plan or nothing of ours (invariant 4); replaces what an earlier apply left. Idempotent.
  virtual Result<Applied> apply(const CapturePlan& plan) = 0;
  /// Takes back what the last apply() of this object changed: what of ours stood before stands again, else nothing of ours. After
  /// an apply that failed or changed nothing, or none: nothing to do.
  virtual Result<> undo() = 0;
  /// Changes nothing.
  virtual Result<Drift> check(const CapturePlan& plan) = 0;
  /// Takes away only what is ours; true if there was something. Nothing there is success.
  virtual Result<bool> remove() = 0;
  /// What the last remove() took away that weir leaves behind only if it is interrupted, or that somebody else has torn:
  /// sentences for people.
  virtual std::vector<std::string> found_torn() const { return {}; }
  /// Live un-enrolment: from one transaction on no new connection is captured, and those that were go on. Leaves a drain:
  /// `wanted` with the ports that the rules redirected to, or the one that stands already. Done whole or not at all; nothing
  /// there is success. A later apply takes over, and remove ends it, as ever. By default refused (environment).
  virtual Result<Released> release(const Drain& wanted);
  /// The drain that stands. Changes nothing.
  virtual Result<std::optional<Drain>> draining() { return std::nullopt; }
  /// Takes away what is left of exactly this drain; false if it stands no longer, and then nothing is changed.
  virtual Result<bool> end_drain(const Drain& drain);
  /// What apply would program, in the backend's own language, for people and for `nft -f`. Pure.
  virtual std::string render(const CapturePlan& plan) const = 0;
  /// What of the plan this backend cannot express wherever it runs, a sentence each; apply and check then refuse. Pure.
  virtual std::vector<std::string> why_not(const CapturePlan&) const { return {}; }
  /// The rules by which step number `step` of the plan stands for packets of one family, in the backend's own language. Pure.
  virtual std::vector<std::string> rules_of(const CapturePlan& plan, std::size_t step, Family family) const = 0;
  /// The flags that what stands was made of, as it keeps them itself (asked.h). Error (environment): nothing of ours stands, or
  /// it keeps none.
  virtual Result<std::string> kept() = 0;
  /// Rules of others that see packets before ours do and could take them away, a sentence each. Changes nothing.
  virtual Result<std::vector<std::string>> foreign() = 0;
};

/// A backend without a kernel, for tests: remembers the plan and records each call; `fail_at` names the verb that fails.
class NullRedirector : public Redirector {
 public:
  std::vector<std::string> calls;
  std::string fail_at;
  bool is_own_probe = false;
  std::vector<std::string> torn;
  std::optional<CapturePlan> applied;
  std::optional<Drain> drain;

  std::string_view name() const override { return "null"; }
  Result<> probe() override;
  bool apply_is_probe() const override { return is_own_probe; }
  std::vector<std::string> found_torn() const override { return torn; }
  Result<Applied> apply(const CapturePlan& plan) override;
  Result<> undo() override;
  Result<Drift> check(const CapturePlan& plan) override;
  Result<bool> remove() override;
  Result<Released> release(const Drain& wanted) override;
  Result<std::optional<Drain>> draining() override { return drain; }
  Result<bool> end_drain(const Drain& ended) override;
  std::string render(const CapturePlan& plan) const override { return to_text(plan); }
  std::vector<std::string> rules_of(const CapturePlan& plan, std::size_t step, Family family) const override;
  Result<std::string> kept() override;
  Result<std::vector<std::string>> foreign() override { return std::vector<std::string>(); }

 private:
  Result<> record(std::string verb);
  std::optional<CapturePlan> before_;
};

}  // namespace weir::capture
