// SPDX-License-Identifier: Apache-2.0
// A backend against the real kernel: the decision table, and what apply, check and remove promise. WEIR_BACKEND says which one
// (nft, iptables-nft, iptables-legacy); conformance_lab.h draws the network. Suite "nft": what only that backend has.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

#include "init/program.h"
#include "iptables-rules/nft_redirector.h"
#include "iptables-rules/standing.h"
#include "iptables-rules/xtables_lock.h"
#include "kernel/child.h"
#include "kernel/netlink.h"
#include "tests/netns/conformance_lab.h"
#include "tests/netns/conformance_program.h"

namespace weir::conformance {
namespace {

using capture::CapturePlan;
namespace matrix = capture::matrix;

std::string ask_row(const matrix::Row& row) {
  Lab& lab = Lab::instance();
  Actor& actor = row.from == "remote" ? lab.remote() : row.from == "vm" ? lab.vm() : lab.pod(row.uid, row.gid);
  const int limit_ms = row.expected == "TIMEOUT" ? 300 : 5000;
  return actor.ask(fmt::format("{} {} {} {} {}", row.protocol, matrix::address(row.destination, row.family).to_text(), row.port,
                               source_of(row), limit_ms));
}

TEST_CASE("kernel, table, judge, and explain by what stands, agree on every row in both families") {
  Lab& lab = Lab::instance();
  lab.reset();
  std::string config;
  CapturePlan plan;
  std::optional<Standing> standing;
  int rows = 0;
  auto all = matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_matrix.tsv");
  for (auto& row : matrix::read(WEIR_SOURCE_ROOT "/tests/data/capture_measured.tsv")) all.push_back(std::move(row));
  for (const auto& row : all) {
    if (row.config != config) {
      config = row.config;
      plan = plan_of(config);
      apply(kept_plan_of(config));
      standing.emplace();
      CHECK(join(standing->drift(), "; ") == "");
    }
    const std::string context = row.name() + " with " + row.config;
    CAPTURE(context);
    CAPTURE(lab.hint());
    matrix::Row answered = row;
    answered.expected = ask_row(row);
    CHECK(answered.expected == concrete(row.expected, row.family));
    CHECK(capture::judge(plan, matrix::packet(row)).outcome == matrix::outcome(row));
    const init::Explanation explanation = standing->explain(row);
    CHECK(explanation.judgement.outcome == matrix::outcome(answered));
    if (explanation.judgement.step != nullptr) CHECK(!explanation.rules.empty());
    ++rows;
  }
  CHECK(rows > 640);
}

TEST_CASE("a proxy that is not there: captured connections are reset, all others work (rows E1 to E3)") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(plan_of(kDefaultConfig));
  lab.stop_proxy();
  for (Family family : kBothFamilies) {
    CAPTURE(to_text(family));
    CHECK(remote_to_app(family) == "RST");
    CHECK(app_to_remote(family) == "RST");
    CHECK(lab.pod(1000, 1000).ask(fmt::format("tcp {} 8080 - 5000", IpAddr::loopback(family).to_text())) ==
          concrete("APP:8080 od=LO:8080 la=LO:8080 peer=LO", family));
  }
}

TEST_CASE("a query of the workload and one of the proxy from the same port do not meet (row F13)") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(plan_of("CAPTURE_ALL_DNS=true REDIRECT_DNS=true -b * -i *"));
  int port = 41000;
  for (Family family : kBothFamilies) {
    for (bool proxy_first : {false, true}) {
      const std::string query = fmt::format("udp {} 53 port={} 5000", matrix::address("REM", family).to_text(), ++port);
      const std::string captured = concrete("DNS15053-udp peer=POD from=REM:53", family),
                        direct = concrete("REMOTE-udp:53 peer=POD from=REM:53", family);
      CAPTURE(query);
      for (bool is_proxy : {proxy_first, !proxy_first, proxy_first})
        CHECK((is_proxy ? lab.pod(1337, 1337) : lab.pod(1000, 1000)).ask(query) == (is_proxy ? direct : captured));
    }
  }
}

TEST_CASE("one table of ours, for both families, is all that other tools see" * doctest::test_suite("nft")) {
  Lab::instance().reset();
  apply(plan_of(kDefaultConfig));
  CHECK(shell("nft -j list tables | grep -o '\"table\": {[^}]*}'").find("\"family\": \"inet\", \"name\": \"weir\"") !=
        std::string::npos);
  CHECK(shell("nft list tables") == "table inet weir\n");
}

