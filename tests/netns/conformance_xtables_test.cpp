// SPDX-License-Identifier: Apache-2.0
// What only the backends have that call iptables: their programs fail, hang and die; rules of others stand beside ours.
#include <doctest/doctest.h>

#include <cstdlib>
#include <unistd.h>

#include "iptables-rules/xtables_redirector.h"
#include "kernel/child.h"
#include "kernel/netlink.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {

namespace {

using capture::CapturePlan;
using xtables::Runner;

const char* kOtherConfig =
    "-b 80,90-99 -i 10.0.0.0/8,192.168.1.1,fd00::/8,fd80::1 -x 10.1.0.0/16 -k vnet0 -c eth+ -q 1-5 -o 22 -u 3,4";

std::string variant() { return kind() == Kind::iptables_legacy ? "legacy" : "nft"; }

std::unique_ptr<capture::Redirector> backend_with(Runner run) {
  return xtables::make_xtables_redirector(kind() == Kind::iptables_legacy ? xtables::Variant::legacy : xtables::Variant::nft,
                                          kernel::open_netlink(), {.force = false, .run = std::move(run)});
}

enum class Way { not_done, done_but_killed, hangs, not_there };
constexpr std::pair<Way, const char*> kWays[] = {{Way::not_done, "fails"},
                                                 {Way::done_but_killed, "is killed after its work"},
                                                 {Way::hangs, "hangs"},
                                                 {Way::not_there, "is not there"}};

/// Real programs, but the one of number `fail_at` (from 1) ends in the given way.
Runner failing(std::size_t fail_at, Way way, std::size_t& calls) {
  return [=, &calls, real = xtables::limited_runner()](const std::vector<std::string>& arguments,
                                                       const std::string& input) -> Result<kernel::Output> {
    if (++calls != fail_at) return real(arguments, input);
    switch (way) {
      case Way::not_done: return kernel::run({"sh", "-c", "cat >/dev/null; echo told to fail >&2; exit 4"}, input);
      case Way::done_but_killed: {
        auto done = real(arguments, input);
        return kernel::run({"sh", "-c", "kill -9 $$"});
      }
      case Way::hangs: return kernel::run({"sleep", "3600"}, input, std::chrono::milliseconds(1));
      case Way::not_there: return kernel::run({"/nowhere/" + arguments[0]}, input);
    }
    return kernel::Output{};
  };
}

struct Former {
  const char* name;
  void (*make)();
};
constexpr Former kFormers[] = {
    {"nothing", [] {}},
    {"another plan", [] { apply(plan_of(kOtherConfig)); }},
    {"the same plan, damaged", [] {
       apply(plan_of(kDefaultConfig));
       shell(fmt::format("iptables-{0} -w -t nat -D OUTPUT 1; ip6tables-{0} -w -t nat -F WEIR_TO_OUTBOUND", variant()));
     }}};

TEST_SUITE_BEGIN("xtables");

TEST_CASE("whichever program fails, hangs, is killed or is not there, the namespace is as it was") {
  std::size_t failures = 0;
  for (const Former& former : kFormers) {
    for (const bool removes : {false, true}) {
      for (const auto& [way, words] : kWays) {
        for (std::size_t n = 1;; ++n) {
          Lab::instance().reset();
          former.make();
          const std::string before = state_of_namespace();
          std::size_t calls = 0;
          auto backend = backend_with(failing(n, way, calls));
          Result<> done;
          if (removes) {
            if (auto removed = backend->remove(); !removed) done = pass(removed.error());
          } else if (auto applied = backend->apply(plan_of(kDefaultConfig)); !applied) {
            done = pass(applied.error());
          }
          const std::string context = fmt::format("{} over {}, program {} {}: {}", removes ? "remove" : "apply", former.name, n,
                                                  words, done ? "success" : done.error().to_text());
          CAPTURE(context);
          if (calls < n) {
            CHECK(done.has_value());
            break;
          }
          CHECK(!done);
          CHECK(state_of_namespace() == before);
          ++failures;
        }
      }
    }
  }
  CHECK(failures > 60);
}

TEST_CASE("killed before any program: the next apply heals, the next remove cleans") {
  Lab::instance().reset();
  const std::string before = state_of_namespace();
  char self[4096];
  const ssize_t size = ::readlink("/proc/self/exe", self, sizeof self);
  REQUIRE(size > 0);
  for (const char* step : {"1", "2", "3", "4", "5"})
    for (bool heal : {true, false}) {
      CAPTURE(step);
      auto dying = kernel::run({std::string(self, static_cast<std::size_t>(size)), "--apply-and-die-before", step});
      REQUIRE(dying);
      CHECK(dying->exit_code == (step[0] == '5' ? 0 : 9));
      if (heal) {
        apply(plan_of(kDefaultConfig));
        CHECK(Lab::backend()->check(plan_of(kDefaultConfig))->empty());
      }
      REQUIRE(Lab::backend()->remove());
      CHECK(state_of_namespace() == before);
    }
}

TEST_CASE("undo brings back what stood, rule by rule") {
  for (const Former& former : kFormers) {
    CAPTURE(former.name);
    Lab::instance().reset();
    former.make();
    const std::string before = state_of_namespace();
    auto backend = Lab::backend();
    REQUIRE(backend->apply(plan_of(kDefaultConfig)));
    CHECK(state_of_namespace() != before);
    CHECK(backend->undo());
    CHECK(state_of_namespace() == before);
    CHECK(backend->undo());  // nothing to do any more
    CHECK(state_of_namespace() == before);
  }
}

TEST_CASE("rules of others stay where they are, ours come first") {
  Lab::instance().reset();
  const std::string add =
      "{0} -w -t nat -N THEIRS; {0} -w -t nat -A OUTPUT -p udp -j THEIRS; {0} -w -A INPUT -p udp --dport 1 -j DROP";
  for (const char* family : {"iptables-", "ip6tables-"}) shell(fmt::format(fmt::runtime(add), family + variant()));
  const std::string before = state_of_namespace();
  apply(plan_of(kDefaultConfig));
  CHECK(Lab::backend()->check(plan_of(kDefaultConfig))->empty());
  CHECK(app_to_remote(Family::v4) == concrete(kOut, Family::v4));
  REQUIRE(Lab::backend()->remove());
  CHECK(state_of_namespace() == before);
  const std::string drop = "{0} -w -t nat -F OUTPUT; {0} -w -t nat -X THEIRS; {0} -w -F INPUT";
  for (const char* family : {"iptables-", "ip6tables-"}) shell(fmt::format(fmt::runtime(drop), family + variant()));
}

TEST_CASE("a chain of others that leads into ours is named, and all stays") {
  Lab::instance().reset();
  apply(plan_of(kDefaultConfig));
  shell(fmt::format("iptables-{0} -w -t nat -N THEIRS; iptables-{0} -w -t nat -A THEIRS -j WEIR_OUTBOUND", variant()));
  const std::string before = state_of_namespace();
  for (const bool removes : {false, true}) {
    auto backend = Lab::backend();
    const std::string said = removes ? backend->remove().error().to_text() : backend->apply(plan_of("-b *")).error().to_text();
    CHECK(said.find("-A THEIRS -j WEIR_OUTBOUND") != std::string::npos);
    CHECK(state_of_namespace() == before);
  }
  shell(fmt::format("iptables-{0} -w -t nat -F THEIRS; iptables-{0} -w -t nat -X THEIRS", variant()));
}

TEST_CASE("what is rendered can be loaded by hand, and is then what check wants") {
  for (const char* config : {kDefaultConfig, kOtherConfig, "-b * -i 127.0.0.0/8 -u 5"}) {
    Lab::instance().reset();
    const std::string text = Lab::backend()->render(plan_of(config));
    const auto v6 = text.find("# IPv6");
    REQUIRE(v6 != std::string::npos);
    for (const auto& [program, part] : {std::pair{"iptables-", text.substr(0, v6)}, std::pair{"ip6tables-", text.substr(v6)}}) {
      auto loaded = kernel::run({program + variant() + "-restore", "--noflush"}, part);
      REQUIRE(loaded);
      CHECK_MESSAGE(loaded->exit_code == 0, loaded->err);
    }
    shell("ip addr add ::6/128 dev lo nodad");
    auto drift = Lab::backend()->check(plan_of(config));
    REQUIRE(drift);
    CHECK(join(drift->differences, "\n") == "");
    shell("ip addr del ::6/128 dev lo");
  }
  Lab::instance().reset();
}

TEST_CASE("changing the plan leaves no rule and no chain of the former one") {
  std::string list = "10.9.0.0/24";
  for (int i = 1; i < 40; ++i) list += fmt::format(",10.9.{}.0/24", i);
  Lab::instance().reset();
  apply(plan_of(kDefaultConfig));
  const std::string wanted = state_of_namespace();
  for (const std::string& config : {std::string(kOtherConfig), "-b * -i " + list}) {
    apply(plan_of(config));
    CHECK(state_of_namespace() != wanted);
    apply(plan_of(kDefaultConfig));
    CHECK(state_of_namespace() == wanted);
  }
}

TEST_SUITE_END();

}  // namespace

int apply_and_die_with_xtables(std::size_t step) {
  std::size_t calls = 0;
  auto backend = backend_with([&, real = xtables::limited_runner()](const auto& arguments, const auto& input) {
    if (++calls == step) std::_Exit(9);
    return real(arguments, input);
  });
  return backend->apply(capture::plan(capture::matrix::parse_config(kDefaultConfig).parsed.policy)) ? 0 : 1;
}

}  // namespace weir::conformance
