// SPDX-License-Identifier: Apache-2.0
// Live un-enrolment: what `remove --live` does, and the watch that ends what it leaves.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/duration.h"
#include "capture/drain.h"

namespace weir::init {

struct Machine;

/// What a drain needs of the machine, for the network namespace of the calling thread; injected, so that tests need no kernel.
struct DrainWorld {
  std::function<Nanoseconds()> since_boot = [] { return Nanoseconds::zero(); };
  std::function<void(Nanoseconds)> pause = [](Nanoseconds) {};
  std::function<std::string()> make_id = [] { return std::string("0"); };
  /// How many connections the drain still waits for.
  std::function<Result<std::size_t>(const capture::Drain&)> connections = [](const capture::Drain&) { return 0; };
  /// Forgets the tracked connections that were redirected to these ports, once nothing translates them any more.
  std::function<void(const std::vector<Port>&)> forget = [](const std::vector<Port>&) {};
  /// Whether a process watches it.
  std::function<bool(const capture::Drain&)> is_watched = [](const capture::Drain&) { return false; };
  /// Has `watch` done in the background, unless somebody watches already.
  std::function<Result<>(const capture::Drain&, const std::function<void()>& watch)> watch_in_background =
      [](const capture::Drain&, const std::function<void()>&) { return Result<>(); };
};
DrainWorld drain_world();

/// How a drain stands.
struct DrainState {
  capture::Drain drain;
  std::optional<std::size_t> connections;  ///< nullopt: the kernel does not tell
  Nanoseconds left = Nanoseconds::zero();  ///< whole seconds; zero: its time is over
  bool is_watched = false;
};
DrainState look_at(const DrainWorld& world, const capture::Drain& drain);
/// "draining: new connections are direct, 3 that were captured go on, at most 4m10s"
std::string to_text(const DrainState& state);

struct RemovedLive {
  bool changed = false;
  std::optional<DrainState> draining;  ///< nullopt: nothing of ours is left
  std::vector<std::string> notes;
};

/// Like remove_with, but connections that were captured go on: until the last of them, at most `timeout` from now (a drain that
/// stands already keeps its time). Returns at once and leaves a process behind that ends the drain, or with `waits` once it has
/// ended. A drain that nothing needs any more is ended at once.
Result<RemovedLive> remove_live_with(const Machine& machine, std::string_view asked, Nanoseconds timeout, bool waits);

/// Ends the drain once no connection needs it or its time is over; returns when it has, or when it stands no longer.
void watch_drain(const Machine& machine, const std::string& backend, const capture::Drain& drain);

}  // namespace weir::init
