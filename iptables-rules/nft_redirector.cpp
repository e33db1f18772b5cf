// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/nft_redirector.h"

#include <algorithm>

#include "capture/asked.h"
#include "iptables-rules/foreign.h"
#include "iptables-rules/former.h"
#include "iptables-rules/messages.h"
#include "iptables-rules/nft_drain.h"
#include "iptables-rules/reply_route.h"
#include "iptables-rules/ruleset.h"
#include "iptables-rules/snapshot.h"
#include "iptables-rules/source_address.h"

namespace weir::nft {

namespace {

using capture::Applied;
using capture::CapturePlan;
using capture::Drain;
using capture::Drift;
using capture::Released;

constexpr std::string_view kProbeTable = "weir-probe";
/// Added to the table's comment where the kernel does not keep who added an address.
constexpr std::string_view kAddedMark = ", added ::6 to lo";
/// Others may change their tables between our reading and writing; each time we read again.
constexpr int kAttempts = 10;

class NftRedirector : public capture::Redirector {
 public:
  NftRedirector(std::unique_ptr<kernel::Netlink> netlink, const NftOptions& options)
      : netlink_(std::move(netlink)), options_(options) {}

  std::string_view name() const override { return "nft"; }

  /// Sends a batch that holds every feature we need and ends with a message that must fail, so that the kernel takes back
  /// everything: what it blames tells what is missing.
  Result<> probe() override {
    capture::CapturePolicy policy;
    policy.inbound_ports.kind = policy.outbound_cidrs.kind = capture::Selection::all;
    policy.outbound_exclude_cidrs = {*Cidr::parse("192.0.2.0/24"), *Cidr::parse("2001:db8::/32")};
    policy.start_gate = policy.open_after = std::chrono::seconds(1);
    policy.exclude_domains = {"probe.example"};
    Batch batch;
    add_table(batch, kProbeTable, kOwnerMark);
    fill(batch, kProbeTable, capture::plan(policy), true);
    // In the same transaction: nobody ever sees it. A transaction that the kernel must take back would wait for all processors,
    // some 10 ms.
    delete_table(batch, kProbeTable);
    auto refusal = send(batch, std::nullopt);
    if (!refusal) return pass(refusal.error());
    if (*refusal) return pass(refused(batch, **refusal, "trying the nftables rules"));
    return {};
  }

  /// The kernel takes a transaction whole or not at all. What is tried and deleted costs a process more than all its other work
  /// together: it may not end before the kernel has freed it, some 10 ms.
  bool apply_is_probe() const override { return true; }

  Result<Applied> apply(const CapturePlan& plan) override {
    done_.reset();
    auto mine = own_snapshot("apply");
    if (!mine) return pass(mine.error());
    auto before = look_at_source(*netlink_);
    if (!before) return pass(before.error());
    auto routes = own_routes(*netlink_);
    if (!routes) return pass(routes.error());
    Done done{.programmed = false, .had_source = before->is_there, .routes = std::move(*routes), .former = {}};
    if (plan.steps.empty()) {
      auto removed = take_away(done.former, done.routes);
      if (!removed) return pass(removed.error());
      done.programmed = *removed;
      done_ = std::move(done);
      return Applied{.changed = *removed, .notes = {"nothing is to be captured"}};
    }
    auto source = ensure_source(*netlink_, plan.block_missing_family);
    if (!source) return pass(source.error());
    std::string route_note;
    auto changed =
        program_with_routes(source->is_missing ? capture::with_blocked(plan, Family::v6) : plan, *source, done, route_note);
    if (!changed) {
      ErrorList errors;
      errors.add(changed.error());
      if (done.programmed) errors.add_if_failed(put_back(done.former));
      if (has_routes(plan, done)) errors.add_if_failed(restore_routes(*netlink_, done.routes));
      if (source->was_added) errors.add_if_failed(remove_source(*netlink_));
      return pass(errors.to_result().error());
    }
    done_ = std::move(done);
    Applied applied{.changed = *changed || source->was_added, .notes = {}};
    for (const std::string& note : {source->note, route_note})
      if (!note.empty()) applied.notes.push_back(note);
    return applied;
  }

