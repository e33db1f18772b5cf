// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_redirector.h"

#include <algorithm>

#include "base/text.h"
#include "iptables-rules/source_address.h"
#include "iptables-rules/xtables_rules.h"
#include "iptables-rules/xtables_save.h"

namespace weir::xtables {

namespace {

using capture::Applied;
using capture::CapturePlan;
using capture::Drift;

/// How long iptables-restore may wait for /run/xtables.lock, in seconds.
constexpr std::string_view kLockWait = "10";
constexpr Nanoseconds kLimit = std::chrono::seconds(20);

/// What is ours in both families.
struct Standing {
  Tables v4, v6;
  const Tables& of(Family family) const { return family == Family::v4 ? v4 : v6; }
  Tables& of(Family family) { return family == Family::v4 ? v4 : v6; }
  bool empty() const { return v4.empty() && v6.empty(); }
};

bool has_added_mark(const Tables& tables) {
  for (const Table& table : tables)
    for (const Jump& jump : table.jumps)
      if (jump.rule.find(kAddedMark) != std::string::npos) return true;
  return false;
}

void add_added_mark(Tables& tables) {
  for (Table& table : tables)
    for (Jump& jump : table.jumps)
      if (auto at = jump.rule.find(kOwnerMark); at != std::string::npos && jump.rule.find(kAddedMark) == std::string::npos)
        jump.rule.insert(at + kOwnerMark.size(), kAddedMark);
}

class XtablesRedirector : public capture::Redirector {
 public:
  XtablesRedirector(Variant variant, std::unique_ptr<kernel::Netlink> netlink, XtablesOptions options)
      : variant_(variant), netlink_(std::move(netlink)), options_(std::move(options)) {}

  std::string_view name() const override { return xtables::name(variant_); }

  Result<> probe() override {
    capture::CapturePolicy policy;
    policy.inbound_ports.kind = policy.outbound_cidrs.kind = capture::Selection::all;
    const CapturePlan plan = capture::plan(policy);
    for (Family family : kBothFamilies) {
      auto tried = restore(family, transition({}, compile(plan, family)), true);
      if (!tried) return pass(tried.error(), fmt::format("trying the backend {}", name()));
    }
    auto read = look();
    if (!read) return pass(read.error(), fmt::format("trying the backend {}", name()));
    return {};
  }

  Result<Applied> apply(const CapturePlan& plan) override {
    done_.reset();
    if (auto problems = why_not(plan); !problems.empty())
      return fail(ErrorCode::environment, "the backend {} cannot express {}; --backend=nft can", name(), join(problems, "; "));
    auto before = look();
    if (!before) return pass(before.error());
    auto source_before = nft::look_at_source(*netlink_);
    if (!source_before) return pass(source_before.error());
    Done done{.former = *before, .had_source = source_before->is_there};
    if (plan.steps.empty()) {
      auto removed = take_away(*before);
      if (!removed) return pass(removed.error());
      if (*removed) done_ = std::move(done);
      return Applied{.changed = *removed, .notes = {"nothing is to be captured"}};
    }
    auto source = nft::ensure_source(*netlink_);
    if (!source) return pass(source.error());
    auto changed = program(plan, *before, *source);
    if (!changed) {
      ErrorList errors;
      errors.add(changed.error());
      if (source->was_added) errors.add_if_failed(nft::remove_source(*netlink_));
      return pass(errors.to_result().error());
    }
    done_ = std::move(done);
    Applied applied{.changed = *changed || source->was_added, .notes = {}};
    if (!source->note.empty()) applied.notes.push_back(source->note);
    return applied;
  }

  Result<> undo() override {
    if (!done_) return {};
    const Done done = std::move(*done_);
    done_.reset();
    ErrorList errors;
    errors.add_if_failed(put_back(done.former));
    auto now = nft::look_at_source(*netlink_);
    errors.add_if_failed(now);
    if (now && done.had_source && !now->is_there) errors.add_if_failed(nft::ensure_source(*netlink_));
    if (now && !done.had_source && now->is_there) errors.add_if_failed(nft::remove_source(*netlink_));
    return errors.to_result();
  }

  Result<Drift> check(const CapturePlan& plan) override {
    if (auto problems = why_not(plan); !problems.empty())
      return fail(ErrorCode::environment, "the backend {} cannot express {}; --backend=nft can", name(), join(problems, "; "));
    auto now = look();
    if (!now) return pass(now.error());
    Drift drift{.differences = all_differences(plan, *now)};
    auto source = nft::look_at_source(*netlink_);
    if (!source) return pass(source.error());
    if (plan.needs_inbound_source6 && source->has_v6 && !source->is_there)
      drift.differences.push_back("::6/128 is not an address of lo: the proxy cannot reach its workload by IPv6");
    return drift;
  }

  Result<bool> remove() override {
    done_.reset();
    auto now = look();
    if (!now) return pass(now.error());
    return take_away(*now);
  }

  std::string render(const CapturePlan& plan) const override {
    if (auto problems = why_not(plan); !problems.empty())
      return fmt::format("# the backend {} cannot express {}\n", name(), join(problems, "; "));
    if (plan.steps.empty()) return "# nothing is to be captured\n";
    std::string text;
    for (Family family : kBothFamilies)
      text += fmt::format("# {}: {} --noflush\n{}", to_text(family), program_name(family, "restore"),
                          transition({}, compile(plan, family)));
    return text;
  }

 private:
  /// What the last apply changed.
  struct Done {
    Standing former;
    bool had_source = false;  // ::6 was there before
  };