TEST_CASE("a second apply changes nothing, not even handles") {
  Lab::instance().reset();
  const CapturePlan plan = plan_of(kDefaultConfig);
  CHECK(apply(plan).changed);
  const std::string before = whole_state();
  CHECK(!apply(plan).changed);
  CHECK(whole_state() == before);
}

TEST_CASE("remove leaves the namespace as it was") {
  Lab::instance().reset();
  const std::string before = state_of_namespace();
  std::vector<std::string> configs = {kDefaultConfig, "DROP_INVALID=1 -b *",
                                      "-b 80,90 -i 10.0.0.0/8,fd00::/8 -x 10.1.0.0/16 -k vnet0 -c eth1 -q 1-5 -o 22"};
  configs.insert(configs.end(), {"CAPTURE_ALL_DNS=1 REDIRECT_DNS=1 -b * -i *", kTproxyConfig});
  configs.emplace_back("WEIR_QUIC=refuse WEIR_WHEN_PROXY_DOWN=open WEIR_EXCLUDE_DOMAINS=a.example -b * -i *");
  for (const std::string& config : configs) {
    apply(gated(config, std::chrono::seconds(30)));
    CHECK(state_of_namespace() != before);
    auto removed = Lab::backend()->remove();
    REQUIRE(removed);
    CHECK(*removed);
    CHECK(state_of_namespace() == before);
  }
  auto again = Lab::backend()->remove();
  REQUIRE(again);
  CHECK(!*again);
}

TEST_CASE("::6 that others added stays, and so do other tables") {
  Lab::instance().reset();
  shell(
      "ip addr add ::6/128 dev lo; nft add table inet mine; nft add chain inet mine c '{ type filter hook input priority 0; }'");
  const std::string before = state_of_namespace();
  apply(plan_of(kDefaultConfig));
  REQUIRE(Lab::backend()->remove());
  CHECK(state_of_namespace() == before);
  shell("ip addr del ::6/128 dev lo; nft delete table inet mine");
}

TEST_CASE("a table of our name that we did not make is refused, and stays" * doctest::test_suite("nft")) {
  Lab::instance().reset();
  shell("nft add table inet weir");
  const std::string before = state_of_namespace();
  auto applied = Lab::backend()->apply(plan_of(kDefaultConfig));
  REQUIRE(!applied);
  CHECK(applied.error().to_text().find("that weir did not make") != std::string::npos);
  CHECK(applied.error().code() == ErrorCode::environment);
  CHECK(!Lab::backend()->remove());
  CHECK(state_of_namespace() == before);
  shell("nft delete table inet weir");
}

TEST_CASE("what we program and what we render are the same rules to nft" * doctest::test_suite("nft")) {
  Lab::instance().reset();
  for (const char* config :
       {kDefaultConfig,
        "-b 80,90-99 -i 10.0.0.0/8,192.168.1.1,fd00::/8,fd80::1 -x 10.1.0.0/16 -k vnet0 -c eth+ -q 1-5 -o 22 -u 3,4",
        "-b * -i 127.0.0.0/8 -u 5", "DROP_INVALID=true -b * -i *", "CAPTURE_ALL_DNS=1 REDIRECT_DNS=1 -b * -i * -o 53",
        "REDIRECT_DNS=1 -i 127.0.0.0/8", "DROP_INVALID=1 -m TPROXY -b 80,90-99 -i * -k vnet0 -c eth1",
        "WEIR_WHEN_PROXY_DOWN=open:3s REDIRECT_DNS=1 -b * -i *",
        "WEIR_QUIC=refuse WEIR_QUIC_PORTS=443,8443-8500 WEIR_PROXY_MARK=0x500/0xff00 WEIR_EXCLUDE_UIDS=7,8 "
        "WEIR_EXCLUDE_OUTBOUND=10.1.0.0/24:443/tcp,[fd01::/64]:443,10.2.0.0/16:80-90/udp WEIR_EXCLUDE_INBOUND=10.1.0.0/24:8080 "
        "-b * "
        "-i *",
        "WEIR_PROXY_MARK=0x539 PROXY_UID=none WEIR_EXCLUDE_DOMAINS=a.example -b * -i *"}) {
    const CapturePlan plan = gated(config, std::chrono::seconds(3000));
    // nft writes a set of one prefix without braces; how long the gate still holds differs.
    const std::string list = "nft list ruleset | sed -E 's/\\{ ([^ ,]*) \\}/\\1/g; s/ expires [0-9a-z]+//'";
    apply(plan);
    const std::string programmed = shell(list);
    REQUIRE(Lab::backend()->remove());
    auto loaded = kernel::run({"nft", "-f", "-"}, Lab::backend()->render(plan));
    REQUIRE(loaded);
    CHECK_MESSAGE(loaded->exit_code == 0, loaded->err);
    CHECK(shell(list) == programmed);
    REQUIRE(Lab::backend()->remove());
  }
}

