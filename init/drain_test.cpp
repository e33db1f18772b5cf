// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>

#include "init/drain.h"
#include "init/enrolment.h"

namespace weir::init {
namespace {

using capture::Drain;
using namespace std::chrono_literals;

/// A machine with one backend whose state lives in this value, a clock that pauses move, and a script of how many connections are
/// left at each question (the last number stays).
struct FakeMachine {
  struct Backend : capture::NullRedirector {
    FakeMachine& fake;
    explicit Backend(FakeMachine& of) : fake(of) {
      applied = fake.applied;
      drain = fake.drain;
      fail_at = fake.fail_at;
    }
    ~Backend() override {
      fake.applied = applied;
      fake.drain = drain;
      fake.calls.insert(fake.calls.end(), calls.begin(), calls.end());
    }
  };

  std::optional<capture::CapturePlan> applied = capture::CapturePlan{};
  std::optional<Drain> drain;
  std::string fail_at;
  std::vector<std::string> calls;
  Nanoseconds now = 100s + 1ns;
  std::vector<std::size_t> connections = {2};
  std::size_t asked = 0;
  std::vector<Port> forgotten;
  bool cannot_count = false;
  bool is_watched = false;
  std::function<void()> at_pause = [] {};
  std::function<void()> watch;

  Machine machine() {
    Machine made;
    made.make = [this](std::string_view, const BackendOptions&) { return std::make_unique<Backend>(*this); };
    made.standing = [this] { return applied || drain ? std::vector<std::string>{"nft"} : std::vector<std::string>(); };
    made.drains = {.since_boot = [this] { return now; },
                   .pause =
                       [this](Nanoseconds duration) {
                         now += duration;
                         at_pause();
                       },
                   .make_id = [] { return std::string("a1"); },
                   .connections = [this](const Drain&) -> Result<std::size_t> {
                     if (cannot_count) return fail(ErrorCode::environment, "no CONFIG_NF_CT_NETLINK");
                     return connections[std::min(asked++, connections.size() - 1)];
                   },
                   .forget = [this](const std::vector<Port>& ports) { forgotten = ports; },
                   .is_watched = [this](const Drain&) { return is_watched; },
                   .watch_in_background = [this](const Drain&, const std::function<void()>& work) -> Result<> {
                     is_watched = true;
                     watch = work;
                     return {};
                   }};
    return made;
  }
};

const Drain kDrain{"a1", 160s, {15001}};

TEST_CASE("remove --live leaves a drain with its time, and a watch; a second one changes nothing") {
  FakeMachine fake;
  auto removed = remove_live_with(fake.machine(), "", 60s, false);
  REQUIRE(removed);
  CHECK(removed->changed);
  REQUIRE(removed->draining);
  CHECK(to_text(*removed->draining) == "draining: new connections are direct, 2 that were captured go on, for 1m at most");
  CHECK(fake.drain->until == 160s);
  fake.now = 130s;
  auto again = remove_live_with(fake.machine(), "", 60s, false);
  REQUIRE(again);
  CHECK(!again->changed);
  CHECK(again->draining->left == 30s);
  CHECK(fake.drain->until == 160s);
}

TEST_CASE("remove --live ends at once what nothing needs, and what is out of time") {
  for (bool is_late : {false, true}) {
    FakeMachine fake;
    if (is_late) {
      fake.applied.reset();
      fake.drain = kDrain;
      fake.now = kDrain.until;
    } else {
      fake.connections = {0};
    }
    auto removed = remove_live_with(fake.machine(), "", 60s, false);
    REQUIRE(removed);
    CHECK(removed->changed);
    CHECK(!removed->draining);
    CHECK(!fake.drain);
    CHECK(!fake.is_watched);
  }
}

TEST_CASE("a connection that is being made while the rules go is waited for") {
  FakeMachine fake;
  fake.connections = {0, 1};
  auto removed = remove_live_with(fake.machine(), "", 60s, false);
  REQUIRE(removed);
  CHECK(removed->draining.has_value());
  CHECK(fake.is_watched);
}

TEST_CASE("remove --live of nothing is success") {
  FakeMachine fake;
  fake.applied.reset();
  auto removed = remove_live_with(fake.machine(), "", 60s, false);
  REQUIRE(removed);
  CHECK(!removed->changed);
  CHECK(!removed->draining);
}

TEST_CASE("the watch ends the drain with the last connection") {
  FakeMachine fake{.applied = std::nullopt, .drain = kDrain};
  fake.connections = {3, 1, 0, 0};
  watch_drain(fake.machine(), "nft", kDrain);
  CHECK(!fake.drain);
  CHECK(fake.now < kDrain.until);
}

TEST_CASE("the watch ends the drain when its time is over, also if connections cannot be counted") {
  for (bool cannot_count : {false, true}) {
    FakeMachine fake{.applied = std::nullopt, .drain = kDrain};
    fake.cannot_count = cannot_count;
    watch_drain(fake.machine(), "nft", kDrain);
    CHECK(!fake.drain);
    CHECK(fake.now >= kDrain.until);
    CHECK(fake.now < kDrain.until + 1s);
  }
}

TEST_CASE("connections that a drain cut off are forgotten with it, so that no later one waits for them") {
  FakeMachine fake{.applied = std::nullopt, .drain = kDrain};
  watch_drain(fake.machine(), "nft", kDrain);
  CHECK(fake.forgotten == kDrain.ports);
  FakeMachine captured;
  REQUIRE(remove_with(captured.machine(), "", {15001, 15006}));
  CHECK(captured.forgotten == std::vector<Port>{15001, 15006});
}

TEST_CASE("the watch leaves alone what came in the drain's place") {
  const Drain other{"b2", 500s, {15001}};
  for (const std::optional<Drain>& later : {std::optional<Drain>(), std::optional(other)}) {
    FakeMachine fake{.applied = std::nullopt, .drain = kDrain};
    fake.at_pause = [&] { fake.drain = later; };
    fake.connections = {1, 0};
    watch_drain(fake.machine(), "nft", kDrain);
    CHECK(fake.drain == later);
    CHECK(std::count(fake.calls.begin(), fake.calls.end(), "end_drain") == 0);
  }
}

TEST_CASE("a watch that cannot end the drain gives up some time after its end") {
  FakeMachine fake{.applied = std::nullopt, .drain = kDrain, .fail_at = "end_drain"};
  watch_drain(fake.machine(), "nft", kDrain);
  CHECK(fake.drain == kDrain);
  CHECK(fake.now > kDrain.until);
}

TEST_CASE("remove --live --wait returns when the drain has ended") {
  FakeMachine fake;
  fake.connections = {2, 2, 2, 0, 0};
  auto removed = remove_live_with(fake.machine(), "", 60s, true);
  REQUIRE(removed);
  CHECK(removed->changed);
  CHECK(!removed->draining);
  CHECK(!fake.drain);
  CHECK(!fake.is_watched);
}

TEST_CASE("a drain is told in words") {
  using State = DrainState;
  const std::pair<State, const char*> rows[] = {
      {{.drain = kDrain, .connections = 1, .left = 5s, .is_watched = true},
       "draining: new connections are direct, 1 that was captured goes on, for 5s at most"},
      {{.drain = kDrain, .connections = 0, .left = 5s, .is_watched = false},
       "draining: new connections are direct, none that was captured is left, for 5s at most; nobody watches it: the next apply, "
       "remove or remove --live ends it"},
      {{.drain = kDrain, .connections = std::nullopt, .left = 0s, .is_watched = true},
       "draining: new connections are direct, those that were captured go on, and the time for it is over"}};
  for (const auto& [state, text] : rows) CHECK(to_text(state) == text);
}

}  // namespace
}  // namespace weir::init