  Result<> undo() override {
    if (!done_) return {};
    Done done = std::move(*done_);
    done_.reset();
    ErrorList errors;
    if (done.programmed) errors.add_if_failed(put_back(done.former));
    errors.add_if_failed(restore_routes(*netlink_, done.routes));
    auto now = look_at_source(*netlink_);
    errors.add_if_failed(now);
    if (now && done.had_source && !now->is_there) errors.add_if_failed(ensure_source(*netlink_));
    if (now && !done.had_source && now->is_there) errors.add_if_failed(remove_source(*netlink_));
    return errors.to_result();
  }

  Result<Drift> check(const CapturePlan& plan) override {
    auto snapshot = take_snapshot(*netlink_);
    if (!snapshot) return pass(snapshot.error());
    if (snapshot->is_ours() && capture::find_drain(snapshot->comment)) return Drift{.differences = {capture::kDraining}};
    auto source = look_at_source(*netlink_);
    if (!source) return pass(source.error());
    const bool is_blocked = plan.block_missing_family && source->is_missing();
    const CapturePlan wanted = is_blocked ? capture::with_blocked(plan, Family::v6) : plan;
    Drift drift{.differences = differences(*snapshot, compile(wanted), wanted)};
    if (!is_blocked && plan.needs_inbound_source6 && source->has_v6 && !source->is_there)
      drift.differences.push_back("::6/128 is not an address of lo: the proxy cannot reach its workload by IPv6");
    auto routes = route_differences(*netlink_, plan.reply_route);
    if (!routes) return pass(routes.error());
    drift.differences.insert(drift.differences.end(), routes->begin(), routes->end());
    return drift;
  }

  Result<bool> remove() override {
    done_.reset();
    std::optional<Former> former;
    auto routes = own_routes(*netlink_);
    if (!routes) return pass(routes.error());
    return take_away(former, *routes);
  }

  Result<Released> release(const Drain& wanted) override {
    done_.reset();
    for (int attempt = 0;; ++attempt) {
      auto now = own_snapshot("remove");
      if (!now) return pass(now.error());
      if (!now->has_table) break;
      if (auto drain = capture::find_drain(now->comment)) return Released{.changed = false, .drain = std::move(drain)};
      if (has_chain(*now, capture::Chain::mark_outbound) || has_chain(*now, capture::Chain::transparent_inbound))
        return fail(ErrorCode::environment, "{}", capture::kNotTransparent);
      auto read = read_what_stands(*now, attempt);
      if (!read) return pass(read.error());
      if (!*read) continue;
      std::optional<Former> former = std::move(**read);
      Drain drain{.id = wanted.id, .until = wanted.until, .ports = redirect_ports(*former)};
      Batch batch;
      delete_table(batch, kTable);
      add_drain(batch, drain, now->comment);
      auto refusal = send(batch, now->generation);
      if (!refusal) return pass(back_after(refusal.error(), *now, former));
      if (!*refusal) return Released{.changed = true, .drain = std::move(drain)};
      if (!is_race((*refusal)->sys_errno, attempt))
        return pass(refused(batch, **refusal, "leaving only what serves captured connections"));
    }
    auto removed = remove();  // ::6 may have been left
    if (!removed) return pass(removed.error());
    return Released{.changed = *removed, .drain = std::nullopt};
  }

  Result<std::optional<Drain>> draining() override {
    auto snapshot = take_snapshot(*netlink_);
    if (!snapshot) return pass(snapshot.error());
    return snapshot->is_ours() ? capture::find_drain(snapshot->comment) : std::nullopt;
  }

  Result<bool> end_drain(const Drain& drain) override {
    done_.reset();
    std::optional<Former> former;
    return take_away(former, {}, &drain);
  }