/// What others may do to our rules.
std::vector<std::string> damages() {
  if (kind() == Kind::nft)
    return {"nft flush chain inet weir to_outbound", "nft add rule inet weir outbound tcp dport 1 accept",
            "nft insert rule inet weir inbound tcp dport 1 accept", "ip addr del ::6/128 dev lo", "nft delete table inet weir"};
  std::vector<std::string> found = {"ip addr del ::6/128 dev lo"};
  for (const char* family : {"ip", "ip6"})
    for (const char* damage :
         {"-F WEIR_TO_OUTBOUND", "-A WEIR_OUTBOUND -p tcp --dport 1 -j RETURN", "-I WEIR_INBOUND -p tcp --dport 1 -j RETURN",
          "-D OUTPUT 1", "-I OUTPUT -p udp -j ACCEPT", "-A OUTPUT -j WEIR_OUTBOUND", "-N WEIR_OLD",
          "-A WEIR_INBOUND -j WEIR_TO_INBOUND", "-D WEIR_OUTBOUND 3"})
      found.push_back(fmt::format("{}tables-{} -w -t nat {}", family, kind() == Kind::iptables_nft ? "nft" : "legacy", damage));
  return found;
}

TEST_CASE("check names each difference, and apply mends it") { check_names_damages(plan_of(kDefaultConfig), damages()); }

TEST_CASE("connections that are older than the rules survive enrolment, both ways") {
  Lab& lab = Lab::instance();
  lab.reset();
  for (Family family : kBothFamilies) {
    CAPTURE(to_text(family));
    Actor& app = lab.pod(1000, 1000);
    CHECK(app.ask(fmt::format("open {} 80", matrix::address("REM", family).to_text())).starts_with("REMOTE:80"));
    CHECK(lab.remote().ask(fmt::format("open {} 8080", matrix::address("POD", family).to_text())).starts_with("APP:8080"));
    apply(plan_of(kDefaultConfig));
    CHECK(app.ask("ping still-here") == "still-here");
    CHECK(lab.remote().ask("ping still-here") == "still-here");
    CHECK(app_to_remote(family) == concrete(kOut, family));
    lab.reset();
  }
}

TEST_CASE("captured connections go on while the policy changes") {
  Lab& lab = Lab::instance();
  lab.reset();
  apply(plan_of(kDefaultConfig));
  Actor& app = lab.pod(1000, 1000);
  CHECK(app.ask("open 10.1.0.1 80").starts_with("OUT15001"));
  CHECK(lab.remote().ask("open fd01::2 8080").starts_with("IN15006"));
  for (const char* config : {"-b 80 -i 10.2.0.0/16", "DROP_INVALID=1 -b * -i *", "-b * -i *"}) {
    apply(plan_of(config));
    CHECK(app.ask("ping on") == "on");
    CHECK(lab.remote().ask("ping on") == "on");
  }
}

TEST_CASE("the start gate holds both directions until the proxy's first packet, and is not armed again") {
  Lab& lab = Lab::instance();
  for (Family family : kBothFamilies) {
    CAPTURE(to_text(family));
    enrol_with_gate(kDefaultConfig, std::chrono::seconds(600));
    CHECK(app_to_remote(family, 200) == "TIMEOUT");
    CHECK(remote_to_app(family, 200) == "TIMEOUT");
    // What is not captured does not wait.
    CHECK(lab.pod(1000, 1000).ask(fmt::format("tcp {} 8080 - 5000", IpAddr::loopback(family).to_text())).starts_with("APP"));

    // Connections that began while the gate held are made when it opens, by the kernel's next SYN.
    lab.pod(1000, 1000).tell(fmt::format("tcp {} 80 - 20000", matrix::address("REM", family).to_text()));
    lab.remote().tell(fmt::format("tcp {} 8080 - 20000", matrix::address("POD", family).to_text()));
    CHECK(until("waits", [] { return shell("ss -Htn state syn-sent").empty() ? "none" : "waits"; }) == "waits");
    const std::string in_remote = fmt::format("nsenter -t {} -n ss -Htn state syn-sent", lab.remote().pid());
    CHECK(until("waits", [&] { return shell(in_remote).empty() ? "none" : "waits"; }) == "waits");
    lab.pod(1337, 1337).ask(fmt::format("udp {} 9 - 0", IpAddr::loopback(family).to_text()));
    CHECK(lab.pod(1000, 1000).hear() == concrete(kOut, family));
    CHECK(lab.remote().hear() == concrete(kIn, family));

    apply(gated("-b * -i * -d 1", std::chrono::seconds(600)));
    CHECK(app_to_remote(family) == concrete(kOut, family));
  }
}

