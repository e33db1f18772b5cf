// SPDX-License-Identifier: Apache-2.0
// weirctl inject: each text of testdata/inject, and what comes of it.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/test_golden.h"
#include "ctl/command.h"
#include "ctl/inject.h"
#include "ctl/inject_wish.h"

using namespace weir;
using namespace weir::ctl;

namespace {

const std::filesystem::path kData = std::filesystem::path(WEIR_TESTDATA) / "inject";

struct Case {
  std::string name;
  std::vector<std::string> flags;
};

const std::vector<Case>& good() {
  static const std::vector<Case> cases = {
      {"pod", {}},
      {"pod-cni", {"--cni"}},
      {"pod-podman",
       {"--platform", "podman", "--image", "localhost/p:1", "--init-image", "localhost/i:1", "--agent", "10.0.0.1:15010",
        "--state-dir", "off"}},
      {"deployment", {}},
      {"statefulset", {"--start-gate", "off", "--backend", "iptables-nft"}},
      {"native", {"--native-sidecars"}},
      {"daemonset", {}},
      {"replicaset", {}},
      {"job", {}},
      {"job-quit", {}},
      {"cronjob", {}},
      {"list", {}},
      {"documents", {}},
      {"tproxy", {}},
      {"annotations", {}},
      {"proxy-config", {}},
      {"own-proxy", {}},
      {"own-proxy-native", {}},
      {"host-network", {}},
      {"skipped", {"--revision", "canary"}},
      {"revision", {"--revision", "canary"}},
      {"empty-lists", {}},
      {"anchors", {}},
      {"flow", {}},
      {"commas", {}},
      {"json", {}},
      {"json-tabs", {}},
      {"crlf", {}},
      {"byte-order-mark", {}},
      {"scalars", {}},
      {"surprises", {}},
  };
  return cases;
}

const std::vector<Case>& wrong_ones() {
  static const std::vector<Case> cases = {
      {"wrong-annotations", {}}, {"wrong-shape", {}}, {"wrong-names", {}},  {"wrong-tabs", {}},
      {"wrong-alias", {}},       {"wrong-null", {}},  {"wrong-status", {}},
  };
  return cases;
}

Printed weirctl(const std::vector<std::string>& flags, const std::string& file, const std::string& text) {
  World world;
  world.read_stdin = [&]() -> Result<std::string> { return text; };
  std::vector<std::string> arguments = {"inject", "-f", file};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  return run(arguments, world);
}

std::string transcript(const Case& given, const Printed& printed) {
  std::string text = fmt::format("$ weirctl inject -f {}.yaml", given.name);
  for (const std::string& flag : given.flags) text += " " + flag;
  text += fmt::format("\nexit {}\n{}{}", printed.exit_code, printed.err, printed.out);
  // So that a release does not change every text.
  for (std::size_t at = 0; (at = text.find(":" WEIR_VERSION, at)) != std::string::npos;)
    text.replace(at, std::string_view(":" WEIR_VERSION).size(), ":VERSION");
  return text;
}

}  // namespace

TEST_CASE("what is injected is these bytes, what is said about it these words") {
  std::filesystem::current_path(kData);
  for (const auto* cases : {&good(), &wrong_ones()}) {
    for (const Case& given : *cases) {
      CAPTURE(given.name);
      const Printed printed = weirctl(given.flags, given.name + ".yaml", "");
      test::check_golden(kData / (given.name + ".txt"), transcript(given, printed));
      CHECK(printed.exit_code == (cases == &good() ? 0 : 1));
      CHECK(printed.out.empty() == (cases != &good()));
    }
  }
}

TEST_CASE("a second run gives the same bytes, and uninject the original ones") {
  for (const Case& given : good()) {
    CAPTURE(given.name);
    const std::string original = test::read_text(kData / (given.name + ".yaml"));
    const Printed once = weirctl(given.flags, "-", original);
    const Printed twice = weirctl(given.flags, "-", once.out);
    CHECK(twice.exit_code == 0);
    CHECK(twice.out == once.out);
    CHECK(weirctl({"--uninject"}, "-", once.out).out == original);
    CHECK(weirctl({"--uninject"}, "-", original).out == original);
  }
}

TEST_CASE("with other flags what was there is replaced") {
  const std::string original = test::read_text(kData / "native.yaml");
  const std::string before = weirctl({"--native-sidecars"}, "-", original).out;
  const std::string after = weirctl({"--cni", "--agent", "127.0.0.1:15010"}, "-", before).out;
  CHECK(after != before);
  CHECK(after == weirctl({"--cni", "--agent", "127.0.0.1:15010"}, "-", original).out);
  CHECK(weirctl({"--uninject"}, "-", after).out == original);
}

