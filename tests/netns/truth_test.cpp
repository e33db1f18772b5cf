// SPDX-License-Identifier: Apache-2.0
// What weir-init says about a sandbox is what the kernel does there: explain, its trace, check, repair and self-test, on the
// backend that WEIR_BACKEND names. conformance_lab.h draws the network.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unistd.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "init/program.h"
#include "init/self_test.h"
#include "kernel/child.h"
#include "kernel/probe_socket.h"
#include "tests/netns/conformance_lab.h"
#include "tests/netns/conformance_program.h"
#include "tests/netns/truth_losses.h"

namespace weir::conformance {

namespace {

namespace json = boost::json;
namespace matrix = capture::matrix;

json::value parsed(const init::Printed& printed) {
  auto value = parse_json(printed.out);
  REQUIRE_MESSAGE(value, printed.out, printed.err);
  return *value;
}

std::vector<std::string> operator+(std::vector<std::string> list, const std::vector<std::string>& more) {
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

TEST_SUITE_BEGIN("truth");

/// Refused by name: probes bear no mark, and what comes from outside has an address of nobody.
bool can_be_traced(const matrix::Row& row) {
  return !(row.protocol == "fin" && row.from == "pod") && row.from != "vm" && row.destination != "ANY" &&
         matrix::packet(row).mark == 0 && !matrix::borrowed(row.source);
}

TEST_CASE("a packet that is sent for a row fares as explain says, on the way that explain names") {
  Lab::instance().reset();
  std::string last;
  std::optional<Standing> standing;
  std::unique_ptr<init::Prober> prober;
  int traced = 0, of_config = 0, configs = 0;
  for (const auto& row : matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_matrix.tsv")) {
    if (row.config != last) {
      last = row.config;
      of_config = 0;
      ++configs;
      prober.reset();
      standing.reset();
      // iptables' programs cost more than the rules: for every run, one row of each fourth configuration is enough.
      if (kind() != Kind::nft && !is_whole() && configs % 4 != 1) continue;
      if (!Lab::backend()->why_not(plan_of(row.config)).empty()) continue;
      apply_with_flags(config_of(row.config));
      standing.emplace();
      CHECK(standing->drift().empty());
      if (standing->wanted().nothing_stands) continue;
      auto begun = init::begin_probing(standing->wanted());
      REQUIRE_MESSAGE(begun, begun.error().to_text());
      prober = std::move(*begun);
    }
    if (prober == nullptr || !can_be_traced(row) || (kind() != Kind::nft && !is_whole() && of_config > 0)) continue;
    const std::string context = row.name() + " with " + row.config;
    CAPTURE(context);
    init::Explanation explanation = standing->explain(row);
    if (explanation.packet.from_outside) explanation.packet.interface = kernel::ProbeLink::kName;
    explanation = init::explain(standing->wanted(), explanation.packet, standing->backend(), matrix::accounts());
    auto trace = init::trace(explanation, *prober);
    if (!trace && trace.error().to_text().find("which the rules treat otherwise") != std::string::npos) continue;
    REQUIRE_MESSAGE(trace, trace.error().to_text());
    CHECK_MESSAGE(trace->agrees, trace->seen.text, " by ", join(trace->seen.rules, " | "));
    ++traced;
    ++of_config;
  }
  CHECK(traced > (kind() == Kind::nft || is_whole() ? 250 : 10));
}

TEST_CASE("explain as the program prints it: the answer, the rule that stands, the trace, what would change it") {
  Lab::instance().reset();
  const Config config = config_of(kDefaultConfig);
  apply_with_flags(config);
  const std::vector<std::string> question = {"explain", "-o", "json", "--as", "uid=1000", "--to", "10.1.0.1:80/tcp"};
  const json::value by_flags = parsed(weir_init(question + config.arguments, config.environment));
  const init::Printed printed = weir_init(question + std::vector<std::string>{"--trace"});
  const json::value by_standing = parsed(printed);
  CHECK(printed.exit_code == 0);
  for (const char* field : {"verdict", "why", "changes"}) CHECK(by_standing.at(field) == by_flags.at(field));
  CHECK(by_standing.at("verdict").as_string() == "to the proxy's outbound port 15001");
  CHECK(by_standing.at("flags_are").as_string() == "kept by the rules");
  CHECK(by_standing.at("drift").as_array().empty());
  CHECK(by_standing.at("trace").at("agrees").as_bool());
  REQUIRE(by_standing.at("rules").as_array().size() == 1);
  const std::string rule(by_standing.at("rules").as_array()[0].as_string());
  CHECK(rule.starts_with(kind() == Kind::nft ? "inet weir outbound: "
                                             : fmt::format("iptables-{} -t nat -A WEIR_OUTBOUND ", variant())));
  CHECK(by_standing.at("changes").as_array().size() > 3);
}

/// The packets that self-test sends.
std::vector<capture::Packet> packets_of(const Standing& standing) {
  auto prober = init::begin_probing(standing.wanted());
  REQUIRE_MESSAGE(prober, prober.error().to_text());
  auto tested = init::self_test(standing.wanted(), standing.backend(), **prober, standing.own_addresses());
  REQUIRE(tested);
  CHECK(tested->has_passed());
  std::vector<capture::Packet> packets;
  for (const init::Tested& row : tested->rows) packets.push_back(row.row.packet);
  return packets;
}

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
    CHECK(shell("grep -c dport=15002 /proc/net/nf_conntrack || true") == "0\n");
  }
  lab.reset();
}

/// Losses that are tried together: with iptables one of each family, which have nothing to do with each other.
std::vector<std::vector<Loss>> loss_pairs() {
  std::map<Family, std::vector<Loss>> by_family;
  std::vector<std::vector<Loss>> pairs;
  for (Loss& loss : losses())
    if (kind() == Kind::nft)
      pairs.push_back({std::move(loss)});
    else
      by_family[*loss.family].push_back(std::move(loss));
  for (auto& [family, list] : by_family)
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (i >= pairs.size()) pairs.emplace_back();
      pairs[i].push_back(std::move(list[i]));
    }
  return pairs;
}