TEST_CASE("the proxy's call to another machine opens the gate like any packet of its uid") {
  Lab& lab = Lab::instance();
  enrol_with_gate(kDefaultConfig, std::chrono::seconds(600));
  CHECK(app_to_remote(Family::v4, 200) == "TIMEOUT");
  CHECK(lab.pod(1337, 1337).ask("tcp 10.1.0.1 80 - 5000").starts_with("REMOTE:80"));
  CHECK(app_to_remote(Family::v4) == concrete(kOut, Family::v4));
}

TEST_CASE("when the gate's time is over, captured connections are refused if there is no proxy") {
  Lab& lab = Lab::instance();
  lab.reset();
  lab.stop_proxy();
  apply(gated(kDefaultConfig, std::chrono::milliseconds(1500)));
  CHECK(app_to_remote(Family::v4, 200) == "TIMEOUT");
  CHECK(until("RST", [] { return app_to_remote(Family::v4, 200); }) == "RST");
  CHECK(remote_to_app(Family::v6) == "RST");
}

/// Between us and the kernel: counts what changes something, and can spoil it.
class Saboteur : public kernel::Netlink {
 public:
  std::size_t die_before = 0;     ///< the process ends before the change of this number (from 1)
  std::size_t spoil_message = 0;  ///< this message of a batch (from 1) becomes one that the kernel refuses
  std::size_t batch_size = 0;     ///< of the last batch

  Result<> act(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    count();
    return real_->act(bus, request);
  }
  Result<std::vector<kernel::NetlinkMessage>> ask(kernel::NetlinkBus bus, const kernel::NetlinkMessage& request) override {
    return real_->ask(bus, request);
  }
  Result<std::optional<kernel::BatchRefusal>> transact(const std::vector<kernel::NetlinkMessage>& batch,
                                                       std::optional<std::uint32_t> generation) override {
    count();
    auto spoilt = batch;
    batch_size = batch.size();
    if (spoil_message != 0 && spoil_message <= batch.size()) spoilt[spoil_message - 1][4] = 127;  // no such nf_tables message
    return real_->transact(spoilt, generation);
  }

 private:
  void count() {
    if (++changes_ == die_before) std::_Exit(9);
  }
  std::unique_ptr<kernel::Netlink> real_ = kernel::open_netlink();
  std::size_t changes_ = 0;
};

TEST_CASE("whichever message the kernel refuses, nothing is left of a first apply" * doctest::test_suite("nft")) {
  Lab::instance().reset();
  const CapturePlan plan = gated(kDefaultConfig, std::chrono::seconds(30));
  const std::string before = state_of_namespace();
  for (std::size_t n = 1, size = 1; n <= size; ++n) {
    CAPTURE(n);
    auto saboteur = std::make_unique<Saboteur>();
    saboteur->spoil_message = n;
    Saboteur& watched = *saboteur;
    auto backend = nft::make_nft_redirector(std::move(saboteur));
    CHECK(!backend->apply(plan));
    size = watched.batch_size;
    CHECK(state_of_namespace() == before);
  }
}

TEST_CASE("whichever message the kernel refuses, an earlier enrolment stays whole" * doctest::test_suite("nft")) {
  Lab::instance().reset();
  apply(plan_of(kDefaultConfig));
  const CapturePlan other = gated("-b 80,90 -i 10.0.0.0/8,fd00::/8", std::chrono::seconds(30));
  const std::string before = state_of_namespace();
  std::size_t tried = 0;
  for (std::size_t n = 1, size = 1; n <= size; ++n, ++tried) {
    CAPTURE(n);
    auto saboteur = std::make_unique<Saboteur>();
    saboteur->spoil_message = n;
    Saboteur& watched = *saboteur;
    auto backend = nft::make_nft_redirector(std::move(saboteur));
    CHECK(!backend->apply(other));
    size = watched.batch_size;
    CHECK(state_of_namespace() == before);
  }
  CHECK(tried > 20);
}

