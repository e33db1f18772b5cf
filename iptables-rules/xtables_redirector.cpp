// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_redirector.h"

#include <algorithm>

#include "base/text.h"
#include "capture/asked.h"
#include "iptables-rules/foreign.h"
#include "iptables-rules/reply_route.h"
#include "iptables-rules/source_address.h"
#include "iptables-rules/xtables_domains.h"
#include "iptables-rules/xtables_drain.h"
#include "iptables-rules/xtables_gate.h"
#include "iptables-rules/xtables_programs.h"
#include "iptables-rules/xtables_rules.h"
#include "iptables-rules/xtables_save.h"

namespace weir::xtables {

namespace {

using capture::Applied;
using capture::CapturePlan;
using capture::Drain;
using capture::Drift;
using capture::Released;

/// What is ours in both families.
struct Standing {
  Tables v4, v6;
  Gate gate, alive;  // entries of the lists
  const Tables& of(Family family) const { return family == Family::v4 ? v4 : v6; }
  Tables& of(Family family) { return family == Family::v4 ? v4 : v6; }
  bool empty() const { return v4.empty() && v6.empty(); }
};

/// Does anything stand that captures? The start gate is closed by the apply that makes it so, and never again.
bool captures(const Standing& standing) {
  for (Family family : kBothFamilies)
    for (const Table& table : standing.of(family))
      for (const Jump& jump : table.jumps)
        if (jump.rule.ends_with(" WEIR_INBOUND") || jump.rule.ends_with(" WEIR_OUTBOUND")) return true;
  return false;
}

/// Do rules ask whether the proxy lives?
bool asks_for_life(const Tables& tables) {
  for (const Table& table : tables)
    for (const UserChain& chain : table.chains)
      for (const std::string& rule : chain.rules)
        if (rule.find(kAliveList) != std::string::npos) return true;
  return false;
}

/// Without the table that captures.
Tables guards_of(const Tables& tables) {
  Tables guards;
  std::copy_if(tables.begin(), tables.end(), std::back_inserter(guards),
               [](const Table& table) { return table.name == "filter"; });
  return guards;
}

bool is_transparent(const Standing& standing) {
  for (Family family : kBothFamilies)
    for (const Table& table : standing.of(family))
      for (const UserChain& chain : table.chains)
        if (chain.name == "WEIR_TO_TRANSPARENT" || chain.name == "WEIR_MARK_OUTBOUND") return true;
  return false;
}

bool has_added_mark(const Tables& tables) {
  for (const Table& table : tables)
    for (const Jump& jump : table.jumps)
      if (jump.rule.find(kAddedMark) != std::string::npos) return true;
  return drain_comment(tables).find(kAddedMark) != std::string::npos;
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
      : variant_(variant),
        netlink_(std::move(netlink)),
        options_(std::move(options)),
        programs_(variant, options_.run, options_.lock_wait),
        gate_list_(options_.gate_folder),
        alive_list_(options_.gate_folder, kAliveList) {}

  std::string_view name() const override { return xtables::name(variant_); }

  Result<> probe() override {
    capture::CapturePolicy policy;
    policy.inbound_ports.kind = policy.outbound_cidrs.kind = capture::Selection::all;
    const CapturePlan plan = capture::plan(policy);
    for (Family family : kBothFamilies) {
      auto tried = programs_.restore(family, transition({}, compile(plan, family)), true);
      if (!tried) return pass(tried.error(), fmt::format("trying the backend {}", name()));
    }
    auto read = look();
    if (!read) return pass(read.error(), fmt::format("trying the backend {}", name()));
    return {};
  }

  Result<Applied> apply(const CapturePlan& asked) override {
    done_.reset();
    CapturePlan plan = asked;
    if (auto expressed = express(plan); !expressed) return pass(expressed.error());
    auto before = look();
    if (!before) return pass(before.error());
    auto source_before = nft::look_at_source(*netlink_);
    if (!source_before) return pass(source_before.error());
    auto routes = nft::own_routes(*netlink_);
    if (!routes) return pass(routes.error());
    Done done{.former = *before, .had_source = source_before->is_there, .routes = std::move(*routes)};
    if (plan.steps.empty()) {
      auto removed = take_away(*before, done.routes);
      if (!removed) return pass(removed.error());
      if (*removed) done_ = std::move(done);
      return Applied{.changed = *removed, .notes = {"nothing is to be captured"}};
    }
    auto source = nft::ensure_source(*netlink_, plan.block_missing_family);
    if (!source) return pass(source.error());
    if (source->is_missing) plan = capture::with_blocked(std::move(plan), Family::v6);
    std::string route_note;
    auto changed = program_with_routes(plan, *source, done, route_note);
    if (!changed) {
      ErrorList errors;
      errors.add(changed.error());
      if (has_routes(plan, done)) errors.add_if_failed(nft::restore_routes(*netlink_, done.routes));
      if (source->was_added) errors.add_if_failed(nft::remove_source(*netlink_));
      return pass(errors.to_result().error());
    }
    done_ = std::move(done);
    Applied applied{.changed = *changed || source->was_added, .notes = {}};
    for (const std::string& note : {source->note, route_note})
      if (!note.empty()) applied.notes.push_back(note);
    if (const std::string said = torn(before->v4, before->v6); !said.empty() && !drain_of(*before))
      applied.notes.push_back(said + "; it is whole now");
    return applied;
  }

  Result<> undo() override {
    if (!done_) return {};
    const Done done = std::move(*done_);
    done_.reset();
    ErrorList errors;
    errors.add_if_failed(put_back(done.former));
    errors.add_if_failed(nft::restore_routes(*netlink_, done.routes));
    auto now = nft::look_at_source(*netlink_);
    errors.add_if_failed(now);
    if (now && done.had_source && !now->is_there) errors.add_if_failed(nft::ensure_source(*netlink_));
    if (now && !done.had_source && now->is_there) errors.add_if_failed(nft::remove_source(*netlink_));
    return errors.to_result();
  }

  Result<Drift> check(const CapturePlan& plan) override {
    if (auto expressed = express(plan); !expressed) return pass(expressed.error());
    auto now = look();
    if (!now) return pass(now.error());
    if (drain_of(*now)) return Drift{.differences = {capture::kDraining}};
    auto source = nft::look_at_source(*netlink_);
    if (!source) return pass(source.error());
    const bool is_blocked = plan.block_missing_family && source->is_missing();
    Drift drift{.differences = all_differences(is_blocked ? capture::with_blocked(plan, Family::v6) : plan, *now)};
    if (const std::string said = torn(now->v4, now->v6); !said.empty())
      drift.differences.insert(drift.differences.begin(), said + "; check --repair makes it whole, remove takes it away");
    if (!is_blocked && plan.needs_inbound_source6 && source->has_v6 && !source->is_there)
      drift.differences.push_back("::6/128 is not an address of lo: the proxy cannot reach its workload by IPv6");
    auto routes = nft::route_differences(*netlink_, plan.reply_route);
    if (!routes) return pass(routes.error());
    drift.differences.insert(drift.differences.end(), routes->begin(), routes->end());
    return drift;
  }

  Result<bool> remove() override {
    done_.reset();
    found_torn_.clear();
    auto now = look();
    if (!now) return pass(now.error());
    auto routes = nft::own_routes(*netlink_);
    if (!routes) return pass(routes.error());
    auto removed = take_away(*now, *routes);
    if (const std::string said = torn(now->v4, now->v6); removed && !said.empty() && !drain_of(*now))
      found_torn_.push_back(said + ", or somebody else took a part; nothing of it is left now");
    return removed;
  }

  std::vector<std::string> found_torn() const override { return found_torn_; }

  Result<Released> release(const Drain& wanted) override {
    done_.reset();
    auto now = look();
    if (!now) return pass(now.error());
    if (now->empty()) {
      auto removed = remove();  // ::6 may have been left
      if (!removed) return pass(removed.error());
      return Released{.changed = *removed, .drain = std::nullopt};
    }
    if (is_transparent(*now)) return fail(ErrorCode::environment, "{}", capture::kNotTransparent);
    if (auto drain = drain_of(*now)) return Released{.changed = false, .drain = std::move(drain)};
    Drain drain{.id = wanted.id, .until = wanted.until, .ports = redirect_ports(now->v4)};
    if (drain.ports.empty()) drain.ports = redirect_ports(now->v6);
    const std::string owner = std::string(kOwnerMark) + (has_added_mark(now->v6) ? std::string(kAddedMark) : "");
    const Tables left = drain_tables(drain, owner);
    if (auto changed = change(*now, {.v4 = left, .v6 = left, .gate = {}, .alive = {}}); !changed) return pass(changed.error());
    return Released{.changed = true, .drain = std::move(drain)};
  }

  Result<std::optional<Drain>> draining() override {
    auto now = look();
    if (!now) return pass(now.error());
    return drain_of(*now);
  }

  Result<bool> end_drain(const Drain& drain) override {
    done_.reset();
    auto now = look();
    if (!now) return pass(now.error());
    if (drain_of(*now) != drain) return false;
    // By texts that fail if an apply has come in between.
    for (Family family : kBothFamilies) {
      const std::string text = ending(now->of(family));
      if (text.empty()) continue;
      auto done = programs_.restore(family, text);
      if (done) continue;
      auto left = draining();
      if (left && *left != drain) return false;
      return pass(done.error());
    }
    auto source = nft::look_at_source(*netlink_);
    if (!source) return pass(source.error());
    if (source->is_there && (source->is_ours || has_added_mark(now->v6)))
      if (auto removed = nft::remove_source(*netlink_); !removed) return pass(removed.error());
    return true;
  }

  std::vector<std::string> why_not(const CapturePlan& plan) const override { return xtables::why_not(plan); }

  std::string render(const CapturePlan& plan) const override {
    if (auto problems = why_not(plan); !problems.empty()) return fmt::format("# cannot be expressed: {}\n", join(problems, "; "));
    if (plan.steps.empty()) return "# nothing is to be captured\n";
    std::string text;
    for (Family family : kBothFamilies)
      text += fmt::format("# {}: {} --noflush\n{}", to_text(family), programs_.name(family, "restore"),
                          transition({}, compile(plan, family)));
    return text;
  }

  std::vector<std::string> rules_of(const CapturePlan& plan, std::size_t step, Family family) const override {
    return xtables::rules_of(plan, step, family, program_of(variant_, family));
  }

  Result<std::vector<std::string>> foreign() override {
    auto found = nft::foreign_in_front(*netlink_);
    // A kernel without nf_tables, where iptables-legacy works, has no rules there.
    if (!found && found.error().code() == ErrorCode::environment && variant_ == Variant::legacy)
      return std::vector<std::string>();
    return found;
  }

  Result<std::string> kept() override {
    auto now = look();
    if (!now) return pass(now.error());
    if (now->empty()) return fail(ErrorCode::environment, "there are no chains {}… of weir", kChainPrefix);
    // Either family keeps them; in one they may have been damaged.
    auto kept = capture::kept_asked(kept_comments(now->v4));
    return kept ? kept : capture::kept_asked(kept_comments(now->v6));
  }

 private:
  Result<> express(const CapturePlan& plan) const {
    const std::vector<std::string> problems = why_not(plan);
    if (problems.empty()) return {};
    return fail(ErrorCode::environment, "the backend {} cannot express {}; --backend=nft can", name(), join(problems, "; "));
  }

  /// What the last apply changed.
  struct Done {
    Standing former;
    bool had_source = false;  // ::6 was there before
    nft::OwnRoutes routes;    // that were there before
  };

  /// What of ours stands.
  Result<Standing> look() {
    Standing standing;
    for (Family family : kBothFamilies) {
      auto tables = programs_.save(family);
      if (!tables) return pass(tables.error());
      standing.of(family) = std::move(*tables);
    }
    auto gate = gate_list_.read();
    if (!gate) return pass(gate.error());
    standing.gate = *gate;
    auto alive = alive_list_.read();
    if (!alive) return pass(alive.error());
    standing.alive = *alive;
    return standing;
  }

  static std::vector<std::string> all_differences(const CapturePlan& plan, const Standing& now) {
    std::vector<std::string> found;
    for (Family family : kBothFamilies)
      for (std::string& difference : differences(compile(plan, family), now.of(family), family))
        found.push_back(std::move(difference));
    return found;
  }

  /// If a step fails, both families become what they were.
  Result<> change(const Standing& from, const Standing& to) {
    auto done = change_both(from, to);
    if (done) return {};
    ErrorList errors;
    errors.add(done.error());
    if (auto back = put_back(from); !back)
      errors.add(Error(back.error()).within("taking that back, so that a part of it may stand"));
    return pass(errors.to_result().error());
  }

  /// IPv4, then IPv6.
  Result<> change_both(const Standing& from, const Standing& to) {
    Standing now = from;
    const bool closes = to.gate != Gate{} && to.gate != from.gate, lives = to.alive != Gate{} && to.alive != from.alive;
    if (closes || lives) {
      // A list is there once a rule names it; it must say so before anything is captured.
      if (auto done = change_one(Family::v4, now, guards_of(to.v4)); !done) return done;
      if (closes)
        if (auto closed = gate_list_.make(to.gate); !closed) return closed;
      if (lives)
        if (auto noted = alive_list_.make(to.alive); !noted) return noted;
    }
    for (Family family : kBothFamilies)
      if (auto done = change_one(family, now, to.of(family)); !done) return done;
    // The kernel may take a list away some time after its last rule.
    if (to.gate == Gate{} && from.gate != Gate{})
      if (auto opened = gate_list_.make({}); !opened) return opened;
    return to.alive == Gate{} && from.alive != Gate{} ? alive_list_.make({}) : Result<>{};
  }

  Result<> change_one(Family family, Standing& now, const Tables& to) {
    const std::string text = transition(now.of(family), to);
    now.of(family) = to;
    return text.empty() ? Result<>{} : programs_.restore(family, text);
  }

  static bool has_routes(const CapturePlan& plan, const Done& done) { return plan.reply_route || !done.routes.empty(); }

  /// Policy routing comes before the rules that need it, and what only the former rules needed goes after them.
  Result<bool> program_with_routes(const CapturePlan& plan, const nft::Ensured& source, const Done& done, std::string& note) {
    if (!has_routes(plan, done)) return program(plan, done.former, source);
    auto ensured = nft::ensure_routes(*netlink_, plan.reply_route);
    if (!ensured) return pass(ensured.error());
    note = *ensured;
    auto changed = program(plan, done.former, source);
    if (!changed) return changed;
    ErrorList errors;
    errors.add_if_failed(nft::drop_other_routes(*netlink_, plan.reply_route));
    auto now = nft::own_routes(*netlink_);
    errors.add_if_failed(now);
    if (errors.empty()) return *changed || *now != done.routes;
    if (*changed) errors.add_if_failed(put_back(done.former));
    return pass(errors.to_result().error());
  }

  /// True if something had to be changed.
  Result<bool> program(const CapturePlan& plan, const Standing& before, const nft::Ensured& source) {
    if (!options_.force && all_differences(plan, before).empty()) return false;
    Standing wanted{.v4 = compile(plan, Family::v4), .v6 = compile(plan, Family::v6), .gate = before.gate, .alive = before.alive};
    if (!plan.start_gate)
      wanted.gate = {};
    else if (!captures(before) && !drain_of(before))  // while a drain stands the proxy is there
      wanted.gate = {.v4 = true, .v6 = true};
    // The addresses that stand for excluded domains stay.
    for (Family family : kBothFamilies)
      if (const auto excluded = excluded_in(before.of(family)))
        wanted.of(family) = with_excluded(std::move(wanted.of(family)), *excluded, family);
    // Where a sandbox that was captured is to be open without a proxy from now on, the proxy counts as alive until its time is
    // over.
    if (!plan.open_after || !captures(before))
      wanted.alive = {};
    else if (!asks_for_life(before.v4))
      wanted.alive = {.v4 = true, .v6 = true};
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
    bool differs = false;
    for (Family family : kBothFamilies) {
      if (is_same(now->of(family), former.of(family))) continue;
      differs = true;
      errors.add_if_failed(programs_.restore(family, transition(now->of(family), former.of(family))));
    }
    // Rules that went may have taken the lists with them.
    if (differs) errors.add_if_failed(gate_list_.make(former.gate));
    if (differs) errors.add_if_failed(put_life_back(former));
    return errors.to_result();
  }

  /// A heartbeat may have come meanwhile.
  Result<> put_life_back(const Standing& former) {
    if (!asks_for_life(former.v4)) return alive_list_.make({});
    auto now = alive_list_.read();
    if (!now) return pass(now.error());
    return alive_list_.make({.v4 = former.alive.v4 || now->v4, .v6 = former.alive.v6 || now->v6});
  }

  static bool is_same(const Tables& a, const Tables& b) {
    return differences(a, b, Family::v4).empty() && transition({}, a) == transition({}, b);
  }

  /// What drains in both families, or in one while there is nothing in the other (its end was interrupted).
  static std::optional<Drain> drain_of(const Standing& standing) {
    const auto v4 = drain_in(standing.v4), v6 = drain_in(standing.v6);
    if (standing.v4.empty()) return v6;
    if (standing.v6.empty() || v4 == v6) return v4;
    return std::nullopt;
  }

  /// The rules, our policy routing (`routes` is what of it there is) and, if it is ours, the address. If one cannot be taken, the
  /// others are put back.
  Result<bool> take_away(const Standing& now, const nft::OwnRoutes& routes) {
    auto source = nft::look_at_source(*netlink_);
    if (!source) return pass(source.error());
    const bool is_source_ours = source->is_there && (source->is_ours || has_added_mark(now.v6));
    if (!now.empty())
      if (auto changed = change(now, {}); !changed) return pass(changed.error());
    Result<> removed;
    if (!routes.empty())
      if (auto dropped = nft::drop_other_routes(*netlink_, std::nullopt); !dropped) removed = pass(dropped.error());
    if (removed && is_source_ours) removed = nft::remove_source(*netlink_);
    if (removed) return !now.empty() || !routes.empty() || is_source_ours;
    ErrorList errors;
    errors.add(removed.error());
    errors.add_if_failed(put_back(now));
    if (!routes.empty()) errors.add_if_failed(nft::restore_routes(*netlink_, routes));
    return pass(errors.to_result().error());
  }

  Variant variant_;
  std::unique_ptr<kernel::Netlink> netlink_;
  XtablesOptions options_;
  Programs programs_;
  GateList gate_list_, alive_list_;
  std::optional<Done> done_;
  std::vector<std::string> found_torn_;
};

}  // namespace

std::unique_ptr<capture::Redirector> make_xtables_redirector(Variant variant, std::unique_ptr<kernel::Netlink> netlink,
                                                             XtablesOptions options) {
  return std::make_unique<XtablesRedirector>(variant, std::move(netlink), std::move(options));
}

}  // namespace weir::xtables
