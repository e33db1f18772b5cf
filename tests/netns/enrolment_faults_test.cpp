// SPDX-License-Identifier: Apache-2.0
// Every call that an enrolment makes to the kernel fails once, in both ways: before it was done, and done but its answer lost.
// Then the namespace must be as it was before, to other tools, and the message must name the cause. In a network namespace of its
// own:
//
//    lo    ::1, 127.0.0.1 (::6 by weir)
//    eth0  10.1.0.2, fd01::2 (a veth pair with both ends here)
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <regex>
#include <sched.h>
#include <set>
#include <unistd.h>

#include "base/test_golden.h"
#include "capture/matrix.h"
#include "init/enrolment.h"
#include "iptables-rules/nft_redirector.h"
#include "kernel/child.h"
#include "kernel/netlink.h"

namespace weir {
namespace {

using capture::CapturePlan;

std::string shell(const std::string& script) {
  auto output = kernel::run({"sh", "-ec", script});
  if (!output) return output.error().to_text();
  CHECK_MESSAGE(output->exit_code == 0, script, ": ", output->err);
  return output->out;
}

/// The same without a shell, since it is asked after every fault.
std::string tool(const std::vector<std::string>& arguments, const std::string& input = "") {
  auto output = kernel::run(arguments, input);
  if (!output) return output.error().to_text();
  CHECK_MESSAGE(output->exit_code == 0, arguments.front(), ": ", output->err);
  return output->out;
}

/// All that weir could have changed, as other tools see it. Handles are the kernel's numbering, and the gate's time runs.
std::string state_of_namespace() {
  static const std::regex kChanging(R"re("(handle|index|expires)": [0-9]+)re");
  return std::regex_replace(tool({"nft", "-j", "list", "ruleset"}) +
                                tool({"ip", "-j", "-batch", "-"}, "addr\nroute show table all\nrule\n") +
                                tool({"ip", "-j", "-6", "-batch", "-"}, "route show table all\nrule\n"),
                            kChanging, "$1");
}

CapturePlan plan_of(const std::string& config, bool gated = false) {
  auto parsed = capture::matrix::parse_config(config);
  REQUIRE_MESSAGE(!has_errors(parsed.problems), to_text(parsed.problems));
  if (gated) parsed.parsed.policy.start_gate = std::chrono::seconds(3000);
  return capture::plan(parsed.parsed.policy);
}

const CapturePlan& wanted() {
  static const CapturePlan plan = plan_of("-b * -d 15090,15021,15020 -i * -u 1337 -g 1337", true);
  return plan;
}
/// With anonymous sets of every kind, so that putting it back is no trifle.
const CapturePlan& older() {
  static const CapturePlan plan = plan_of(
      "DROP_INVALID=1 REDIRECT_DNS=1 -m TPROXY -b 80,90-99 -i 10.0.0.0/8,192.168.1.1,fd00::/8,fd80::1 -x "
      "10.1.0.0/16,255.255.255.255 -k "
      "vnet0 -c eth+ -q "
      "1-5 -o 22 -u "
      "3,4",
      true);
  return plan;
}

/// Between a backend and the kernel.
class Faulty : public kernel::Netlink {
 public:
  struct Fault {
    std::size_t call = 0;      ///< this one (from 1) fails; 0: none
    bool answer_lost = false;  ///< it is done all the same
    int error = ENOBUFS;
    std::size_t calls = 0;  ///< how many there were
    std::string name;       ///< of the call that failed
    bool changes = false;   ///< that call; else it only asked, and a lost answer is the same as none
  };
  explicit Faulty(Fault& fault) : fault_(fault) {}

  Result<> act(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    const bool fails = next("changing an address or a route", true);
    if (fails && !fault_.answer_lost) return refuse();
    auto done = real_->act(bus, request);
    return fails ? refuse() : done;
  }
  Result<std::vector<kernel::NetlinkMessage>> ask(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    if (next(bus == kernel::NetlinkBus::route ? "asking for addresses or routes" : "asking for rules", false))
      return pass(refuse().error());
    return real_->ask(bus, request);
  }
  Result<std::optional<kernel::BatchRefusal>> transact(const std::vector<kernel::NetlinkMessage>& batch,
                                                       std::optional<std::uint32_t> generation) override {
    const bool fails = next("a transaction", true);
    if (fails && !fault_.answer_lost) return pass(refuse().error());
    auto done = real_->transact(batch, generation);
    if (fails) return pass(refuse().error());
    return done;
  }

 private:
  bool next(const char* name, bool changes) {
    const bool fails = ++fault_.calls == fault_.call;
    if (fails) {
      fault_.name = name;
      fault_.changes = changes;
    }
    return fails;
  }
  Result<> refuse() const { return fail_errno(fault_.error, "receiving from the kernel by netlink"); }

