// SPDX-License-Identifier: Apache-2.0
// What only the backends have that call iptables: their programs fail, hang and die; rules of others stand beside ours.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fcntl.h>
#include <set>
#include <unistd.h>

#include "base/test_golden.h"
#include "init/enrolment.h"
#include "iptables-rules/xtables_lock.h"
#include "iptables-rules/xtables_redirector.h"
#include "kernel/child.h"
#include "kernel/netlink.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {

namespace {

using capture::CapturePlan;
using xtables::Runner;

const char* kOtherConfig =
    "WEIR_WHEN_PROXY_DOWN=open:1h WEIR_QUIC=refuse -m TPROXY CAPTURE_ALL_DNS=1 REDIRECT_DNS=1 -b 80,90-99 -i "
    "10.0.0.0/8,192.168.1.1,fd00::/8,fd80::1 -x 10.1.0.0/16 -k vnet0 "
    "-c eth+ -q 1-5 -o 22 -u 3,4";

const char* kOpenConfig = "WEIR_WHEN_PROXY_DOWN=open:1h WEIR_QUIC=refuse -b * -i *";

constexpr Nanoseconds kGate = std::chrono::seconds(600);

std::string variant() { return kind() == Kind::iptables_legacy ? "legacy" : "nft"; }

xtables::XtablesOptions options_with(Runner run) {
  xtables::XtablesOptions options;
  options.run = std::move(run);
  return options;
}

std::unique_ptr<capture::Redirector> backend_with(xtables::XtablesOptions options) {
  return xtables::make_xtables_redirector(kind() == Kind::iptables_legacy ? xtables::Variant::legacy : xtables::Variant::nft,
                                          kernel::open_netlink(), std::move(options));
}

enum class Way { not_done, done_but_killed, hangs, not_there };
constexpr std::pair<Way, const char*> kWays[] = {{Way::not_done, "fails"},
                                                 {Way::done_but_killed, "is killed after its work"},
                                                 {Way::hangs, "hangs"},
                                                 {Way::not_there, "is not there"}};

struct Failure {
  std::size_t call = 0;  ///< the program of this number (from 1)
  Way way = Way::not_done;
  std::string program;  ///< what it was
};

/// Real programs, but one ends in the given way.
Runner failing(Failure& failure, std::size_t& calls) {
  return [&failure, &calls, real = xtables::limited_runner()](const std::vector<std::string>& arguments, const std::string& input,
                                                              const xtables::Environment& environment) -> Result<kernel::Output> {
    if (++calls != failure.call) return real(arguments, input, environment);
    failure.program = arguments[0];
    switch (failure.way) {
      case Way::not_done: return kernel::run({"sh", "-c", "cat >/dev/null; echo told to fail >&2; exit 4"}, input);
      case Way::done_but_killed: {
        auto done = real(arguments, input, environment);
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
    {"another plan, whose gate waits, with a proxy that lives in IPv4",
     [] {
       apply(gated(kOtherConfig, kGate));
       Lab::instance().pod(3, 3).ask("udp 127.0.0.1 9 - 0");
     }},
    {"the same plan, damaged", [] {
       apply(plan_of(kDefaultConfig));
       shell(fmt::format("iptables-{0} -w -t nat -D OUTPUT 1; ip6tables-{0} -w -t nat -F WEIR_TO_OUTBOUND", variant()));
     }}};

/// The families whose gate is closed, by xt_recent's own list.
std::string waiting() {
  const std::string found = shell("cat /proc/net/xt_recent/weir_holding 2>/dev/null || true");
  return std::string(found.find("src=0.0.0.0 ") != std::string::npos ? "0.0.0.0" : "") +
         (found.find("src=0000:") != std::string::npos ? " ::" : "");
}

TEST_SUITE_BEGIN("xtables");

TEST_CASE("the start gate opens for each family by the proxy's first packet of that family") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(gated(kDefaultConfig, kGate));
  CHECK(waiting() == "0.0.0.0 ::");
  lab.pod(1337, 1337).ask("udp 127.0.0.1 9 - 0");
  CHECK(waiting() == " ::");
  CHECK(app_to_remote(Family::v4) == concrete(kOut, Family::v4));
  CHECK(app_to_remote(Family::v6, 200) == "TIMEOUT");
  lab.pod(1337, 1337).ask("udp ::1 9 - 0");
  CHECK(waiting() == "");
  CHECK(app_to_remote(Family::v6) == concrete(kOut, Family::v6));
}

TEST_CASE("the start gate's list goes with the rules, and what another uses of it stays") {
  Lab& lab = Lab::instance();
  lab.reset();
  const std::string listed = "ls /proc/net/xt_recent/ 2>/dev/null || true";
  CHECK(until("", [&] { return shell(listed); }) == "");
  apply(gated(kDefaultConfig, kGate));
  CHECK(shell(listed) == "weir_holding\n");
  apply(plan_of(kDefaultConfig));
  CHECK(until("", [&] { return shell(listed); }) == "");
  apply(gated(kDefaultConfig, kGate));  // what captures already is never closed again
  CHECK(waiting() == "");
  shell(fmt::format("iptables-{} -w -A INPUT -m recent --name theirs --set", variant()));
  REQUIRE(Lab::backend()->remove());
  CHECK(until("theirs\n", [&] { return shell(listed); }) == "theirs\n");
  shell(fmt::format("iptables-{} -w -F INPUT", variant()));
}

/// A lock file of this test's own, for its life.
struct LockFile {
  explicit LockFile(std::string name) : path(std::move(name)), former(xtables::lock_file()) {
    ::setenv("XTABLES_LOCKFILE", path.c_str(), 1);
  }
  ~LockFile() {
    ::setenv("XTABLES_LOCKFILE", former.c_str(), 1);
    ::unlink(path.c_str());
  }
  std::string path, former;
};

TEST_CASE("who holds the lock of iptables-legacy is named, and nothing is changed; iptables-nft takes none") {
  Lab::instance().reset();
  const std::string before = state_of_namespace();
  const LockFile lock(fmt::format("/tmp/weir-xtables-lock-{}", ::getpid()));
  int ends[2][2];  // the holder reads from the first, and tells by the second that it has the lock
  for (auto& pipe : ends) REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
  UniqueFd in_reader(ends[0][0]), in_writer(ends[0][1]), out_reader(ends[1][0]), out_writer(ends[1][1]);
  auto holder = kernel::Child::start({.arguments = {"flock", lock.path, "sh", "-c", "echo held; read line"},
                                      .extra_environment = {},
                                      .in = in_reader.ref(),
                                      .out = out_writer.ref(),
                                      .err = {}});
  REQUIRE(holder);
  char byte = 0;
  REQUIRE(::read(out_reader.get(), &byte, 1) == 1);
  xtables::XtablesOptions options;
  options.lock_wait = std::chrono::seconds(1);
  auto applied = backend_with(std::move(options))->apply(plan_of(kDefaultConfig));
  if (kind() == Kind::iptables_nft) {
    CHECK(applied.has_value());
  } else {
    REQUIRE(!applied);
    const std::string said = applied.error().to_text();
    CHECK_MESSAGE(said.find(fmt::format("; process {} (flock) holds {}", holder->pid(), lock.path)) != std::string::npos, said);
    CHECK(state_of_namespace() == before);
  }
  in_writer.reset();
  REQUIRE(holder->wait());
}

TEST_CASE("where the lock's file cannot be made, the namespace is locked instead") {
  Lab::instance().reset();
  const LockFile lock("/nowhere/xtables.lock");
  auto applied = Lab::backend()->apply(gated(kDefaultConfig, kGate));
  auto removed = Lab::backend()->remove();
  CHECK_MESSAGE(applied, applied.error().to_text());
  CHECK_MESSAGE(removed, removed.error().to_text());
}

TEST_CASE("a gate that cannot be closed leaves nothing and says what to do") {
  Lab::instance().reset();
  const std::string before = state_of_namespace();
  xtables::XtablesOptions options;
  options.gate_folder = "/nowhere";
  auto backend = backend_with(std::move(options));
  auto applied = backend->apply(gated(kDefaultConfig, kGate));
  REQUIRE(!applied);
  CHECK(applied.error().code() == ErrorCode::environment);
  CHECK(applied.error().to_text() ==
        "closing the start gate by /nowhere/weir_holding: no such list, though rules name it; is /proc of this network namespace "
        "mounted?; leave out --start-gate, or use --backend=nft");
  CHECK(state_of_namespace() == before);
}

struct Verb {
  const char* name;
  Result<> (*run)(capture::Redirector& backend);
};
constexpr Verb kVerbs[] = {{"enrol",
                            [](capture::Redirector& backend) -> Result<> {
                              auto done = init::enrol(backend, gated(kOpenConfig, kGate));
                              return done ? Result<>{} : pass(done.error());
                            }},
                           {"enrol with nothing to capture",
                            [](capture::Redirector& backend) -> Result<> {
                              auto done = init::enrol(backend, plan_of("-m NONE"));
                              return done ? Result<>{} : pass(done.error());
                            }},
                           {"remove",
                            [](capture::Redirector& backend) -> Result<> {
                              auto done = backend.remove();
                              return done ? Result<>{} : pass(done.error());
                            }},
                           {"check", [](capture::Redirector& backend) -> Result<> {
                              auto done = backend.check(gated(kDefaultConfig, kGate));
                              return done ? Result<>{} : pass(done.error());
                            }}};

/// What a message must name, whichever program failed in this way.
const char* cause(Way way) {
  switch (way) {
    case Way::not_done: return "ended with 4: told to fail";
    case Way::done_but_killed: return "was killed by signal 9";
    case Way::hangs: return "did not end within";
    case Way::not_there: return "no program /nowhere/";
  }
  return "";
}

TEST_CASE("whichever program fails, hangs, is killed or is not there, the namespace is as it was, and the message says why") {
  std::set<std::string> messages;
  std::size_t failures = 0;
  for (const Former& former : kFormers)
    for (const Verb& verb : kVerbs) {
      Lab::instance().reset();
      former.make();
      const std::string before = state_of_namespace();
      for (const auto& [way, words] : kWays) {
        // Over other former states only the hardest: it is done, and nobody says so.
        if (&former != &kFormers[0] && way != Way::done_but_killed) continue;
        for (std::size_t n = 1;; ++n) {
          Failure failure{.call = n, .way = way, .program = {}};
          std::size_t calls = 0;
          auto backend = backend_with(options_with(failing(failure, calls)));
          const Result<> done = verb.run(*backend);
          const std::string context = fmt::format("{} over {}, program {} {}: {}", verb.name, former.name, n, words,
                                                  done ? "success" : done.error().to_text());
          CAPTURE(context);
          if (calls < n) {
            CHECK(done.has_value());
            Lab::instance().reset();
            former.make();
            break;
          }
          REQUIRE(!done);
          const std::string said = done.error().to_text();
          CHECK(said.find(cause(way)) != std::string::npos);
          messages.insert(fmt::format("{}, {} {}: {}", verb.name, failure.program, words, said));
          const std::string after = state_of_namespace();
          CHECK(after == before);
          ++failures;
          if (after == before) continue;
          Lab::instance().reset();
          former.make();
        }
      }
    }
  CHECK(failures > 80);
  std::string text;
  for (const std::string& message : messages) text += message + "\n";
  // Both variants say the same.
  for (const std::string& own : {"-" + variant() + "-", "iptables-" + variant()})
    for (std::size_t at = 0; (at = text.find(own, at)) != std::string::npos;)
      text.replace(at, own.size(), own.starts_with("-") ? "-VARIANT-" : "iptables-VARIANT");
  test::check_golden(WEIR_SOURCE_ROOT "/tests/netns/testdata/faults/enrolment-xtables.txt", text);
}

TEST_CASE("killed before any program: the next apply heals, the next remove cleans") {
  Lab::instance().reset();
  const std::string before = state_of_namespace();
  char self[4096];
  const ssize_t size = ::readlink("/proc/self/exe", self, sizeof self);
  REQUIRE(size > 0);
  for (const char* step : {"1", "2", "3", "4", "5", "6"})
    for (bool heal : {true, false}) {
      CAPTURE(step);
      auto dying = kernel::run({std::string(self, static_cast<std::size_t>(size)), "--apply-and-die-before", step});
      REQUIRE(dying);
      CHECK(dying->exit_code == (step[0] == '6' ? 0 : 9));
      const std::string torn = step[0] == '4'   ? "IPv4 captures in part, IPv6 has nothing of weir"
                               : step[0] == '5' ? "IPv4 captures, IPv6 has nothing of weir"
                                                : "";
      if (!torn.empty()) {
        auto drift = Lab::backend()->check(gated(kDefaultConfig, kGate));
        REQUIRE(drift);
        CHECK(drift->differences.at(0).starts_with(torn));
      }
      if (heal) {
        const capture::Applied applied = apply(gated(kDefaultConfig, kGate));
        CHECK(join(applied.notes, "").starts_with(torn));
        CHECK(Lab::backend()->check(gated(kDefaultConfig, kGate))->empty());
        CHECK(waiting() == "0.0.0.0 ::");
      }
      auto backend = Lab::backend();
      REQUIRE(backend->remove());
      const std::string told = join(backend->found_torn(), "; ");
      CHECK(told.starts_with(heal ? "" : torn));
      CHECK(told.empty() == (heal || torn.empty()));
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

TEST_CASE("a rule of others in front of ours is named by check, and apply puts ours first again") {
  Lab::instance().reset();
  const CapturePlan plan = gated(kDefaultConfig, kGate);
  for (const char* family : {"iptables-", "ip6tables-"})
    for (const auto& [table, chain] : {std::pair{"nat", "OUTPUT"}, std::pair{"filter", "INPUT"}}) {
      apply(plan);
      const std::string program = fmt::format("{}{} -w -t {} ", family, variant(), table);
      shell(fmt::format("{0}-I {1} -p sctp -j ACCEPT; {0}-I {1} 2 -p gre -j ACCEPT", program, chain));
      auto drift = Lab::backend()->check(plan);
      REQUIRE(drift);
      const std::string where = fmt::format(
          "IPv{}, table {}: a rule of others stands in {} in front of ours and sees packets first: ", family[2] == '6' ? 6 : 4,
          table, chain);
      CHECK(join(drift->differences, "\n") == fmt::format("{0}-p sctp -j ACCEPT\n{0}-p gre -j ACCEPT", where));
      CHECK(apply(plan).changed);
      CHECK(Lab::backend()->check(plan)->empty());
      shell(fmt::format("{0}-D {1} -p sctp -j ACCEPT; {0}-D {1} -p gre -j ACCEPT", program, chain));
    }
  Lab::instance().reset();
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
    const bool is_routed = plan_of(config).reply_route.has_value();
    const std::string routing =
        "for f in -4 -6; do ip $f rule {0} fwmark 1337 lookup 133; ip $f route {0} local default dev lo table 133; done";
    shell("ip addr add ::6/128 dev lo nodad");
    if (is_routed) shell(fmt::format(fmt::runtime(routing), "add"));
    auto drift = Lab::backend()->check(plan_of(config));
    REQUIRE(drift);
    CHECK(join(drift->differences, "\n") == "");
    shell("ip addr del ::6/128 dev lo");
    if (is_routed) shell(fmt::format(fmt::runtime(routing), "del"));
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
  auto backend = backend_with(
      options_with([&, real = xtables::limited_runner()](const auto& arguments, const auto& input, const auto& environment) {
        if (++calls == step) std::_Exit(9);
        return real(arguments, input, environment);
      }));
  return backend->apply(gated(kDefaultConfig, kGate)) ? 0 : 1;
}

}  // namespace weir::conformance
