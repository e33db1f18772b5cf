// SPDX-License-Identifier: Apache-2.0
#include "init/drain.h"

#include <algorithm>

#include <netinet/in.h>

#include "init/enrolment.h"
#include "kernel/background.h"
#include "kernel/conntrack.h"

namespace weir::init {

namespace {

using capture::Drain;

constexpr Nanoseconds kFirstPause = std::chrono::milliseconds(100), kLongestPause = std::chrono::seconds(2);
/// A first packet that passed the old rules becomes a connection that can be counted within this time.
constexpr Nanoseconds kSettle = std::chrono::milliseconds(20);
/// After its time a drain that cannot be ended is left to the next apply or remove.
constexpr int kAttemptsAfterEnd = 30;

std::string watch_name(const Drain& drain) { return "weir-drain-" + drain.id; }

/// A UDP exchange (DNS) counts until it is answered.
bool is_needed(const kernel::RedirectedFlow& flow, const Drain& drain) {
  if (std::find(drain.ports.begin(), drain.ports.end(), flow.redirected_to) == drain.ports.end()) return false;
  return flow.protocol == IPPROTO_UDP ? !flow.is_answered : !flow.is_closed;
}

Result<std::size_t> count_connections(const Drain& drain) {
  auto netlink = kernel::open_netlink();
  auto flows = kernel::redirected_flows(*netlink);
  if (!flows) return pass(flows.error());
  return static_cast<std::size_t>(
      std::count_if(flows->begin(), flows->end(), [&](const kernel::RedirectedFlow& flow) { return is_needed(flow, drain); }));
}

/// In vain without CONFIG_NF_CT_NETLINK: then nobody counts them either.
void forget(const std::vector<Port>& ports) {
  auto netlink = kernel::open_netlink();
  (void)kernel::forget_redirected(*netlink, ports);
}

bool is_watched(const Drain& drain) {
  auto name = kernel::claim_name(watch_name(drain));
  return !name && name.error().sys_errno() == EADDRINUSE;
}

/// The name is taken before this process goes on, so that whoever looks sees the watch from the first moment.
Result<> watch_in_background(const Drain& drain, const std::function<void()>& watch) {
  auto name = kernel::claim_name(watch_name(drain));
  if (!name && name.error().sys_errno() == EADDRINUSE) return {};
  if (!name) return pass(name.error());
  return kernel::run_in_background("weir-drain", name->ref(), watch);
}

bool is_idle(const DrainWorld& world, const Drain& drain) {
  auto connections = world.connections(drain);
  return connections && *connections == 0;
}

/// Its time as it is kept, in whole seconds.
Drain new_drain(const DrainWorld& world, Nanoseconds timeout) {
  return {.id = world.make_id(), .until = std::chrono::floor<std::chrono::seconds>(world.since_boot() + timeout), .ports = {}};
}

/// Under the lock: an apply must not find ::6 there and then lose it. Without a lock the drain is still ended only if it stands.
Result<bool> end(const Machine& machine, const std::string& backend, const Drain& drain) {
  const auto lock = machine.lock();
  auto ended = machine.make(backend, {})->end_drain(drain);
  if (ended && *ended) machine.drains.forget(drain.ports);
  return ended;
}

Result<RemovedLive> remove_live(const Machine& machine, const std::string& backend, Nanoseconds timeout, bool waits) {
  const DrainWorld& world = machine.drains;
  std::optional<Drain> drain;
  RemovedLive removed;
  {
    const auto lock = machine.lock();
    auto released = machine.make(backend, {})->release(new_drain(world, timeout));
    if (!released) return pass(released.error());
    removed.changed = released->changed;
    drain = std::move(released->drain);
  }
  if (!drain) return removed;
  bool is_over = world.since_boot() >= drain->until;
  if (!is_over && is_idle(world, *drain)) {
    world.pause(kSettle);
    is_over = is_idle(world, *drain);
  }
  if (is_over) {
    auto ended = end(machine, backend, *drain);
    if (!ended) return pass(ended.error());
    removed.changed = true;
    return removed;
  }
  if (waits) {
    watch_drain(machine, backend, *drain);
    auto left = machine.make(backend, {})->draining();
    if (!left) return pass(left.error());
    if (*left == drain) return fail(ErrorCode::environment, "the drain could not be ended; weir-init remove does it");
    return removed;
  }
  auto watched = world.watch_in_background(*drain, [&] { watch_drain(machine, backend, *drain); });
  if (!watched)
    removed.notes.push_back(
        fmt::format("nobody watches the drain ({}), so that the next apply, remove or remove --live ends it; "
                    "remove --live --wait stays until then",
                    watched.error().to_text()));
  removed.draining = look_at(world, *drain);
  return removed;
}

}  // namespace

DrainWorld drain_world() {
  return {.since_boot = kernel::since_boot,
          .pause = kernel::pause_for,
          .make_id = [] { return kernel::random_digits(8); },
          .connections = count_connections,
          .forget = forget,
          .is_watched = is_watched,
          .watch_in_background = watch_in_background};
}

DrainState look_at(const DrainWorld& world, const Drain& drain) {
  DrainState state{.drain = drain, .is_watched = world.is_watched(drain)};
  if (auto connections = world.connections(drain)) state.connections = *connections;
  state.left =
      std::max(Nanoseconds::zero(), Nanoseconds(std::chrono::ceil<std::chrono::seconds>(drain.until - world.since_boot())));
  return state;
}

std::string to_text(const DrainState& state) {
  std::string text = "draining: new connections are direct, ";
  if (!state.connections)
    text += "those that were captured go on";
  else if (*state.connections == 0)
    text += "none that was captured is left";
  else
    text += fmt::format("{} that {} captured go{} on", *state.connections, *state.connections == 1 ? "was" : "were",
                        *state.connections == 1 ? "es" : "");
  text += state.left > Nanoseconds::zero() ? fmt::format(", for {} at most", weir::to_text(state.left))
                                           : ", and the time for it is over";
  if (!state.is_watched) text += "; nobody watches it: the next apply, remove or remove --live ends it";
  return text;
}

void watch_drain(const Machine& machine, const std::string& backend, const Drain& drain) {
  const DrainWorld& world = machine.drains;
  Nanoseconds pause = kFirstPause;
  bool was_idle = false;
  for (int late = 0; late < kAttemptsAfterEnd;) {
    auto standing = machine.make(backend, {})->draining();
    if (standing && *standing != drain) return;
    const Nanoseconds now = world.since_boot();
    const bool idle = is_idle(world, drain);
    if (now >= drain.until || (idle && was_idle)) {
      auto ended = end(machine, backend, drain);
      if (ended) return;
      ++late;
    }
    was_idle = idle;
    world.pause(now >= drain.until ? kLongestPause : std::min(pause, drain.until - now));
    pause = std::min(pause * 2, kLongestPause);
  }
}

Result<RemovedLive> remove_live_with(const Machine& machine, std::string_view asked, Nanoseconds timeout, bool waits) {
  ErrorList errors;
  RemovedLive all;
  for (const std::string& name : backends_to_remove(machine, asked)) {
    auto removed = remove_live(machine, name, timeout, waits);
    errors.add_if_failed(removed);
    if (!removed) continue;
    all.changed |= removed->changed;
    if (removed->draining) all.draining = removed->draining;
    for (std::string& note : removed->notes) all.notes.push_back(std::move(note));
  }
  if (auto good = errors.to_result(); !good) return pass(good.error());
  return all;
}

}  // namespace weir::init