  std::string render(const CapturePlan& plan) const override {
    return plan.steps.empty() ? "# nothing is to be captured\n" : ruleset_text(plan);
  }

  std::vector<std::string> rules_of(const CapturePlan& plan, std::size_t step, Family family) const override {
    std::vector<std::string> found;
    for (const Rule& rule : compile(plan))
      if (rule.step == step && rule.family.value_or(family) == family) found.push_back(listing(rule));
    return found;
  }

  Result<std::vector<std::string>> foreign() override { return foreign_in_front(*netlink_); }

  Result<std::string> kept() override {
    auto snapshot = take_snapshot(*netlink_);
    if (!snapshot) return pass(snapshot.error());
    if (!snapshot->is_ours()) return fail(ErrorCode::environment, "there is no table inet {} of weir", kTable);
    std::vector<std::string> comments;
    for (const StandingRule& rule : snapshot->rules[std::string(capture::name(capture::Chain::kept_flags))])
      comments.push_back(rule.comment);
    return capture::kept_asked(comments);
  }

 private:
  /// What the last apply did.
  struct Done {
    bool programmed = false;
    bool had_source = false;       // ::6 was there before
    OwnRoutes routes;              // that were there before
    std::optional<Former> former;  // none: there was no table of ours
  };

  static Error foreign(std::string_view verb) {
    return {
        ErrorCode::environment,
        fmt::format(
            "cannot {}: there is a table inet {} that weir did not make (its comment is not \"{}\"); look at it with: nft list "
            "table inet {}",
            verb, kTable, kOwnerMark, kTable)};
  }

  Result<Snapshot> own_snapshot(std::string_view verb) {
    auto snapshot = take_snapshot(*netlink_);
    if (snapshot && snapshot->has_table && !snapshot->is_ours()) return pass(foreign(verb));
    return snapshot;
  }

  static bool has_routes(const CapturePlan& plan, const Done& done) { return plan.reply_route || !done.routes.empty(); }

  /// Policy routing comes before the rules that need it, and what only the former rules needed goes after them.
  Result<bool> program_with_routes(const CapturePlan& plan, const Ensured& source, Done& done, std::string& note) {
    if (!has_routes(plan, done)) return program(plan, source, done);
    auto ensured = ensure_routes(*netlink_, plan.reply_route);
    if (!ensured) return pass(ensured.error());
    note = *ensured;
    auto changed = program(plan, source, done);
    if (!changed) return changed;
    if (auto dropped = drop_other_routes(*netlink_, plan.reply_route); !dropped) return pass(dropped.error());
    auto now = own_routes(*netlink_);
    if (!now) return pass(now.error());
    return *changed || *now != done.routes;
  }

  /// Our table, our policy routing (`routes` is what of it there is) and, if it is ours, the address; `former` is what stood. If
  /// one cannot be taken, the others are put back. With `only`: nothing, unless it is that drain's.
  Result<bool> take_away(std::optional<Former>& former, const OwnRoutes& routes, const Drain* only = nullptr) {
    auto source = look_at_source(*netlink_);
    if (!source) return pass(source.error());
    bool is_source_ours = source->is_there && source->is_ours;
    bool had = false;
    for (int attempt = 0;; ++attempt) {
      auto snapshot = own_snapshot("remove");
      if (!snapshot) return pass(snapshot.error());
      if (only != nullptr && !had && capture::find_drain(snapshot->comment) != *only) return false;
      if (!snapshot->has_table) break;
      auto read = read_what_stands(*snapshot, attempt);
      if (!read) return pass(read.error());
      if (!*read) continue;
      former = std::move(**read);
      Batch batch;
      delete_table(batch, kTable);
      auto refusal = send(batch, snapshot->generation);
      if (!refusal) return pass(back_after(refusal.error(), *snapshot, former));
      had = true;
      is_source_ours |= source->is_there && snapshot->comment.find(kAddedMark) != std::string::npos;
      if (!*refusal) break;
      if (!is_race((*refusal)->sys_errno, attempt)) return pass(refused(batch, **refusal, "removing the nftables rules"));
    }
    Result<> removed;
    if (!routes.empty()) {
      had = true;
      if (auto dropped = drop_other_routes(*netlink_, std::nullopt); !dropped) removed = pass(dropped.error());
    }
    if (removed && is_source_ours) {
      had = true;
      removed = remove_source(*netlink_);
    }
    if (removed) return had;
    ErrorList errors;
    errors.add(removed.error());
    if (former) errors.add_if_failed(put_back(former));
    if (!routes.empty()) errors.add_if_failed(restore_routes(*netlink_, routes));
    return pass(errors.to_result().error());
  }