/// Of which families self-test's packets failed.
std::set<Family> failed_families(const init::Printed& tested) {
  std::set<Family> families;
  const json::value told = parsed(tested);
  for (const json::value& row : told.at("rows").as_array())
    if (!row.at("passed").as_bool())
      families.insert(row.at("packet").as_string().find(" to [") == std::string::npos ? Family::v4 : Family::v6);
  return families;
}

TEST_CASE("whichever rule is lost: check names it, self-test shows it exactly if judge would decide otherwise, repair mends") {
  Lab::instance().reset();
  const Config config = config_of(kDefaultConfig);
  apply_with_flags(config);
  const Standing standing;
  const std::vector<capture::Packet> packets = packets_of(standing);
  std::vector<capture::Packet> of_table;
  for (const auto& row : matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_matrix.tsv"))
    if (row.config == kDefaultConfig) of_table.push_back(matrix::packet(row));
  const std::string before = dump();
  const std::size_t count = loss_pairs().size();
  CHECK(count > 15);
  std::size_t shown = 0;
  for (std::size_t number = 0; number < count; ++number) {
    const auto now = loss_pairs();  // handles are new after each repair
    REQUIRE(now.size() == count);
    const std::vector<Loss>& lost = now[number];
    const std::string& rule = lost[0].rule;
    CAPTURE(rule);
    for (const Loss& loss : lost) shell(loss.command);
    // Where no rule keeps them any more the flags must be given.
    const bool lacks_flags = lost[0].keeps_flags();
    if (lacks_flags)
      CHECK(weir_init({"check"}).err.find("the rules do not keep the flags they were made of; give the flags") !=
            std::string::npos);
    const std::vector<std::string> flags = lacks_flags ? config.arguments : std::vector<std::string>();
    const init::Printed checked = weir_init(std::vector<std::string>{"check", "-o", "json"} + flags);
    CHECK(checked.exit_code == 126);
    const json::array differences = parsed(checked).at("differences").as_array();
    REQUIRE(differences.size() == lost.size());
    for (const json::value& difference : differences) {
      CHECK(difference.as_string().find("is missing") != std::string::npos);
      CHECK(difference.as_string().find("check --repair puts it back") != std::string::npos);
    }
    if (!lacks_flags) {
      const init::Printed tested = weir_init({"self-test", "-o", "json"});
      const std::set<Family> failed = failed_families(tested);
      CHECK((tested.exit_code == 126) == !failed.empty());
      for (const Loss& loss : lost)
        for (Family family : kBothFamilies) {
          if (loss.family.value_or(family) != family) continue;
          CAPTURE(to_text(family));
          const Loss in_family{.command = loss.command, .rule = loss.rule, .family = family};
          CHECK_MESSAGE(failed.contains(family) == must_show(standing, in_family, packets), tested.out);
          if (must_show(standing, in_family, of_table)) CHECK_MESSAGE(failed.contains(family), tested.out);
          shown += failed.contains(family) ? 1 : 0;
        }
    }
    const init::Printed repaired = weir_init(std::vector<std::string>{"check", "--repair"} + flags);
    CHECK(repaired.exit_code == 0);
    CHECK(repaired.out.starts_with("mended: "));
    CHECK(dump() == before);
  }
  CHECK(shown > 12);
  CHECK(weir_init({"self-test"}).exit_code == 0);
}

TEST_CASE("with iptables the flags that one family keeps are enough") {
  if (kind() == Kind::nft) return;
  Lab::instance().reset();
  apply_with_flags(config_of(kDefaultConfig));
  for (const Loss& loss : losses()) {
    if (!loss.keeps_flags() || loss.family != Family::v4) continue;
    shell(loss.command);
    break;
  }
  const json::value drift = parsed(weir_init({"check", "-o", "json"}));
  REQUIRE(drift.at("differences").as_array().size() == 1);
  CHECK(drift.at("differences").as_array()[0].as_string().find("IPv4, table nat, chain WEIR_KEPT_FLAGS: rule 1 is missing") !=
        std::string::npos);
  CHECK(weir_init({"check", "--repair"}).exit_code == 0);
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
    CHECK(weir_init({"self-test"}).exit_code == 0);
  }
  shell(kInFront);
  const std::string before = shell("nft list table ip theirs");
  const init::Printed checked = weir_init({"check", "--repair"});
  CHECK(checked.exit_code == 126);
  CHECK_MESSAGE(checked.out.find("table ip theirs, chain c (nat output -100 accept): rule 1 of chain c") != std::string::npos,
                checked.out);
  CHECK(app_to_remote(Family::v4).starts_with("APP:8080"));
  CHECK(weir_init({"self-test"}).exit_code == 126);
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
    shell(losses().at(5).command);
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