TEST_CASE("killed between any two steps: the next apply heals, the next remove cleans" * doctest::test_suite("nft")) {
  Lab::instance().reset();
  const std::string before = state_of_namespace();
  const CapturePlan plan = plan_of(kDefaultConfig);
  char self[4096];
  const ssize_t size = ::readlink("/proc/self/exe", self, sizeof self);
  REQUIRE(size > 0);
  for (const char* step : {"1", "2", "3"}) {
    CAPTURE(step);
    for (bool heal : {true, false}) {
      auto dying = kernel::run({std::string(self, static_cast<std::size_t>(size)), "--apply-and-die-before", step});
      REQUIRE(dying);
      CHECK(dying->exit_code == (step[0] == '3' ? 0 : 9));
      if (heal) {
        apply(plan);
        CHECK(Lab::backend()->check(plan)->empty());
      }
      REQUIRE(Lab::backend()->remove());
      CHECK(state_of_namespace() == before);
    }
  }
}

TEST_CASE("which backend has programmed a namespace is found out, so that two never do") {
  Lab::instance().reset();
  auto netlink = kernel::open_netlink();
  CHECK(nft::standing_backends(*netlink).empty());
  apply(plan_of(kDefaultConfig));
  CHECK(nft::standing_backends(*netlink) == std::vector<std::string>{std::string(Lab::backend()->name())});
  REQUIRE(Lab::backend()->remove());
  CHECK(nft::standing_backends(*netlink).empty());
}

TEST_CASE("probe changes nothing") {
  Lab::instance().reset();
  const std::string before = state_of_namespace();
  auto probed = Lab::backend()->probe();
  CHECK_MESSAGE(probed, probed.error().to_text());
  CHECK(state_of_namespace() == before);
}

int apply_and_die(const char* step) {
  if (kind() != Kind::nft) return apply_and_die_with_xtables(*parse_uint(step));
  auto saboteur = std::make_unique<Saboteur>();
  saboteur->die_before = *parse_uint(step);
  return nft::make_nft_redirector(std::move(saboteur))->apply(capture::plan(matrix::parse_config(kDefaultConfig).parsed.policy))
             ? 0
             : 1;
}

int skip(const std::string& why) {
  const bool is_required = std::getenv("WEIR_REQUIRE_NETNS") != nullptr;
  std::printf("%s: %s\n", is_required ? "cannot run, and WEIR_REQUIRE_NETNS forbids to skip" : "skipped", why.c_str());
  return is_required ? 1 : 77;
}

/// Starts this program again in namespaces that end with it, however it ends.
int enter(int argc, char** argv) {
  if (::getuid() != 0) return skip("needs root, to make network namespaces");
  const int outer = ::open("/proc", O_RDONLY | O_DIRECTORY);  // stays open across exec: see Lab::hint
  for (const char* propagation : {"private", "unchanged"}) {  // in a chroot, / may be no mount point that could be made private
    std::vector<std::string> command = {"unshare",      "--mount",      "--net",         "--pid",     "--fork",
                                        "--kill-child", "--mount-proc", "--propagation", propagation, "--"};
    auto trial = command;
    trial.push_back("true");
    auto tried = kernel::run(trial);
    if (!tried) return skip(tried.error().to_text());
    if (tried->exit_code != 0) continue;
    command.insert(command.end(), argv, argv + argc);
    // With its own lock for iptables, no other test has to wait for it, nor it for another.
    return skip(kernel::replace_process(command, {{"WEIR_CONFORMANCE", "inside"},
                                                  {"WEIR_OUTER_PROC", std::to_string(outer)},
                                                  {"XTABLES_LOCKFILE", std::string(xtables::kNamespaceLock)}})
                    .to_text());
  }
  return skip("namespaces cannot be made here");
}

int run(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  if (argc == 5 && std::string_view(argv[1]) == "--actor")
    return run_actor(static_cast<unsigned>(*parse_uint(argv[2])), static_cast<unsigned>(*parse_uint(argv[3])),
                     std::string_view(argv[4]) == "net-admin");
  if (argc == 3 && std::string_view(argv[1]) == "--apply-and-die-before") return apply_and_die(argv[2]);
  if (argc > 1 && std::string_view(argv[1]) == "--weir-init") return init::run_here({argv + 2, argv + argc});
  if (std::getenv("WEIR_CONFORMANCE") == nullptr) return enter(argc, argv);
  const int result = doctest::Context(argc, argv).run();
  if (std::getenv("WEIR_PAUSE") != nullptr) {
    std::printf("%s; Enter ends it\n", Lab::hint().c_str());
    std::getchar();
  }
  return result;
}

}  // namespace
}  // namespace weir::conformance

int main(int argc, char** argv) { return weir::conformance::run(argc, argv); }