  std::string program_name(Family family, std::string_view verb) const {
    return fmt::format("ip{}tables-{}-{}", family == Family::v4 ? "" : "6", variant_ == Variant::legacy ? "legacy" : "nft", verb);
  }

  /// Runs one of iptables' programs; anything but success is an error that says what it said.
  Result<std::string> call(const std::vector<std::string>& arguments, const std::string& input) {
    auto output = options_.run(arguments, input);
    if (!output) {
      if (output.error().sys_errno() == ENOENT)
        return fail(ErrorCode::environment, "{}; the package iptables has it", output.error().message());
      return pass(output.error());
    }
    if (output->exit_code == 0) return std::move(output->out);
    const std::string said = printable(trim(output->err), 600);
    const bool is_privilege =
        said.find("Permission denied") != std::string::npos || said.find("you must be root") != std::string::npos;
    std::string hint;
    if (said.find("xtables lock") != std::string::npos)
      hint = "; another program holds the lock of iptables, see: fuser /run/xtables.lock";
    else if (is_privilege)
      hint = "; CAP_NET_ADMIN and CAP_NET_RAW are needed in this network namespace";
    else
      hint = "; a kernel option may be missing, see docs/kernel-support.md";
    return fail(ErrorCode::environment, "{} ended with {}: {}{}", join(arguments, " "), output->exit_code, said, hint);
  }

  Result<> restore(Family family, const std::string& text, bool is_trial = false) {
    std::vector<std::string> arguments = {program_name(family, "restore"), "--noflush", "--wait", std::string(kLockWait)};
    if (is_trial) arguments.emplace_back("--test");
    auto done = call(arguments, text);
    if (!done) return pass(done.error());
    return {};
  }

  /// What of ours stands.
  Result<Standing> look() {
    Standing standing;
    for (Family family : kBothFamilies) {
      auto text = call({program_name(family, "save")}, "");
      if (!text) return pass(text.error());
      auto tables = read_save(*text);
      if (!tables) return pass(tables.error(), fmt::format("{}, {}", name(), to_text(family)));
      standing.of(family) = std::move(*tables);
    }
    return standing;
  }

  static std::vector<std::string> all_differences(const CapturePlan& plan, const Standing& now) {
    std::vector<std::string> found;
    for (Family family : kBothFamilies)
      for (std::string& difference : differences(compile(plan, family), now.of(family), family))
        found.push_back(std::move(difference));
    return found;
  }

  /// IPv4, then IPv6. If one fails, both become what they were.
  Result<> change(const Standing& from, const Standing& to) {
    for (Family family : kBothFamilies) {
      const std::string text = transition(from.of(family), to.of(family));
      if (text.empty()) continue;
      auto done = restore(family, text);
      if (done) continue;
      ErrorList errors;
      errors.add(done.error());
      if (auto back = put_back(from); !back)
        errors.add(Error(back.error()).within("taking that back, so that a part of it may stand"));
      return pass(errors.to_result().error());
    }
    return {};
  }

  /// True if something had to be changed.
  Result<bool> program(const CapturePlan& plan, const Standing& before, const nft::Ensured& source) {
    if (!options_.force && all_differences(plan, before).empty()) return false;
    Standing wanted{.v4 = compile(plan, Family::v4), .v6 = compile(plan, Family::v6)};
    if ((source.was_added && !source.is_marked) || has_added_mark(before.v6)) add_added_mark(wanted.v6);
    if (auto changed = change(before, wanted); !changed) return pass(changed.error());
    return true;
  }

  /// Makes `former` of whatever stands: a step that failed may have been done in part, or done and its answer lost. Both families
  /// are tried, whatever comes of the first.
  Result<> put_back(const Standing& former) {
    auto now = look();
    if (!now) return pass(now.error());
    ErrorList errors;
    for (Family family : kBothFamilies) {
      if (is_same(now->of(family), former.of(family))) continue;
      errors.add_if_failed(restore(family, transition(now->of(family), former.of(family))));
    }
    return errors.to_result();
  }

  static bool is_same(const Tables& a, const Tables& b) {
    return differences(a, b, Family::v4).empty() && transition({}, a) == transition({}, b);
  }

  Result<bool> take_away(const Standing& now) {
    auto source = nft::look_at_source(*netlink_);
    if (!source) return pass(source.error());
    const bool is_source_ours = source->is_there && (source->is_ours || has_added_mark(now.v6));
    if (!now.empty())
      if (auto changed = change(now, {}); !changed) return pass(changed.error());
    if (!is_source_ours) return !now.empty();
    auto removed = nft::remove_source(*netlink_);
    if (removed) return true;
    ErrorList errors;
    errors.add(removed.error());
    errors.add_if_failed(put_back(now));
    return pass(errors.to_result().error());
  }

  Variant variant_;
  std::unique_ptr<kernel::Netlink> netlink_;
  XtablesOptions options_;
  std::optional<Done> done_;
};

}  // namespace

std::string_view name(Variant variant) { return variant == Variant::legacy ? "iptables-legacy" : "iptables-nft"; }

Runner limited_runner() {
  return
      [](const std::vector<std::string>& arguments, const std::string& input) { return kernel::run(arguments, input, kLimit); };
}

std::unique_ptr<capture::Redirector> make_xtables_redirector(Variant variant, std::unique_ptr<kernel::Netlink> netlink,
                                                             XtablesOptions options) {
  return std::make_unique<XtablesRedirector>(variant, std::move(netlink), std::move(options));
}

}  // namespace weir::xtables