  /// nullopt: others change the rules meanwhile; look again.
  Result<std::optional<Former>> read_what_stands(const Snapshot& now, int attempt) {
    auto read = read_former(*netlink_, now.comment);
    if (read) return std::optional(std::move(*read));
    if (is_race(read.error().sys_errno(), attempt) || (read.error().sys_errno() == ENOENT && attempt < kAttempts))
      return std::nullopt;
    return pass(read.error());
  }

  /// After a transaction whose answer was lost: it may have been done all the same.
  Error back_after(const Error& error, const Snapshot& before, std::optional<Former>& former) {
    ErrorList errors;
    errors.add(error);
    auto now = take_snapshot(*netlink_);
    errors.add_if_failed(now);
    if (now && now->generation != before.generation) errors.add_if_failed(put_back(former));
    return errors.to_result().error();
  }

  /// Everything of the table but itself.
  static void fill(Batch& batch, std::string_view table, const CapturePlan& plan, bool is_armed) {
    for (capture::Chain chain : capture::chains_of(plan)) add_chain(batch, table, chain);
    if (plan.start_gate) add_state_set(batch, table, kHoldingSet, is_armed ? plan.start_gate : std::nullopt);
    if (!plan.excluded_domains.empty()) add_domain_sets(batch, table);
    if (plan.open_after) add_state_set(batch, table, kAliveSet, is_armed ? std::nullopt : plan.open_after);
    add_rules(batch, table, compile(plan));
  }

  /// Chains that not every plan has come and go with the rules.
  static void change_chains(Batch& batch, const Snapshot& now, const CapturePlan& plan) {
    const std::vector<capture::Chain> wanted = capture::chains_of(plan);
    for (capture::Chain chain : capture::kChains) {
      const bool is_wanted = std::find(wanted.begin(), wanted.end(), chain) != wanted.end();
      if (is_wanted && !has_chain(now, chain)) add_chain(batch, kTable, chain);
      if (!is_wanted && has_chain(now, chain)) delete_chain(batch, kTable, chain);
    }
  }

  /// The gate is armed when a sandbox is enrolled, and never again: a later apply finds the set as the proxy or time left it.
  /// Where a sandbox that was captured is to be open without a proxy from now on, the proxy counts as alive until its time is
  /// over.
  static Batch change(const Snapshot& now, const CapturePlan& plan, const Ensured& source) {
    Batch batch;
    if (now.has_table && has_our_chains(now)) {
      flush_rules(batch, kTable);
      change_chains(batch, now, plan);
      if (now.has_holding_set && !plan.start_gate) delete_set(batch, kTable, kHoldingSet);
      if (!now.has_holding_set && plan.start_gate) add_state_set(batch, kTable, kHoldingSet, std::nullopt);
      if (now.has_domain_sets && plan.excluded_domains.empty())
        for (Family family : kBothFamilies) delete_set(batch, kTable, domain_set(family));
      if (!now.has_domain_sets && !plan.excluded_domains.empty()) add_domain_sets(batch, kTable);
      if (now.has_alive_set && !plan.open_after) delete_set(batch, kTable, kAliveSet);
      if (!now.has_alive_set && plan.open_after) add_state_set(batch, kTable, kAliveSet, plan.open_after);
      add_rules(batch, kTable, compile(plan));
      return batch;
    }
    if (now.has_table) delete_table(batch, kTable);
    std::string comment(kOwnerMark);
    const bool was_added = source.was_added || now.comment.find(kAddedMark) != std::string::npos;
    if (was_added && !source.is_marked) comment += kAddedMark;
    add_table(batch, kTable, comment);
    fill(batch, kTable, plan, !now.has_table);
    return batch;
  }

