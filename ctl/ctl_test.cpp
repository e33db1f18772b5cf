// SPDX-License-Identifier: Apache-2.0
// What weirctl says, word by word.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "base/test_golden.h"
#include "ctl/command.h"
#include "ctl/http_client.h"
#include "ctl/mesh.h"

using namespace weir;
using namespace weir::ctl;

namespace {

const std::filesystem::path kData = WEIR_TESTDATA;

World world() {
  World world;
  world.read_stdin = []() -> Result<std::string> { return test::read_text("stdin.yaml"); };
  world.fetch = [](const std::string& target, const std::string& path, std::optional<int> pid) -> Result<std::string> {
    if (target == "http://127.0.0.1:15014" && path == "/debug/syncz") return test::read_text("syncz.json");
    if (target == "http://127.0.0.1:15000" && path == "/config_dump?include_eds" && !pid) return test::read_text("dump.json");
    if (target == "http://127.0.0.1:15000" && path == "/clusters?format=json" && !pid) return test::read_text("clusters.json");
    return fail(ErrorCode::environment, "asking {} for {}{}: Connection refused", target, path,
                pid ? fmt::format(" in {}", *pid) : "");
  };
  world.capture = [](const std::vector<std::string>& arguments) { return static_cast<int>(arguments.size()); };
  return world;
}

struct Case {
  std::string name;
  std::vector<std::vector<std::string>> commands;
};

std::string transcript(const Case& given) {
  std::string text;
  for (const auto& arguments : given.commands) {
    text += "$ weirctl";
    for (const std::string& argument : arguments)
      text += argument.find_first_of(" *'") != std::string::npos || argument.empty() ? fmt::format(" '{}'", argument)
                                                                                     : " " + argument;
    const Printed printed = run(arguments, world());
    text += fmt::format("\nexit {}\n{}{}\n", printed.exit_code, printed.out, printed.err);
  }
  return text;
}

std::vector<std::string> explain(std::vector<std::string> more) {
  std::vector<std::string> words = {"explain", "--rules", "rules", "--from", "client.default"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("what weirctl says, word by word") {
  std::filesystem::current_path(kData);  // so that the texts name no path of this machine
  const std::vector<Case> cases = {
      {"help", {{"--help"}, {"help", "explain"}, {"proxy-config", "--help"}, {"version"}, {}}},
      {"mistakes",
       {{"explian"},
        {"explain", "--frm", "a", "-o", "xml", "stray"},
        {"explain", "--from"},
        {"explain"},
        explain({"--to", "reviews", "--as", "root", "--family", "5", "--path", "x", "-H", "novalue", "--sni", "a"}),
        explain({"--to", "rewiews:9080"}),
        {"explain", "--rules", "rules", "--from", "clint", "--to", "reviews:9080"},
        explain({"--to", "reviews:9080", "--capture", "-p 70000 --nonsense"}),
        {"explain", "--rules", "nowhere", "--from", "a", "--to", "b:1"},
        {"proxy-config"},
        {"proxy-config", "lissteners"},
        {"proxy-config", "routes", "--pid", "x"},
        {"proxy-config", "routes", "--agent", "unix:/a"},
        {"proxy-config", "routes", "--file", "rules/mesh.yaml"},
        {"proxy-config", "routes", "--file", "nowhere.json"},
        {"proxy-status", "--agent", "unix:/nowhere"},
        {"proxy-status", "clent.default"},
        {"validate"},
        {"validate", "nowhere.yaml"},
        {"completion", "fish"},
        {"capture"},
        {"capture", "-b", "*"}}},
      {"explain-matched", {explain({"--to", "reviews:9080", "--path", "/reviews/0", "-H", "end-user=jason"})}},
      {"explain-passed-over", {explain({"--to", "reviews.default.svc:9080", "--path", "/reviews/0", "-H", "end-user: anna"})}},
      {"explain-json", {explain({"--to", "reviews:9080", "-H", "end-user=anna", "-o", "json"})}},
      {"explain-faults", {explain({"--to", "ratings:9080", "-H", "end-user=jason"}), explain({"--to", "ratings:9080"})}},
      {"explain-tcp",
       {explain({"--to", "echo:9000", "--protocol", "tcp"}),
        explain({"--to", "echo:9000", "--family", "6", "--protocol", "tls", "--sni", "a.test"})}},
      {"explain-no-service",
       {explain({"--to", "203.0.113.10:443", "--protocol", "tls", "--sni", "www.example"}),
        explain({"--to", "203.0.113.10:9080", "-H", "Host=www.example"}),
        explain({"--to", "203.0.113.10:9080", "-H", "Host=www.example", "--mesh-config", "closed.yaml"}),
        explain({"--to", "203.0.113.10:80", "--mesh-config", "closed.yaml"})}},
      {"explain-dead-ends",
       {explain({"--to", "reviews:9080", "--path", "/%zz"}), explain({"--to", "ghost:9080"}),
        explain({"--to", "reviews:9080", "--path", "/lost"}), explain({"--to", "reviews:9080", "--path", "/old/x?y=z"})}},
      {"explain-capture",
       {explain({"--to", "10.244.1.10:9080"}),
        explain({"--to", "reviews:9080", "--as", "uid=1337"}),
        explain({"--to", "10.244.1.31:15001"}),
        explain({"--to", "reviews:9080", "--capture", "-b 80 -i 10.0.0.0/16"}),
        {"explain", "--rules", "rules", "--from", "quiet.default", "--to", "reviews:9080"},
        {"explain", "--rules", "rules", "--from", "bare.default", "--to", "10.244.1.71:9080"}}},
      {"explain-batch", {explain({"--requests", "requests.jsonl"}), explain({"--requests", "wrong.jsonl"})}},
      {"explain-broken", {{"explain", "--rules", "broken", "--from", "client.default", "--to", "10.0.0.1:80"}}},
      {"explain-dump",
       {{"explain", "--config-dump", "dump.json", "--to", "reviews:9080", "-H", "end-user=jason"},
        {"explain", "--config-dump", "dump.json", "--to", "echo:9000", "--protocol", "tcp"},
        {"explain", "--config-dump", "dump.json", "--to", "nobody:9080"}}},
      {"proxy-status", {{"proxy-status"}, {"proxy-status", "web.shop"}, {"proxy-status", "-o", "json", "new.shop"}}},
      {"proxy-config",
       {{"proxy-config", "clusters"},
        {"proxy-config", "cluster", "--fqdn", "reviews", "--subset", "v1"},
        {"proxy-config", "c", "--direction", "inbound"},
        {"proxy-config", "listeners"},
        {"proxy-config", "listeners", "--port", "9000"},
        {"proxy-config", "listeners", "--type", "HTTP", "--address", "0.0.0.0", "--file", "dump.json"},
        {"proxy-config", "routes"},
        {"proxy-config", "routes", "--name", "8000", "-o", "json"},
        {"proxy-config", "endpoints"},
        {"proxy-config", "endpoints", "--file", "dump.json", "--cluster", "reviews", "--status", "healthy"},
        {"proxy-config", "endpoints", "--address", "10.244.1.31", "-o", "json"},
        {"proxy-config", "all", "--fqdn", "ratings", "--port", "9080", "--name", "8000", "--cluster", "ratings"}}},
      {"validate",
       {{"validate", "rules"}, {"validate", "bad.yaml", "rules"}, {"validate", "-"}, {"validate", "bad.yaml", "-o", "json"}}},
  };
  for (const Case& given : cases) {
    CAPTURE(given.name);
    test::check_golden(kData / (given.name + ".txt"), transcript(given));
  }
}

TEST_CASE("the manual page and the completion are those of the table of commands") {
  test::check_golden(WEIR_SOURCE_ROOT "/docs/man/weirctl.1", man_page());
  test::check_golden(WEIR_SOURCE_ROOT "/docs/completions/weirctl.bash", bash_completion());
}

TEST_CASE("capture hands its words to weir-init's library") {
  CHECK(run({"capture", "check", "-b", "*"}, world()).exit_code == 3);
}

TEST_CASE("an address to ask is understood, or refused with what would be right") {
  for (const char* wrong : {"15014", "https://1.2.3.4:1", "unix:", "http://example.com:80"})
    CHECK_MESSAGE(fetch(wrong, "/", std::nullopt).error().code() == ErrorCode::usage, wrong);
  CHECK(fetch("unix:/no/such/socket", "/", std::nullopt).error().to_text().starts_with("asking unix:/no/such/socket for /: "));
}

TEST_CASE("annotations of a pod are weir-init's flags, and flags given here beat them") {
  const mesh::Labels annotations = {{"traffic.sidecar.istio.io/excludeOutboundPorts", "9080"}};
  auto plain = make_plan({}, {}), annotated = make_plan({}, annotations), given = make_plan({"-b", "*", "-i", "*"}, annotations);
  REQUIRE((plain && annotated && given));
  CHECK(*plain != *annotated);
  CHECK(*given == *make_plan({"-b", "*", "-i", "*"}, {}));
  CHECK(make_plan({}, {{"traffic.sidecar.istio.io/excludeOutboundPorts", "many"}}).error().code() == ErrorCode::usage);
}