TEST_CASE("what a person added after an injection stays when it is taken out") {
  const std::string original = test::read_text(kData / "pod.yaml");
  std::string edited = weirctl({}, "-", original).out;
  const std::string volumes = "  volumes:\n", mine = "  - name: mine\n    emptyDir: {}\n";
  edited.insert(edited.find(volumes) + volumes.size(), mine);
  CHECK(weirctl({"--uninject"}, "-", edited).out == original + volumes + mine);
}

TEST_CASE("a problem of a text that is injected already names the line where it stands") {
  std::string text = weirctl({}, "-", test::read_text(kData / "deployment.yaml")).out;
  text += "---\nkind: Pod\nmetadata: {name: late}\nspec: 1\n";
  const auto lines = std::count(text.begin(), text.end(), '\n');
  const Printed printed = weirctl({}, "-", text);
  CHECK(printed.exit_code == 1);
  CHECK(printed.err.find(fmt::format("<stdin>:{}: ", lines)) != std::string::npos);
}

TEST_CASE("Podman's short status holds no merged container, and no native sidecar is run by Podman") {
  const std::vector<std::string> podman = {"--platform", "podman"};
  CHECK(weirctl(podman, "-", test::read_text(kData / "own-proxy.yaml")).err.find("63 bytes") != std::string::npos);
  CHECK(weirctl(podman, "-", test::read_text(kData / "job.yaml")).err.find("nativeSidecar: \"false\"") != std::string::npos);
  const std::string held =
      "kind: Pod\nmetadata:\n  annotations:\n    proxy.istio.io/config: \"holdApplicationUntilProxyStarts: true\"\n"
      "spec:\n  containers:\n  - name: web\n";
  const Printed printed = weirctl(podman, "-", held);
  CHECK(printed.out.find("\"weir: init volumes podman kubectl\"") != std::string::npos);
  CHECK(weirctl({"--uninject"}, "-", printed.out).out == held);
}

TEST_CASE("in a container istio-proxy that is there, an empty list is filled, and a key without a value refused") {
  const std::string head = "kind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n  - name: istio-proxy\n";
  const Printed filled = weirctl({}, "-", head + "    env: []\n");
  CHECK(filled.out.find("env: [{\"name\": \"POD_NAME\"") != std::string::npos);
  CHECK(weirctl({"--uninject"}, "-", filled.out).out == head + "    env: []\n");
  CHECK(weirctl({}, "-", head + "    env:\n").err ==
        "weirctl: <stdin>:6: Pod a: spec.containers[0].env has no value; leave it out, or give it one\n");
}

TEST_CASE("TPROXY that weir-cni would not see is refused") {
  const Printed printed =
      weirctl({"--cni"}, "-",
              "kind: Pod\nmetadata:\n  annotations:\n    proxy.istio.io/config: \"interceptionMode: TPROXY\"\n"
              "spec:\n  containers:\n  - name: web\n");
  CHECK(printed.exit_code == 1);
  CHECK(printed.err.find("interceptionMode: TPROXY is not seen by weir-cni here") != std::string::npos);
}

TEST_CASE("wrong flags are refused together, before a file is read") {
  const Printed printed = weirctl({"--image", "two words", "--init-image", "", "--agent", "agent:15010", "--state-dir", "here",
                                   "--start-gate", "wait", "--backend", "bpf", "--platform", "nomad", "--revision", "a b"},
                                  "nowhere.yaml", "");
  CHECK(printed.exit_code == 1);
  CHECK(printed.out.empty());
  const Printed rest = weirctl({"--image", "two words", "--init-image", "", "--agent", "agent:15010", "--state-dir", "here",
                                "--start-gate", "wait", "--backend", "bpf", "--revision", "a b"},
                               "nowhere.yaml", "");
  test::check_golden(kData / "flags.txt", printed.err + rest.err + weirctl({}, "nowhere.yaml", "").err + run({"inject"}, {}).err +
                                              run({"inject", "-f", "a", "-f", "b"}, {}).err);
}

TEST_CASE("an amount is what Kubernetes takes for one") {
  for (const char* text : {"1", "0.5", "100m", "1.5Gi", "128Mi", "2k", "3T"}) CHECK_MESSAGE(parse_quantity(text), text);
  for (const char* text : {"", "m", "-1", "0", "1 Gi", "1gi", "1e3x", "Mi", "1MiB", "nan", "inf", "0x10"})
    CHECK_MESSAGE(!parse_quantity(text), text);
}

TEST_CASE("each text of the table is there, and each that is there is in the table") {
  std::set<std::string> names;
  for (const auto* cases : {&good(), &wrong_ones()})
    for (const Case& given : *cases) names.insert(given.name + ".yaml");
  for (const auto& entry : std::filesystem::directory_iterator(kData))
    if (entry.path().extension() == ".yaml") CHECK_MESSAGE(names.erase(entry.path().filename()) == 1, entry.path().filename());
  CHECK(names.empty());
}