  /// True if something had to be changed; `done` is what undo() needs.
  Result<bool> program(const CapturePlan& plan, const Ensured& source, Done& done) {
    const std::vector<Rule> rules = compile(plan);
    for (int attempt = 0;; ++attempt) {
      auto now = own_snapshot("apply");
      if (!now) return pass(now.error());
      if (!options_.force && differences(*now, rules, plan).empty()) return false;
      done.former.reset();
      if (now->has_table) {
        auto read = read_what_stands(*now, attempt);
        if (!read) return pass(read.error());
        if (!*read) continue;
        done.former = std::move(**read);
      }
      const Batch batch = change(*now, plan, source);
      auto refusal = send(batch, now->generation);
      if (!refusal) return pass(back_after(refusal.error(), *now, done.former));
      if (!*refusal) return done.programmed = true;
      if (!is_race((*refusal)->sys_errno, attempt)) return pass(refused(batch, **refusal, "programming the nftables rules"));
    }
  }

  /// One transaction: our table goes, and the former comes if there was one.
  Result<> put_back(std::optional<Former>& former) {
    for (int attempt = 0;; ++attempt) {
      auto now = own_snapshot("undo");
      if (!now) return pass(now.error());
      Batch batch;
      if (now->has_table) delete_table(batch, kTable);
      if (former) add_former(batch, *former);
      if (batch.empty()) return {};
      auto refusal = send(batch, now->generation);
      if (!refusal) return pass(refusal.error());
      if (!*refusal) return {};
      if (!is_race((*refusal)->sys_errno, attempt)) return pass(refused(batch, **refusal, "putting the former rules back"));
    }
  }

  /// ERESTART: somebody changed the ruleset after we had read it; EINTR and ENOENT: while we read it.
  static bool is_race(int sys_errno, int attempt) { return (sys_errno == ERESTART || sys_errno == EINTR) && attempt < kAttempts; }

  Result<std::optional<kernel::BatchRefusal>> send(const Batch& batch, std::optional<std::uint32_t> generation) {
    std::vector<NetlinkMessage> messages;
    for (const Labelled& part : batch) messages.push_back(part.message);
    auto refusal = netlink_->transact(messages, generation);
    if (!refusal && refusal.error().sys_errno() != 0)
      return pass(explain_refusal(refusal.error().sys_errno(), "programming the nftables rules"));
    return refusal;
  }

  static Error refused(const Batch& batch, const kernel::BatchRefusal& refusal, std::string_view doing) {
    const int error = refusal.sys_errno;
    const bool blames_all = refusal.index >= batch.size();
    if (blames_all || error == EPERM || refusal.index == 0) return explain_refusal(error, doing);
    const bool lacks = error == ENOENT || error == EOPNOTSUPP || error == EINVAL || error == EPROTONOSUPPORT;
    return {lacks ? ErrorCode::environment : ErrorCode::io,
            fmt::format("{}: the kernel refused {} ({}){}; nothing was changed", doing, batch[refusal.index].label,
                        errno_text(error), lacks ? "; a kernel option may be missing, see docs/kernel-support.md" : ""),
            error};
  }

  std::unique_ptr<kernel::Netlink> netlink_;
  NftOptions options_;
  std::optional<Done> done_;
};

}  // namespace

std::unique_ptr<capture::Redirector> make_nft_redirector(std::unique_ptr<kernel::Netlink> netlink, const NftOptions& options) {
  return std::make_unique<NftRedirector>(std::move(netlink), options);
}

}  // namespace weir::nft
