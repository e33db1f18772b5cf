// SPDX-License-Identifier: Apache-2.0
#include "init/enrolment.h"

#include "base/text.h"
#include "iptables-rules/nft_redirector.h"
#include "iptables-rules/standing.h"
#include "iptables-rules/xtables_redirector.h"
#include "kernel/background.h"

namespace weir::init {

namespace {

/// An apply takes some hundredths of a second; who takes longer hangs, and is not waited for.
constexpr Nanoseconds kLockLimit = std::chrono::seconds(5);

}  // namespace

std::span<const Backend> backends() {
  using Variant = xtables::Variant;
  static constexpr Backend kBackends[] = {
      {"nft", "nftables, by netlink",
       [](const BackendOptions& options) { return nft::make_nft_redirector(kernel::open_netlink(), {.force = options.force}); }},
      {"iptables-nft", "iptables' nftables variant, by iptables-nft-restore",
       [](const BackendOptions& options) {
         return xtables::make_xtables_redirector(Variant::nft, kernel::open_netlink(), {.force = options.force});
       }},
      {"iptables-legacy", "iptables' legacy variant, by iptables-legacy-restore", [](const BackendOptions& options) {
         return xtables::make_xtables_redirector(Variant::legacy, kernel::open_netlink(), {.force = options.force});
       }}};
  return kBackends;
}

Machine this_machine() {
  return {.make =
              [](std::string_view name, const BackendOptions& options) {
                for (const Backend& backend : backends())
                  if (backend.name == name) return backend.make(options);
                return backends().front().make(options);
              },
          .standing = [] { return nft::standing_backends(*kernel::open_netlink()); },
          .lock =
              [] {
                auto lock = kernel::wait_for_name("weir-change", kLockLimit);
                return lock ? std::move(*lock) : UniqueFd();
              },
          .drains = drain_world()};
}

namespace {

/// Two backends would both capture, and undo would not know whose work it sees.
Result<> refuse_others(const std::vector<std::string>& standing, std::string_view chosen) {
  for (const std::string& other : standing)
    if (other != chosen)
      return fail(ErrorCode::environment,
                  "cannot apply by {}: this network namespace has rules that weir made by {}; take them away first: weir-init "
                  "remove --backend={}",
                  chosen, other, other);
  return {};
}

}  // namespace

Result<Enrolled> enrol_with(const Machine& machine, std::string_view asked, const BackendOptions& options,
                            const capture::CapturePlan& plan) {
  const auto lock = machine.lock();
  const std::vector<std::string> standing = machine.standing();
  std::vector<std::string> candidates;
  if (asked != "auto")
    candidates.emplace_back(asked.empty() ? backends().front().name : asked);
  else if (!standing.empty())
    candidates.push_back(standing.front());
  else
    for (const Backend& backend : backends()) candidates.emplace_back(backend.name);
  ErrorList refusals;
  std::vector<std::string> notes;
  for (const std::string& name : candidates) {
    if (auto alone = refuse_others(standing, name); !alone) return pass(alone.error());
    auto backend = machine.make(name, options);
    auto applied = enrol(*backend, plan);
    if (applied) {
      applied->notes.insert(applied->notes.begin(), notes.begin(), notes.end());
      return Enrolled{.backend = name, .applied = std::move(*applied)};
    }
    // Only a machine that lacks something is a reason to try the next: whatever else failed has undone itself.
    if (candidates.size() == 1 || applied.error().code() != ErrorCode::environment) return pass(applied.error());
    refusals.add(Error(applied.error()).within("backend " + name));
    notes.push_back(fmt::format("the backend {} was passed over: {}", name, applied.error().to_text()));
  }
  return pass(refusals.to_result().error());
}

std::vector<std::string> backends_to_remove(const Machine& machine, std::string_view asked) {
  std::vector<std::string> names;
  if (!asked.empty() && asked != "auto") names.emplace_back(asked);
  if (names.empty()) names = machine.standing();
  if (names.empty()) names.emplace_back(backends().front().name);
  return names;
}

Result<bool> remove_with(const Machine& machine, std::string_view asked, const std::vector<Port>& ports,
                         std::vector<std::string>* notes) {
  const auto lock = machine.lock();
  ErrorList errors;
  bool had = false;
  for (const std::string& name : backends_to_remove(machine, asked)) {
    auto backend = machine.make(name, {});
    auto removed = backend->remove();
    errors.add_if_failed(removed);
    had |= removed && *removed;
    if (notes != nullptr)
      for (std::string& torn : backend->found_torn()) notes->push_back(std::move(torn));
  }
  if (auto all = errors.to_result(); !all) return pass(all.error());
  if (had && !ports.empty()) machine.drains.forget(ports);
  return had;
}

std::string backend_to_check(const Machine& machine, std::string_view asked) {
  if (!asked.empty() && asked != "auto") return std::string(asked);
  const std::vector<std::string> standing = machine.standing();
  return standing.empty() ? std::string(backends().front().name) : standing.front();
}

Result<capture::Applied> enrol(capture::Redirector& backend, const capture::CapturePlan& plan) {
  if (!backend.apply_is_probe())
    if (auto probed = backend.probe(); !probed) return pass(probed.error());
  auto applied = backend.apply(plan);  // undoes itself
  if (!applied) return applied;
  auto drift = backend.check(plan);
  if (drift && drift->empty()) return applied;
  ErrorList errors;
  errors.add(drift ? Error(ErrorCode::check_failed,
                           fmt::format("what was programmed is not what the kernel shows: {}", join(drift->differences, "; ")))
                   : drift.error());
  if (auto undone = backend.undo(); !undone)
    errors.add(Error(undone.error()).within("taking that back, so that a part of it may stand"));
  return pass(errors.to_result().error());
}

}  // namespace weir::init
