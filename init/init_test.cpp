// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "init/command_line.h"
#include "init/enrolment.h"
#include "init/program.h"
#include "iptables-rules/fake_netlink.h"
#include "iptables-rules/nft_redirector.h"
#include "iptables-rules/xtables_redirector.h"

namespace weir::init {
namespace {

std::string content(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

/// Compares with the file, or writes it if WEIR_UPDATE_GOLDEN is set.
void check_golden(const std::string& file, const std::string& text) {
  if (std::getenv("WEIR_UPDATE_GOLDEN") != nullptr) std::ofstream(file, std::ios::binary) << text;
  CHECK_MESSAGE(content(file) == text, file, " differs; look at it, then scripts/update-golden");
}

struct Case {
  std::string name;
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment = {};
  int kernel_refuses_with = 0;
  std::vector<std::string> standing = {};
};

Result<kernel::Output> no_programs(const std::vector<std::string>& arguments, const std::string&, const xtables::Environment&) {
  return pass(Error(ErrorCode::environment, fmt::format("no program {}: is it installed?", arguments[0]), ENOENT));
}

xtables::XtablesOptions options_for(const BackendOptions& options) {
  xtables::XtablesOptions made;
  made.force = options.force;
  made.run = no_programs;
  return made;
}

World world(const Case& given) {
  World world;
  world.environment = given.environment;
  world.sandbox_addresses = []() -> Result<std::vector<IpAddr>> {
    return std::vector{*IpAddr::parse("10.1.0.2"), *IpAddr::parse("fd01::2")};
  };
  world.validate = [](const Validation& validation) -> Result<> {
    if (validation.probe_port == 15002 && validation.needs_v6) return {};
    return fail(ErrorCode::check_failed, "a connection was not redirected");
  };
  world.write_file = [](const std::string& file, const std::string&) -> Result<> {
    if (file == "/tmp/rules") return {};
    return fail(ErrorCode::environment, "writing {}: No such file or directory", file);
  };
  auto kernel = std::make_shared<nft::FakeKernel>();
  kernel->refuses_all = given.kernel_refuses_with != 0;
  kernel->fail_with = given.kernel_refuses_with;
  world.machine.make = [kernel](std::string_view name, const BackendOptions& options) -> std::unique_ptr<capture::Redirector> {
    auto netlink = std::make_unique<nft::FakeNetlink>(kernel);
    if (name == "nft") return nft::make_nft_redirector(std::move(netlink), {.force = options.force});
    const auto variant = name == "iptables-nft" ? xtables::Variant::nft : xtables::Variant::legacy;
    return xtables::make_xtables_redirector(variant, std::move(netlink), options_for(options));
  };
  world.machine.standing = [standing = given.standing] { return standing; };
  return world;
}

std::string transcript(const Case& given, const Printed& printed) {
  std::string text = "$";
  for (const auto& [name, value] : given.environment) text += fmt::format(" {}='{}'", name, value);
  text += " weir-init";
  for (const std::string& argument : given.arguments)
    text +=
        argument.find_first_of(" *'") != std::string::npos || argument.empty() ? fmt::format(" '{}'", argument) : " " + argument;
  return fmt::format("{}\nexit {}\n{}{}", text, printed.exit_code, printed.out, printed.err);
}

const std::vector<std::string> kAll = {"-b", "*", "-i", "*"};

std::vector<std::string> with_all(std::vector<std::string> more) {
  more.insert(more.end(), kAll.begin(), kAll.end());
  return more;
}

TEST_CASE("what weir-init says, word by word") {
  const std::vector<Case> cases = {
      {"unknown-flag", {"--istio-inbound-port", "80"}},
      {"unknown-verb", {"aply"}},
      {"value-missing", {"-b", "*", "-p"}},
      {"port-70000", {"-p", "70000"}},
      {"cidr-with-letters", {"-i", "10.0.0.0/ab"}},
      {"contradicting-ports", {"-p", "15006"}},
      {"contradicting-interfaces", {"-c", "eth0", "-k", "eth0"}},
      {"contradicting-verbs", {"check", "--cleanup-only"}},
      {"several-mistakes", {"-p", "0", "-z", "x", "-x", "300.1.2.3/8,*", "--start-gate=hold", "--nonsense"}},
      {"bad-environment", {"-b", "*"}, {{"INBOUND_CAPTURE_PORT", "abc"}, {"DRY_RUN", "maybe"}}},
      {"not-supported", {"--cni-mode=true", "--network-namespace=/run/netns/x"}},
      {"without-effect", {"explain", "-b", "80", "-d", "90", "--from", "outside", "--to", "10.1.0.2:80"}},
      {"no-cap-net-admin", kAll, {}, EPERM},
      {"no-nf-tables", kAll, {}, EOPNOTSUPP},
      {"no-cap-net-admin-remove", {"remove"}, {}, EPERM},
      {"validation", {"--skip-rule-apply", "--run-validation"}},
      {"validation-json", {"--skip-rule-apply", "--run-validation", "-o", "json"}},
      {"validation-fails", {"--skip-rule-apply", "--run-validation", "--iptables-probe-port=15003"}},
      {"dry-run-file", {"-n"}, {{"DRY_RUN_FILE_PATH", "/none/rules"}}},
      {"redirect-dns", with_all({"--redirect-dns", "--capture-all-dns", "-n"})},
      {"tproxy", with_all({"-m", "TPROXY", "-d", "15020", "-n"})},
      {"mode-none", {"-m", "NONE"}},
      {"dry-run", with_all({"--dry-run", "-d", "15090,15021,15020", "--start-gate=hold:30s"})},
      {"dry-run-lists",
       {"-n", "-b", "80,8000:8010", "-i", "10.0.0.0/8,fd00::/8", "-x", "10.1.0.0/16", "-q", "443", "-o", "22", "-u", "3,4", "-c",
        "eth1", "-k", "vnet0"}},
      {"dry-run-json", with_all({"--dry-run", "-o", "json"})},
      {"explain-app", with_all({"explain", "--from", "app", "--uid", "1000", "--to", "10.0.0.1:80"})},
      {"explain-proxy-self", with_all({"explain", "--from", "proxy", "--to", "[fd01::2]:8080"})},
      {"explain-guard", with_all({"explain", "--from", "outside", "--to", "10.1.0.2:15001"})},
      {"explain-gate", with_all({"explain", "--to", "10.0.0.1:80", "--start-gate=hold:30s", "--gate-closed"})},
      {"explain-json", with_all({"explain", "--from", "root", "--to", "127.0.0.1:80", "-o", "json"})},
      {"explain-wrong", {"explain", "--from", "nobody", "--uid", "x", "--to", "example.com:80"}},
      {"explain-flag-elsewhere", {"apply", "--uid", "1000"}},
      {"backend-unknown", with_all({"--backend=iptables", "--force-iptables-binary=nf_tables"})},
      {"backend-contradicts", with_all({"--backend=nft"}), {{"FORCE_IPTABLES_BINARY", "legacy"}}},
      {"backend-auto-none", with_all({"--backend=auto"}), {}, EOPNOTSUPP},
      {"backend-no-iptables", with_all({"--force-iptables-binary", "legacy"})},
      {"backend-other-stands", kAll, {}, 0, {"iptables-legacy"}},
      {"backend-start-gate", with_all({"--dry-run", "--start-gate=hold:30s"}), {{"WEIR_BACKEND", "iptables-nft"}}},
      {"backend-cannot-express", with_all({"--dry-run", "--start-gate=hold:600h", "--backend=iptables-legacy"})},
      {"help", {"--help"}},
  };
  for (const Case& given : cases) {
    CAPTURE(given.name);
    check_golden(std::string(WEIR_TESTDATA) + "/" + given.name + ".txt", transcript(given, run(given.arguments, world(given))));
  }
}

TEST_CASE("the manual page and the completion are those of the option table") {
  check_golden(WEIR_SOURCE_ROOT "/docs/man/weir-init.1", man_page());
  check_golden(WEIR_SOURCE_ROOT "/docs/completions/weir-init.bash", bash_completion());
}

TEST_CASE("Istio's own command line is understood as it stands in a pod") {
  const CommandLine line = parse_command_line({"istio-iptables",
                                               "-p",
                                               "15001",
                                               "-z",
                                               "15006",
                                               "-u",
                                               "1337",
                                               "-m",
                                               "REDIRECT",
                                               "-i",
                                               "*",
                                               "-x",
                                               "",
                                               "-b",
                                               "*",
                                               "-d",
                                               "15090,15021,15020",
                                               "--log_output_level=default:info",
                                               "--log_as_json",
                                               "--log_target",
                                               "stderr"},
                                              {}, {});
  CHECK(to_text(line.problems) == "");
  CHECK(line.verb == Verb::apply);
  CHECK(line.capture.policy.outbound_cidrs.kind == capture::Selection::all);
  CHECK(line.capture.policy.inbound_exclude_ports.to_text() == "15020-15021,15090");
}

TEST_CASE("-o json asks for JSON, any other -o excludes ports") {
  CHECK(parse_command_line({"check", "-o", "json"}, {}, {}).wants_json);
  const CommandLine line = parse_command_line({"-o", "443"}, {}, {});
  CHECK(!line.wants_json);
  CHECK(line.capture.policy.outbound_exclude_ports.contains(443));
}

TEST_CASE("the last of a repeated flag wins, and flags may stand after the verb") {
  const CommandLine line = parse_command_line({"-p", "1", "check", "-p", "2"}, {}, {});
  CHECK(line.verb == Verb::check);
  CHECK(line.capture.policy.outbound_port == 2);
}

TEST_CASE("--cleanup-only is the verb remove") { CHECK(parse_command_line({"--cleanup-only"}, {}, {}).verb == Verb::remove); }

TEST_CASE("Istio's flags choose the backend as they do for Istio") {
  using Environment = std::map<std::string, std::string>;
  for (const auto& [arguments, environment, backend] :
       {std::tuple{std::vector<std::string>{}, Environment{}, ""},
        std::tuple{std::vector<std::string>{"--force-iptables-binary=legacy"}, Environment{}, "iptables-legacy"},
        std::tuple{std::vector<std::string>{}, Environment{{"FORCE_IPTABLES_BINARY", "nft"}}, "iptables-nft"},
        std::tuple{std::vector<std::string>{"--native-nftables"}, Environment{{"FORCE_IPTABLES_BINARY", "nft"}}, "nft"},
        std::tuple{std::vector<std::string>{"--backend=auto"}, Environment{{"NATIVE_NFTABLES", "false"}}, "auto"}}) {
    const CommandLine line = parse_command_line(arguments, environment, {});
    CHECK(to_text(line.problems) == "");
    CHECK(line.capture.requests.backend == backend);
  }
}

/// A machine whose backends record what is asked of them; those named in `broken` refuse.
struct FakeMachine {
  std::vector<std::string> asked, broken, standing;
  Machine machine() {
    return {.make = [this](std::string_view name, const BackendOptions&) -> std::unique_ptr<capture::Redirector> {
              asked.emplace_back(name);
              auto backend = std::make_unique<capture::NullRedirector>();
              if (std::find(broken.begin(), broken.end(), name) != broken.end()) backend->fail_at = "probe";
              return backend;
            },
            .standing = [this] { return standing; }};
  }
};

TEST_CASE("auto takes the first backend that works, says why not those before it, and keeps to the one that stands") {
  FakeMachine fake{.asked = {}, .broken = {"nft"}, .standing = {}};
  auto enrolled = enrol_with(fake.machine(), "auto", {}, capture::plan({}));
  REQUIRE(enrolled);
  CHECK(enrolled->backend == "iptables-nft");
  CHECK(enrolled->applied.notes ==
        std::vector<std::string>{"the backend nft was passed over: the null backend was told to fail at probe"});
  fake.broken.clear();
  fake.standing = {"iptables-legacy"};
  CHECK(enrol_with(fake.machine(), "auto", {}, capture::plan({}))->backend == "iptables-legacy");
  CHECK(!enrol_with(fake.machine(), "", {}, capture::plan({})));
}

TEST_CASE("remove without a backend's name takes away what each backend left, with one only that") {
  FakeMachine fake{.asked = {}, .broken = {}, .standing = {"nft", "iptables-nft"}};
  CHECK(remove_with(fake.machine(), ""));
  CHECK(fake.asked == fake.standing);
  fake.asked.clear();
  CHECK(remove_with(fake.machine(), "iptables-legacy"));
  CHECK(fake.asked == std::vector<std::string>{"iptables-legacy"});
}

TEST_CASE("remove says what each backend found torn") {
  FakeMachine fake{.asked = {}, .broken = {}, .standing = {"iptables-nft", "iptables-legacy"}};
  Machine machine = fake.machine();
  machine.make = [](std::string_view name, const BackendOptions&) {
    auto backend = std::make_unique<capture::NullRedirector>();
    backend->torn = {std::string(name) + " in part"};
    return backend;
  };
  std::vector<std::string> notes;
  CHECK(remove_with(machine, "", {}, &notes));
  CHECK(notes == std::vector<std::string>{"iptables-nft in part", "iptables-legacy in part"});
}

TEST_CASE("enrolment goes probe, apply, check, and stops where one fails") {
  const capture::CapturePlan plan = capture::plan({});
  for (const auto& row : {std::pair<std::string, std::vector<std::string>>{"", {"probe", "apply", "check"}},
                          {"probe", {"probe"}},
                          {"apply", {"probe", "apply"}},
                          {"check", {"probe", "apply", "check", "undo"}}}) {
    const std::string& fails = row.first;
    const std::vector<std::string>& calls = row.second;
    CAPTURE(fails);
    capture::NullRedirector backend;
    backend.fail_at = fails;
    CHECK(enrol(backend, plan).has_value() == fails.empty());
    CHECK(backend.calls == calls);
    CHECK(backend.applied.has_value() == fails.empty());
  }
}

TEST_CASE("a backend whose apply says what is missing is not probed before") {
  capture::NullRedirector backend;
  backend.is_own_probe = true;
  CHECK(enrol(backend, capture::plan({})).has_value());
  CHECK(backend.calls == std::vector<std::string>{"apply", "check"});
}

}  // namespace
}  // namespace weir::init
