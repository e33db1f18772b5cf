// SPDX-License-Identifier: Apache-2.0
// A drain on each backend, while what programs it fails: every call to the kernel, or to iptables' programs, in turn, before it
// was done and after. The rules are then as before, or drained altogether; and the next attempt does what the failed one did not.
#include <doctest/doctest.h>

#include "iptables-rules/nft_redirector.h"
#include "iptables-rules/xtables_redirector.h"
#include "kernel/netlink.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {

namespace {

using capture::Drain;

const Drain kWanted{.id = "0123abcd", .until = std::chrono::seconds(4711), .ports = {}};
const Drain kDrain{.id = "0123abcd", .until = std::chrono::seconds(4711), .ports = {15001, 15006}};

struct Fault {
  std::size_t call = 0;      ///< this one (from 1) fails
  bool answer_lost = false;  ///< it is done all the same
  std::size_t calls = 0;     ///< how many there were
  bool next() { return ++calls == call; }
};

class FaultyNetlink : public kernel::Netlink {
 public:
  explicit FaultyNetlink(Fault& fault) : fault_(fault) {}
  Result<> act(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    return tried<Result<>>([&] { return real_->act(bus, request); });
  }
  Result<std::vector<kernel::NetlinkMessage>> ask(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    return tried<Result<std::vector<kernel::NetlinkMessage>>>([&] { return real_->ask(bus, request); });
  }
  Result<std::optional<kernel::BatchRefusal>> transact(const std::vector<kernel::NetlinkMessage>& batch,
                                                       std::optional<std::uint32_t> generation) override {
    return tried<Result<std::optional<kernel::BatchRefusal>>>([&] { return real_->transact(batch, generation); });
  }

 private:
  template <class R, class F>
  R tried(F call) {
    const bool fails = fault_.next();
    if (!fails || fault_.answer_lost) {
      R done = call();
      if (!fails) return done;
    }
    return fail_errno(ENOBUFS, "receiving from the kernel by netlink");
  }
  Fault& fault_;
  std::unique_ptr<kernel::Netlink> real_ = kernel::open_netlink();
};

std::unique_ptr<capture::Redirector> faulty(Fault& fault) {
  if (kind() == Kind::nft) return nft::make_nft_redirector(std::make_unique<FaultyNetlink>(fault));
  xtables::XtablesOptions options;
  options.run = [&fault, real = options.run](const std::vector<std::string>& arguments, const std::string& input,
                                             const xtables::Environment& environment) -> Result<kernel::Output> {
    const bool fails = fault.next();
    if (fails && !fault.answer_lost) return kernel::Output{.exit_code = 4, .out = "", .err = "told to fail"};
    auto done = real(arguments, input, environment);
    if (fails) return kernel::Output{.exit_code = 137, .out = "", .err = ""};
    return done;
  };
  return xtables::make_xtables_redirector(kind() == Kind::iptables_legacy ? xtables::Variant::legacy : xtables::Variant::nft,
                                          kernel::open_netlink(), options);
}

std::string in_words(const Fault& fault, const Result<>& done) {
  return fmt::format("call {} {}: {}", fault.call, fault.answer_lost ? "is done, its answer lost" : "fails",
                     done ? "success" : done.error().to_text());
}

TEST_SUITE_BEGIN("drain");

TEST_CASE("a drain stands, is told, ends by its name only, and gives way to an apply and to remove") {
  Lab& lab = Lab::instance();
  lab.reset();
  const std::string clean = state_of_namespace();
  CHECK(!Lab::backend()->release(kWanted)->changed);
  CHECK(state_of_namespace() == clean);
  for (const char* end : {"end", "apply", "remove"}) {
    CAPTURE(end);
    apply(plan_of(kDefaultConfig));
    auto released = Lab::backend()->release(kWanted);
    REQUIRE_MESSAGE(released, released.error().to_text());
    CHECK(released->changed);
    CHECK(released->drain == kDrain);
    CHECK(*Lab::backend()->draining() == kDrain);
    CHECK(Lab::backend()->check(plan_of(kDefaultConfig))->differences == std::vector<std::string>{capture::kDraining});
    for (Family family : kBothFamilies) CHECK(app_to_remote(family).starts_with("REMOTE"));
    auto again = Lab::backend()->release({.id = "other", .until = std::chrono::seconds(1), .ports = {}});
    CHECK(!again->changed);
    CHECK(again->drain == kDrain);
    Drain other = kDrain;
    other.id = "other";
    CHECK(*Lab::backend()->end_drain(other) == false);
    CHECK(*Lab::backend()->draining() == kDrain);
    if (end == std::string("end")) CHECK(*Lab::backend()->end_drain(kDrain));
    if (end == std::string("apply")) {
      apply(plan_of(kDefaultConfig));
      CHECK(Lab::backend()->check(plan_of(kDefaultConfig))->empty());
      CHECK(*Lab::backend()->end_drain(kDrain) == false);
      for (Family family : kBothFamilies) CHECK(app_to_remote(family) == concrete(kOut, family));
    }
    if (end != std::string("end")) CHECK(*Lab::backend()->remove());
    CHECK(!*Lab::backend()->draining());
    CHECK(state_of_namespace() == clean);
  }
}

TEST_CASE("whichever call of release fails, the rules are as before, and the next one does it") {
  std::size_t failures = 0;
  for (bool answer_lost : {false, true})
    for (std::size_t n = 1;; ++n) {
      Lab::instance().reset();
      apply(plan_of(kDefaultConfig));
      // The kernel adds the route to ::6 some time after the address.
      CHECK(until("1\n", [] { return shell("ip -6 route show table local ::6 | wc -l"); }) == "1\n");
      const std::string before = state_of_namespace();
      Fault fault{.call = n, .answer_lost = answer_lost};
      Result<> done;
      if (auto released = faulty(fault)->release(kWanted); !released) done = pass(released.error());
      const std::string context = in_words(fault, done);
      CAPTURE(context);
      if (fault.calls < n) {
        CHECK(done.has_value());
        break;
      }
      ++failures;
      CHECK(!done);
      if (kind() == Kind::nft)
        CHECK(Lab::backend()->check(plan_of(kDefaultConfig))->empty());  // its handles are new
      else
        CHECK(state_of_namespace() == before);
      auto released = Lab::backend()->release(kWanted);
      REQUIRE(released);
      CHECK(released->drain == kDrain);
    }
  CHECK(failures > 7);
}

TEST_CASE("whichever call of a drain's end fails, the next attempt ends it") {
  Lab::instance().reset();
  const std::string clean = state_of_namespace();
  std::size_t failures = 0;
  for (bool answer_lost : {false, true})
    for (std::size_t n = 1;; ++n) {
      apply(plan_of(kDefaultConfig));
      REQUIRE(Lab::backend()->release(kWanted));
      Fault fault{.call = n, .answer_lost = answer_lost};
      Result<> done;
      if (auto ended = faulty(fault)->end_drain(kDrain); !ended) done = pass(ended.error());
      const std::string context = in_words(fault, done);
      CAPTURE(context);
      for (Family family : kBothFamilies) CHECK(app_to_remote(family).starts_with("REMOTE"));
      auto again = Lab::backend()->release(kWanted);
      REQUIRE(again);
      if (again->drain) CHECK(*Lab::backend()->end_drain(*again->drain));
      CHECK(state_of_namespace() == clean);
      if (fault.calls < n) break;
      ++failures;
    }
  CHECK(failures > 7);
}

TEST_SUITE_END();

}  // namespace

}  // namespace weir::conformance