  Fault& fault_;
  std::unique_ptr<kernel::Netlink> real_ = kernel::open_netlink();
};

std::unique_ptr<capture::Redirector> backend() { return nft::make_nft_redirector(kernel::open_netlink()); }

struct Former {
  const char* name;
  std::function<void()> make;
};
const std::vector<Former>& formers() {
  static const std::vector<Former> all = {
      {"no enrolment", [] {}},
      {"another plan", [] { REQUIRE(backend()->apply(older())); }},
      {"another plan without its address",
       [] {
         REQUIRE(backend()->apply(older()));
         shell("ip addr del ::6/128 dev lo");
       }},
      {"the same plan", [] { REQUIRE(backend()->apply(wanted())); }},
      {"the same plan, with chains and rules of others in our table",
       [] {
         REQUIRE(backend()->apply(older()));
         shell(
             "nft add chain inet weir extra; nft add rule inet weir extra tcp dport '{ 1, 2 }' counter accept; nft add rule inet "
             "weir outbound jump extra");
       }},
  };
  return all;
}

struct Verb {
  const char* name;
  std::function<Result<>(capture::Redirector&)> run;
};
const std::vector<Verb>& verbs() {
  static const std::vector<Verb> all = {
      {"enrol",
       [](capture::Redirector& redirector) -> Result<> {
         auto done = init::enrol(redirector, wanted());
         if (!done) return pass(done.error());
         return {};
       }},
      {"enrol with nothing to capture",
       [](capture::Redirector& redirector) -> Result<> {
         auto done = init::enrol(redirector, {.steps = {}, .start_gate = {}, .needs_inbound_source6 = false, .reply_route = {}});
         if (!done) return pass(done.error());
         return {};
       }},
      {"remove",
       [](capture::Redirector& redirector) -> Result<> {
         auto done = redirector.remove();
         if (!done) return pass(done.error());
         return {};
       }},
      {"check",
       [](capture::Redirector& redirector) -> Result<> {
         auto done = redirector.check(wanted());
         if (!done) return pass(done.error());
         return {};
       }},
  };
  return all;
}

TEST_CASE("whichever call fails, before or after it was done, the namespace is as it was, and the message names the cause") {
  std::set<std::string> messages;
  std::size_t failures = 0;
  constexpr int kErrors[] = {ENOBUFS, ENOMEM, EPERM};
  for (const Former& former : formers()) {
    for (const Verb& verb : verbs()) {
      REQUIRE(backend()->remove());
      former.make();
      const std::string before = state_of_namespace();
      std::set<std::size_t> only_ask;
      for (const bool answer_lost : {false, true}) {
        for (std::size_t n = 1;; ++n) {
          if (answer_lost && only_ask.contains(n)) continue;
          Faulty::Fault fault{.call = n, .answer_lost = answer_lost, .error = kErrors[n % 3], .name = {}};
          auto redirector = nft::make_nft_redirector(std::make_unique<Faulty>(fault));
          auto done = verb.run(*redirector);
          if (fault.calls >= n && !fault.changes) only_ask.insert(n);
          const std::string context =
              fmt::format("{} over {}, call {} fails{}: {}", verb.name, former.name, n, answer_lost ? " though it was done" : "",
                          done ? "success" : done.error().to_text());
          CAPTURE(context);
          if (done) {
            // Not knowing whether the kernel keeps who added an address is no failure; else every call was made.
            const bool is_over = fault.calls < n;
            REQUIRE(backend()->remove());
            former.make();
            if (is_over) break;
            continue;
          }
          ++failures;
          REQUIRE(fault.calls >= n);
          const std::string said = done.error().to_text();
          const bool names_cause = said.find(errno_text(fault.error)) != std::string::npos;
          CHECK((names_cause || (fault.error == EPERM && said.find("CAP_NET_ADMIN is missing") != std::string::npos)));
          messages.insert(fmt::format("{}, {} fails{}: {}", verb.name, fault.name, answer_lost ? " though it was done" : "",
                                      done.error().to_text()));
          const std::string after = state_of_namespace();
          CHECK(after == before);
          if (after == before) continue;
          REQUIRE(backend()->remove());
          former.make();
        }
      }
    }
  }
  REQUIRE(backend()->remove());
  CHECK(failures > 300);
  std::string text;
  for (const std::string& message : messages) text += message + "\n";
  test::check_golden(WEIR_SOURCE_ROOT "/tests/netns/testdata/faults/enrolment.txt", text);
}

/// Changes what was programmed before it is checked, as a kernel that does something else than it says would.
class Meddler : public kernel::Netlink {
 public:
  explicit Meddler(bool& armed) : armed_(armed) {}
  Result<> act(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override { return real_->act(bus, request); }
  Result<std::vector<kernel::NetlinkMessage>> ask(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    return real_->ask(bus, request);
  }
  Result<std::optional<kernel::BatchRefusal>> transact(const std::vector<kernel::NetlinkMessage>& batch,
                                                       std::optional<std::uint32_t> generation) override {
    auto done = real_->transact(batch, generation);
    if (done && !*done && armed_ && generation) {  // a probe looks at no generation
      armed_ = false;
      shell("nft insert rule inet weir outbound tcp dport 1 accept");
    }
    return done;
  }

 private:
  bool& armed_;
  std::unique_ptr<kernel::Netlink> real_ = kernel::open_netlink();
};

TEST_CASE("a check that finds something else puts back what stood before, and says what it found") {
  for (const Former& former : formers()) {
    if (std::string_view(former.name) == "the same plan") continue;  // nothing is programmed
    CAPTURE(former.name);
    REQUIRE(backend()->remove());
    former.make();
    const std::string before = state_of_namespace();
    bool armed = true;
    auto redirector = nft::make_nft_redirector(std::make_unique<Meddler>(armed));
    auto done = init::enrol(*redirector, wanted());
    REQUIRE(!done);
    CHECK(done.error().code() == ErrorCode::check_failed);
    CHECK(done.error().to_text().starts_with(
        "what was programmed is not what the kernel shows: chain outbound: rule 1 is not of the plan (handle "));
    CHECK(state_of_namespace() == before);
  }
  REQUIRE(backend()->remove());
}

TEST_CASE("what is put back captures as before: check finds no difference") {
  REQUIRE(backend()->remove());
  REQUIRE(backend()->apply(older()));
  auto redirector = backend();
  auto applied = redirector->apply(wanted());
  REQUIRE(applied);
  CHECK(applied->changed);
  REQUIRE(redirector->undo());
  auto drift = backend()->check(older());
  REQUIRE(drift);
  CHECK(drift->empty());
  // And a second undo has nothing to do.
  const std::string before = state_of_namespace();
  CHECK(redirector->undo());
  CHECK(state_of_namespace() == before);
  REQUIRE(backend()->remove());
}

TEST_CASE("without descriptors or without the privilege, weir-init changes nothing and says why") {
  const char* program = std::getenv("WEIR_INIT");
  REQUIRE(program != nullptr);
  for (const Former& former : formers()) {
    REQUIRE(backend()->remove());
    former.make();
    const std::string before = state_of_namespace();
    std::size_t failed = 0;
    std::string told;
    for (int limit = 3; limit < 12; ++limit) {
      auto done = kernel::run({"prlimit", fmt::format("--nofile={}", limit), program, "apply", "-b", "*", "-i", "*"});
      REQUIRE(done);
      CAPTURE(limit);
      CAPTURE(done->err);
      if (done->exit_code == 0) break;
      ++failed;
      told += done->err;
      CHECK(!done->err.empty());
      CHECK(state_of_namespace() == before);
    }
    CHECK(failed > 0);
    CHECK(told.find("Too many open files") != std::string::npos);
    REQUIRE(backend()->remove());
    former.make();
    auto done = kernel::run(
        {"setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=1000", program, "apply", "-b", "*", "-i", "*"});
    REQUIRE(done);
    CHECK(done->exit_code == 2);
    CHECK(done->err.find("CAP_NET_ADMIN is missing") != std::string::npos);
    CHECK(state_of_namespace() == before);
  }
  REQUIRE(backend()->remove());
}

int skip(const std::string& why) {
  const bool is_required = std::getenv("WEIR_REQUIRE_NETNS") != nullptr;
  std::printf("%s: %s\n", is_required ? "cannot run, and WEIR_REQUIRE_NETNS forbids to skip" : "skipped", why.c_str());
  return is_required ? 1 : 77;
}

int run(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  if (::getuid() != 0) return skip("needs root, to make network namespaces");
  if (::unshare(CLONE_NEWNET) != 0) return skip("unshare: " + errno_text(errno));
  auto made =
      kernel::run({"sh", "-ec",
                   "ip link set lo up; ip link add eth0 type veth peer name eth1; ip link set eth0 addrgenmode none; ip link set "
                   "eth1 addrgenmode none; ip addr add 10.1.0.2/24 dev eth0; ip addr add fd01::2/64 dev eth0 nodad; ip link set "
                   "eth0 up; ip link set eth1 up"});
  if (!made || made->exit_code != 0) return skip(made ? made->err : made.error().to_text());
  return doctest::Context(argc, argv).run();
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) { return weir::run(argc, argv); }
