// SPDX-License-Identifier: Apache-2.0
// self-test and the probes of explain --trace, with every kind of policy.
#include <doctest/doctest.h>

#include <set>

#include <boost/json.hpp>

#include "base/json.h"
#include "tests/netns/conformance_lab.h"
#include "tests/netns/conformance_program.h"
#include "tests/netns/truth_losses.h"

namespace weir::conformance {

namespace {

namespace matrix = capture::matrix;

TEST_SUITE_BEGIN("truth");

TEST_CASE("self-test passes with every configuration of the table, and disturbs nothing") {
  Lab::instance().reset();
  // For every run of each kind one; and on nft, where a packet costs little, each fourth.
  const std::set<std::string> few = {kTproxyConfig, "CAPTURE_ALL_DNS=true REDIRECT_DNS=true -b * -i *",
                                     "DROP_INVALID=true -m TPROXY -b * -i *", "-b * -i * -u 3,4"};
  std::set<std::string> configs, all;
  for (const auto& row : matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_matrix.tsv")) {
    if (!all.insert(row.config).second) continue;
    const bool is_one_of_few = few.contains(row.config) || (kind() == Kind::nft && all.size() % 4 == 0);
    if (is_whole() || is_one_of_few) configs.insert(row.config);
  }
  CHECK(configs.size() >= few.size());
  for (const std::string& config : configs) {
    if (!Lab::backend()->why_not(plan_of(config)).empty() || plan_of(config).steps.empty()) continue;
    CAPTURE(config);
    apply_with_flags(config_of(config));
    const std::string before = dump();
    const init::Printed printed = weir_init({"self-test", "-o", "json"});
    CHECK_MESSAGE(printed.exit_code == 0, printed.out, printed.err);
    if (printed.exit_code == 0) CHECK(parse_json(printed.out)->at("rows").as_array().size() > 15);
    CHECK(dump() == before);
  }
}

TEST_CASE("where no proxy listens, what only its transparent socket would take is listed as not run") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply_with_flags(config_of(kTproxyConfig));
  lab.stop_proxy();
  const init::Printed tested = weir_init({"self-test"});
  CHECK_MESSAGE(tested.exit_code == 0, tested.out, tested.err);
  CHECK(tested.out.find("nobody listens on port 15006, and only a proxy's transparent socket gets such a packet") !=
        std::string::npos);
  const init::Printed traced = weir_init({"explain", "--from", "outside", "--to", "10.1.0.2:8080", "--trace"});
  CHECK(traced.exit_code == 2);
  CHECK(traced.err.find("nobody listens on port 15006") != std::string::npos);
  lab.start_proxy();
  const init::Printed again = weir_init({"explain", "--from", "outside", "--to", "10.1.0.2:8080", "--trace"});
  CHECK_MESSAGE(again.exit_code == 0, again.out, again.err);
  CHECK(again.out.find("the kernel agrees: to the proxy's inbound port 15006") != std::string::npos);
  lab.reset();
}

TEST_CASE("with --when-proxy-down=open no probe is sent, since one of the proxy's uid would be its heartbeat") {
  Lab::instance().reset();
  apply_with_flags(config_of("WEIR_WHEN_PROXY_DOWN=open -b * -i *"));
  const init::Printed tested = weir_init({"self-test"});
  CHECK(tested.exit_code == 2);
  CHECK(tested.err.find("with --when-proxy-down=open no probes are sent") != std::string::npos);
}

TEST_CASE("probes neither open a start gate that holds, nor are they judged as if it were open") {
  Lab& lab = Lab::instance();
  lab.reset();
  enrol_with_gate(kDefaultConfig, std::chrono::seconds(60));  // nothing of older connections is left that could open it
  REQUIRE(Lab::backend()->remove());
  Config config = config_of(kDefaultConfig);
  config.arguments.emplace_back("--start-gate=hold:60s");
  apply_with_flags(config);
  const init::Printed tested = weir_init({"self-test"});
  CHECK_MESSAGE(tested.exit_code == 0, tested.out, tested.err);
  if (kind() != Kind::nft) CHECK(tested.out.find("the start gate of IPv6 waits for the proxy") != std::string::npos);
  const init::Printed traced = weir_init({"explain", "--from", "proxy", "--to", "10.1.0.1:80", "--trace"});
  CHECK(traced.exit_code == 2);
  CHECK(traced.err.find("start gate") != std::string::npos);
  if (kind() == Kind::nft) {
    const init::Printed held = weir_init({"explain", "--to", "10.1.0.1:80", "--trace"});
    CHECK_MESSAGE(held.exit_code == 0, held.out, held.err);
    CHECK(held.out.find("the kernel agrees: held") != std::string::npos);
  }
  for (Family family : kBothFamilies) {
    CHECK(app_to_remote(family, 300) == "TIMEOUT");
    CHECK(remote_to_app(family, 300) == "TIMEOUT");
  }
  lab.reset();
}

TEST_SUITE_END();

}  // namespace
}  // namespace weir::conformance
