// SPDX-License-Identifier: Apache-2.0
// What weir-init says about a sandbox is what the kernel does there: explain, its trace, check, repair and self-test, on the
// backend that WEIR_BACKEND names. conformance_lab.h draws the network.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <unistd.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "init/probe_packets.h"
#include "init/program.h"
#include "init/self_test.h"
#include "iptables-rules/ruleset.h"
#include "kernel/child.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {

namespace {

namespace json = boost::json;
namespace matrix = capture::matrix;

std::string backend_name() { return std::string(Lab::backend()->name()); }
std::string variant() { return kind() == Kind::iptables_legacy ? "legacy" : "nft"; }

/// weir-init in this process, in the sandbox. The environment variables of a row's configuration are the world's.
init::Printed weir_init(std::vector<std::string> arguments, std::map<std::string, std::string> environment = {}) {
  init::World world = init::world_here();
  world.environment = std::move(environment);
  world.accounts = matrix::accounts();
  return init::run(arguments, world);
}

json::value parsed(const init::Printed& printed) {
  auto value = parse_json(printed.out);
  REQUIRE_MESSAGE(value, printed.out, printed.err);
  return *value;
}

/// A row's configuration as arguments and variables.
struct Config {
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;
};
Config config_of(const std::string& text) {
  std::map<std::string, std::string> flags;
  Config config;
  matrix::parse_config(text, &flags, &config.environment);
  for (const auto& [name, value] : flags) config.arguments.push_back(fmt::format("--{}={}", name, value));
  return config;
}

void apply_with_flags(const Config& config) {
  std::vector<std::string> arguments = {"apply", "--backend=" + backend_name()};
  arguments.insert(arguments.end(), config.arguments.begin(), config.arguments.end());
  const init::Printed done = weir_init(arguments, config.environment);
  REQUIRE_MESSAGE(done.exit_code == 0, done.err);
}

std::vector<std::string> question_of(const matrix::Row& row) {
  const capture::Packet packet = matrix::packet(row);
  std::vector<std::string> question = {
      "explain",
      "-o",
      "json",
      "--backend=" + backend_name(),
      "--to",
      fmt::format("{}/{}", SocketAddr{matrix::address(row.destination, row.family), row.port}.to_text(),
                  packet.is_tcp ? "tcp" : "udp")};
  if (packet.from_outside) {
    question.insert(question.end(), {"--from", packet.source.to_text(), "--interface", packet.interface});
  } else {
    question.insert(question.end(),
                    {"--as", fmt::format("uid={},gid={}", row.uid, row.gid), "--source", packet.source.to_text()});
  }
  if (packet.mark != 0) question.push_back(fmt::format("--mark={}", packet.mark));
  if (packet.is_invalid) question.emplace_back("--stray");
  return question;
}

std::vector<std::string> operator+(std::vector<std::string> list, const std::vector<std::string>& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

TEST_SUITE_BEGIN("truth");

TEST_CASE("explain says of every row of the table what the kernel does, by the flags and by what stands") {
  Lab::instance().reset();
  std::string last;
  Config config;
  int rows = 0, traced = 0;
  bool is_expressible = true;
  for (const auto& row : matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_matrix.tsv")) {
    const bool is_new = row.config != last;
    if (is_new) {
      last = row.config;
      config = config_of(row.config);
      is_expressible = Lab::backend()->why_not(plan_of(row.config)).empty();
      if (is_expressible) apply_with_flags(config);
    }
    const std::string context = row.name() + " with " + row.config;
    CAPTURE(context);
    const std::string wanted(capture::name(matrix::outcome(row)));
    const std::vector<std::string> question = question_of(row);
    const json::value by_flags = parsed(weir_init(question + config.arguments, config.environment));
    CHECK(by_flags.at("verdict").as_string().starts_with(wanted));
    if (is_expressible) CHECK((by_flags.at("rules").as_array().size() > 0) == (by_flags.at("chain").as_string().size() > 0));
    ++rows;
    // iptables' programs cost more than the rules: there one row of each configuration, and those of the default one.
    const bool is_whole = kind() == Kind::nft || is_new || (row.config == kDefaultConfig && row.family == Family::v4);
    const bool can_trace = is_expressible && row.config.find("TPROXY") == std::string::npos &&
                           !(row.protocol == "fin" && row.from == "pod") && row.from != "vm" && row.destination != "ANY" &&
                           row.config.find("NONE") == std::string::npos &&
                           // Refused by name: probes bear no mark, and from outside an address of nobody.
                           matrix::packet(row).mark == 0 && row.config.find("EXCLUDE_INBOUND") == std::string::npos;
    if (!is_whole || !can_trace) continue;
    const init::Printed printed = weir_init(question + std::vector<std::string>{"--trace"});
    const json::value by_standing = parsed(printed);
    CHECK(by_standing.at("flags_are").as_string() == "kept by the rules");
    CHECK(by_standing.at("drift").as_array().empty());
    // What comes from outside comes by the probes' link, so that rules about an interface do not concern it.
    if (row.from == "pod") CHECK(by_standing.at("verdict").as_string() == by_flags.at("verdict").as_string());
    CHECK_MESSAGE(by_standing.at("trace").at("agrees").as_bool(), printed.out);
    ++traced;
  }
  CHECK(rows > 150);
  CHECK(traced > (kind() == Kind::nft ? 150 : 40));
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> found;
  for (std::string_view line : split(text, '\n'))
    if (!line.empty()) found.emplace_back(line);
  return found;
}

/// Commands that each take one rule of ours away.
std::vector<std::string> losses() {
  if (kind() == Kind::nft)
    return lines(
        shell("nft -a list table inet weir | awk '/chain /{chain=$2} / comment .*handle/{print \"nft delete rule inet weir \" "
              "chain \" handle \" $NF}'"));
  std::vector<std::string> found;
  for (const char* family : {"ip", "ip6"}) {
    const std::string program = fmt::format("{}tables-{}", family, variant());
    for (std::string& line :
         lines(shell(fmt::format("{0}-save | awk '/^\\*/{{table=substr($1,2)}} /^-A WEIR_/{{n[table $2]++; print \"{0} -w -t \" "
                                 "table \" -D \" $2 \" \" n[table "
                                 "$2]}} /^-A [A-Z]* .*-j WEIR_/{{print \"{0} -w -t \" table \" -D \" $2 \" 1\"}}'",
                                 program))))
      found.push_back(std::move(line));
  }
  return found;
}

/// True if the loss of the nft rule of this number makes another answer of judge for a packet of the decision table.
bool must_show(const capture::CapturePlan& plan, std::size_t number) {
  const nft::Rule rule = nft::compile(plan).at(number);
  capture::CapturePlan without = plan;
  without.steps.erase(without.steps.begin() + static_cast<std::ptrdiff_t>(rule.step));
  for (const auto& row : matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_matrix.tsv")) {
    if (row.config != kDefaultConfig || rule.family.value_or(row.family) != row.family) continue;
    const capture::Packet packet = matrix::packet(row);
    if (capture::judge(plan, packet).outcome != capture::judge(without, packet).outcome) return true;
  }
  return false;
}

init::Printed self_test() { return weir_init({"self-test"}); }

TEST_CASE("where nothing of weir stands, explain says direct, and self-test that there is nothing to test") {
  Lab::instance().reset();
  const json::value told = parsed(weir_init({"explain", "-o", "json", "--to", "127.0.0.1:15001"}));
  CHECK(told.at("verdict").as_string() == "direct");
  CHECK(told.at("flags_are").as_string() == "none given, and no rules of weir are here");
  const init::Printed tested = weir_init({"self-test"});
  CHECK(tested.exit_code == 126);
  CHECK(tested.err.find("no rules of weir are in this network namespace") != std::string::npos);
}

TEST_CASE("self-test passes on a sound enrolment, disturbs nothing and leaves nothing") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply_with_flags(config_of(kDefaultConfig));
  const std::string before = state_of_namespace();
  for (bool has_proxy : {true, false}) {
    CAPTURE(has_proxy);
    if (!has_proxy) lab.stop_proxy();
    const init::Printed printed = weir_init({"self-test", "-o", "json"});
    CHECK_MESSAGE(printed.exit_code == 0, printed.out, printed.err);
    CHECK(parsed(printed).at("rows").as_array().size() > 30);
    CHECK(state_of_namespace() == before);
    CHECK(shell("ss -Htn sport gt 61000 or dport gt 61000").empty());
  }
  lab.reset();
}

TEST_CASE("whichever rule is lost: check names it, self-test tells where it shows, repair mends") {
  Lab::instance().reset();
  const Config config = config_of(kDefaultConfig);
  apply_with_flags(config);
  const std::vector<std::string> all = losses();
  CHECK(all.size() > 20);
  const capture::CapturePlan plan = plan_of(kDefaultConfig);
  if (kind() == Kind::nft) REQUIRE(all.size() == nft::compile(plan).size() + 1);  // and the one that keeps the flags
  std::size_t shown = 0, number = 0;
  for (const std::string& loss : all) {
    CAPTURE(loss);
    // Handles are new after each repair.
    const std::vector<std::string> now = losses();
    REQUIRE(now.size() == all.size());
    shell(now[number++]);
    // Without the rule that keeps the flags they must be given.
    const bool keeps_flags = loss.find("kept_flags") != std::string::npos || loss.find("KEPT_FLAGS") != std::string::npos;
    const std::vector<std::string> check = {"check", "-o", "json", "--backend=" + backend_name()};
    if (keeps_flags) {
      const init::Printed bare = weir_init(check);
      CHECK((bare.exit_code == 126 || bare.err.find("flags") != std::string::npos));
    }
    const init::Printed checked = keeps_flags ? weir_init(check + config.arguments, config.environment) : weir_init(check);
    CHECK(checked.exit_code == 126);
    const json::value drift = parsed(checked);
    REQUIRE(drift.at("differences").as_array().size() == 1);
    const std::string sentence(drift.at("differences").as_array()[0].as_string());
    CAPTURE(sentence);
    CHECK(sentence.find("is missing") != std::string::npos);
    // iptables' programs cost too much to be asked for every rule each time: WEIR_EVERY_LOSS=1 does.
    const bool is_tested = kind() == Kind::nft || number % 8 == 0 || std::getenv("WEIR_EVERY_LOSS") != nullptr;
    if (!keeps_flags && is_tested) {
      const init::Printed tested = self_test();
      shown += tested.exit_code == 126 ? 1 : 0;
      CHECK((tested.exit_code == 0 || tested.out.find("FAILED") != std::string::npos));
      if (kind() == Kind::nft && must_show(plan, number - 1)) CHECK_MESSAGE(tested.exit_code == 126, tested.out);
    }
    const init::Printed repaired = weir_init(
        std::vector<std::string>{"check", "--repair", "--backend=" + backend_name()} + config.arguments, config.environment);
    CHECK(repaired.exit_code == 0);
    CHECK(repaired.out.find("mended: ") != std::string::npos);
  }
  CHECK(shown > (kind() == Kind::nft ? 12 : 2));
  CHECK(self_test().exit_code == 0);
}

TEST_CASE("a rule of others in front of ours is named and stays, and does what check says it could") {
  Lab& lab = Lab::instance();
  lab.reset();
  const char* kBehind =
      "nft add table ip before; nft add chain ip before c '{ type nat hook output priority -100; }'; "
      "nft add rule ip before c tcp dport 80 redirect to :8080";
  const char* kInFront =
      "nft add table ip theirs; nft add chain ip theirs c '{ type nat hook output priority -100; }'; "
      "nft add rule ip theirs c tcp dport { 80, 15002 } redirect to :8080";
  shell(kBehind);
  apply_with_flags(config_of(kDefaultConfig));
  if (kind() == Kind::nft) {
    CHECK(weir_init({"check"}).exit_code == 0);
    CHECK(app_to_remote(Family::v4).starts_with("OUT15001"));
    CHECK(self_test().exit_code == 0);
  }
  shell(kInFront);
  const std::string before = shell("nft list table ip theirs");
  const init::Printed checked = weir_init({"check", "--repair"});
  CHECK(checked.exit_code == 126);
  CHECK_MESSAGE(checked.out.find("table ip theirs, chain c (nat output -100 accept): rule 1 of chain c") != std::string::npos,
                checked.out);
  CHECK(app_to_remote(Family::v4).starts_with("APP:8080"));
  CHECK(self_test().exit_code == 126);
  CHECK(shell("nft list table ip theirs") == before);
  shell("nft delete table ip theirs; nft delete table ip before");
}

TEST_CASE("repair keeps connections, and no packet finds the rules half there") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply_with_flags(config_of(kDefaultConfig));
  Actor& app = lab.pod(1000, 1000);
  CHECK(app.ask("open 10.1.0.1 80").starts_with("OUT15001"));
  CHECK(lab.remote().ask("open fd01::2 8080").starts_with("IN15006"));
  for (int round = 0; round < 3; ++round) {
    shell(losses().at(5));
    REQUIRE(weir_init({"check", "--repair"}).exit_code == 0);
    CHECK(app.ask("ping on") == "on");
    CHECK(lab.remote().ask("ping on") == "on");
    CHECK(app_to_remote(Family::v6) == concrete(kOut, Family::v6));
  }
  app.ask("close");
  lab.remote().ask("close");
}

TEST_CASE("without the privileges for them packets are listed as not run, and the others are sent") {
  Lab::instance().reset();
  apply_with_flags(config_of(kDefaultConfig));
  char self[4096];
  const ssize_t size = ::readlink("/proc/self/exe", self, sizeof self);
  REQUIRE(size > 0);
  auto output =
      kernel::run({"setpriv", "--inh-caps=-all",
                   kind() == Kind::iptables_legacy ? "--bounding-set=-all,+net_admin,+net_raw" : "--bounding-set=-all,+net_admin",
                   std::string(self, static_cast<std::size_t>(size)), "--weir-init", "self-test"});
  REQUIRE(output);
  CHECK_MESSAGE(output->exit_code == 0, output->out, output->err);
  // The programs of iptables-legacy need CAP_NET_RAW themselves.
  if (kind() != Kind::iptables_legacy)
    CHECK(output->out.find("not run: packets from outside by IPv4: opening a packet socket (CAP_NET_RAW)") != std::string::npos);
  CHECK(output->out.find("not run: tcp connection, from uid 1337") != std::string::npos);
}

TEST_SUITE_END();

}  // namespace
}  // namespace weir::conformance
