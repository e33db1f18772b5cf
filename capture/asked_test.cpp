// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "capture/asked.h"
#include "capture/matrix.h"

namespace weir::capture {
namespace {

using Values = std::map<std::string, std::string>;

std::vector<std::string> comments_of(const std::string& text) {
  CapturePolicy policy;
  CapturePlan made = plan(policy);
  keep_asked(made, text);
  std::vector<std::string> comments;
  for (const Step& step : made.steps)
    if (step.chain == Chain::kept_flags) comments.push_back(step.why);
  return comments;
}

TEST_CASE("flags and variables that mean the same are kept in the same words") {
  const std::string wanted = "--istio-inbound-ports=* --istio-service-cidr=*";
  CHECK(to_text(asked_options({{"istio-inbound-ports", "*"}, {"istio-service-cidr", "*"}}, {}, {})) == wanted);
  CHECK(to_text(asked_options({}, {{"ISTIO_INBOUND_PORTS", "*"}, {"ISTIO_SERVICE_CIDR", "*"}}, {})) == wanted);
  CHECK(to_text(asked_options(
            {{"istio-inbound-ports", "*"}, {"istio-service-cidr", "*"}, {"envoy-port", "15001"}, {"dry-run", "true"}},
            {{"PROXY_UID", "1337"}}, {})) == wanted);
  CHECK(to_text(asked_options({}, {}, {})).empty());
}

TEST_CASE("a proxy known by name is kept by number") {
  Accounts accounts;
  accounts.uid_of = [](std::string_view name) { return name == "envoy" ? std::optional<std::uint32_t>(77) : std::nullopt; };
  CHECK(to_text(asked_options({}, {{"ENVOY_USER", "envoy"}}, accounts)) == "--proxy-uid=77");
}

TEST_CASE("what was asked makes the same policy after it was kept, for each configuration of the decision table") {
  std::string last;
  for (const matrix::Row& row : matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_matrix.tsv")) {
    if (row.config == last) continue;
    last = row.config;
    CAPTURE(last);
    Values flags, environment;
    const ParseOutcome wanted = matrix::parse_config(row.config, &flags, &environment);
    const std::string text = to_text(asked_options(flags, environment, matrix::accounts()));
    auto kept = kept_asked(comments_of(text));
    REQUIRE(kept);
    CHECK(*kept == text);
    auto asked = parse_asked(*kept);
    REQUIRE(asked);
    CHECK(parse_options(*asked, matrix::accounts()).parsed.policy == wanted.parsed.policy);
  }
}

TEST_CASE("blanks and long lists come back as they were") {
  std::string ports = "1";
  for (int port = 3; port < 400; port += 2) ports += ", " + std::to_string(port);
  const AskedOptions asked = asked_options({{"istio-inbound-ports", ports}}, {}, {});
  auto kept = kept_asked(comments_of(to_text(asked)));
  REQUIRE(kept);
  CHECK(kept->find(' ') == std::string::npos);
  CHECK(parse_asked(*kept)->at("istio-inbound-ports") == ports);
}

TEST_CASE("a piece that is lost, and flags that are too long, are said and not guessed") {
  std::vector<std::string> comments = comments_of(std::string(250, 'x'));
  REQUIRE(comments.size() == 3);
  comments.erase(comments.begin() + 1);
  CHECK(kept_asked(comments).error().to_text() == "the flags that the rules keep are damaged: \"flags 1/3: " +
                                                      std::string(100, 'x') + "\" stands where \"flags 1/2: …\" should");
  CHECK(kept_asked(comments_of(std::string(4001, 'x'))).error().to_text().find("too long") != std::string::npos);
  CHECK(!kept_asked({}));
  CHECK(!parse_asked("--no-such-flag=1"));
}

}  // namespace
}  // namespace weir::capture
