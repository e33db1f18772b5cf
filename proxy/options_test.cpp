// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <google/protobuf/struct.pb.h>

#include "base/text.h"
#include "proxy/cgroup.h"
#include "proxy/drain.h"
#include "proxy/identity.h"
#include "proxy/options.h"
#include "proxy/process.h"
#include "xds/proto/core.pb.h"

using namespace weir;
using namespace weir::proxy;

namespace {

using Environment = std::map<std::string, std::string>;

std::function<std::optional<std::string>(const std::string&)> lookup(Environment environment) {
  return [environment = std::move(environment)](const std::string& name) -> std::optional<std::string> {
    auto it = environment.find(name);
    return it == environment.end() ? std::nullopt : std::optional(it->second);
  };
}

ParsedOptions parse(const std::string& line, Environment environment = {}) {
  std::vector<std::string> words = {"weir-proxy"};
  for (std::string_view word : split(line, ' '))
    if (!word.empty()) words.emplace_back(word);
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_options(static_cast<int>(argv.size()), argv.data(), lookup(std::move(environment)));
}

Host host_of(Environment environment) {
  Host host;
  for (const auto& [name, value] : environment)
    if (name.rfind("ISTIO_META", 0) == 0) host.istio_meta.emplace_back(name, value);
  host.environment = lookup(std::move(environment));
  host.hostname = "machine";
  host.addresses = {*IpAddr::parse("192.0.2.7"), *IpAddr::parse("2001:db8::7")};
  return host;
}

std::string field(const Identity& identity, const std::string& key) {
  const auto& fields = identity.node->metadata().fields();
  auto it = fields.find(key);
  return it == fields.end() ? "" : it->second.string_value();
}

}  // namespace

TEST_CASE("wrong flags: all of them, with what would be right") {
  struct Row {
    const char* line;
    const char* problems;
  };
  const Row rows[] = {
      {"",
       "flag --agent: is missing; say where the agent listens (--agent unix:PATH or IP:PORT), or give a bootstrap file with -c"},
      {"--agent nonsense --admin-port 70000",
       "flag --agent: \"nonsense\" has no port; write unix:PATH, IP:PORT, [IP]:PORT or localhost:PORT\n"
       "flag --admin-port: \"70000\" is no port; use 1 to 65535, 0 for any free one, or off"},
      {"--agent istiod.istio-system.svc:15010",
       "flag --agent: \"istiod.istio-system.svc\" is a name, and names are not resolved yet; write unix:PATH, IP:PORT, [IP]:PORT "
       "or "
       "localhost:PORT"},
      {"--agent unix:/x --drain-tme 5s --concurency 2 word",
       "flag --drain-tme: unknown flag; did you mean --drain-time?\nflag --concurency: unknown flag; did you mean "
       "--concurrency?\n"
       "argument word: no argument is expected here; weir-proxy --help lists the flags"},
      {"--agent unix:/x --drain-time 60s",
       "flag --drain-time: 60s is more than --drain-limit 45s; make --drain-limit the longer one"},
      {"--agent unix:/x --heartbeat-interval 5ms",
       "flag --heartbeat-interval: 5ms is too short; write 10ms or more, or give --no-heartbeat"},
      {"--agent unix:/x --capture-ports 15001,x --follow 0",
       "flag --capture-ports: \"x\" is no port; write them like 15001,15006, or off\n"
       "flag --follow: \"0\" is no number from 1 to 2147483647"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.line);
    const ParsedOptions parsed = parse(row.line);
    CHECK(!parsed.options);
    std::vector<std::string> lines;
    for (const Problem& problem : parsed.problems) lines.push_back(to_text(problem));
    std::vector<std::string> wanted;
    for (std::string_view line : split(row.problems, '\n')) wanted.emplace_back(line);
    std::sort(lines.begin(), lines.end());  // CLI11 hands unknown words over in an order of its own
    std::sort(wanted.begin(), wanted.end());
    CHECK(join(lines, "\n") == join(wanted, "\n"));
  }
}

TEST_CASE("Istio's command line is understood") {
  const ParsedOptions parsed = parse(
      "proxy sidecar --agent localhost:15010 --domain shop.svc.cluster.local --proxyLogLevel warning --concurrency 3 "
      "--serviceCluster reviews.shop",
      {{"TERMINATION_DRAIN_DURATION_SECONDS", "7"}});
  CHECK(to_text(parsed.problems) == "");
  REQUIRE(parsed.options);
  CHECK(parsed.options->concurrency == 3);
  CHECK(parsed.options->log_level == log::Level::warn);
  CHECK(parsed.options->identity.cluster == "reviews.shop");
  CHECK(parsed.options->identity.domain == "shop.svc.cluster.local");
  CHECK(parsed.options->drain_time == std::chrono::seconds(7));
  CHECK(parsed.options->agent->addresses.size() == 2);
}

TEST_CASE("the last of a repeated flag wins, and off switches a port off") {
  const ParsedOptions parsed = parse("--agent unix:/a --agent unix:/b --health-port off --capture-ports off");
  REQUIRE(parsed.options);
  CHECK(parsed.options->agent->unix_path == "/b");
  CHECK(!parsed.options->health_port);
  CHECK(parsed.options->capture_ports.empty());
  CHECK(parsed.options->admin_port == Port{15000});
}

TEST_CASE("identity comes from Istio's environment") {
  std::vector<Problem> problems;
  const Identity identity = make_identity({},
                                          host_of({{"POD_NAME", "reviews-v1-abc"},
                                                   {"POD_NAMESPACE", "shop"},
                                                   {"INSTANCE_IP", "10.0.0.5"},
                                                   {"ISTIO_META_INSTANCE_IPS", "10.0.0.5,fd00::5"},
                                                   {"ISTIO_META_WORKLOAD_NAME", "reviews-v1"},
                                                   {"ISTIO_META_CLUSTER_ID", "c1"},
                                                   {"ISTIO_METAJSON_LABELS", R"({"app": "reviews", "version": "v1"})"}}),
                                          problems);
  CHECK(to_text(problems) == "");
  CHECK(identity.node_id == "sidecar~10.0.0.5~reviews-v1-abc.shop~shop.svc.cluster.local");
  CHECK(identity.node->cluster() == "reviews.shop");
  CHECK(identity.node->user_agent_name() == "weir");
  CHECK(field(identity, "NAMESPACE") == "shop");
  CHECK(field(identity, "INSTANCE_IPS") == "10.0.0.5,fd00::5");
  CHECK(field(identity, "CLUSTER_ID") == "c1");
  CHECK(field(identity, "INTERCEPTION_MODE") == "REDIRECT");
  CHECK(field(identity, "ISTIO_VERSION") != "");
  const auto labels = identity.node->metadata().fields().at("LABELS").struct_value().fields();
  CHECK(labels.at("version").string_value() == "v1");
  CHECK(identity.workload.workload == "reviews-v1");
  CHECK(identity.workload.canonical_service == "reviews");
  CHECK(identity.workload.canonical_revision == "v1");
}

TEST_CASE("flags win over the environment, the machine fills the rest") {
  std::vector<Problem> problems;
  IdentityFlags flags;
  flags.ns = "other";
  flags.domain = "mesh.local";
  flags.labels = {"app=x", "tier="};
  const Identity identity = make_identity(flags, host_of({{"POD_NAMESPACE", "shop"}}), problems);
  CHECK(to_text(problems) == "");
  CHECK(identity.node_id == "sidecar~192.0.2.7~machine.other~other.svc.mesh.local");
  CHECK(field(identity, "INSTANCE_IPS") == "192.0.2.7,2001:db8::7");
  CHECK(identity.workload.app == "x");
}

TEST_CASE("a wrong identity: everything that is wrong") {
  std::vector<Problem> problems;
  IdentityFlags flags;
  flags.labels = {"app"};
  make_identity(flags, host_of({{"INSTANCE_IP", "pod"}, {"ISTIO_METAJSON_LABELS", "[1]"}}), problems);
  std::vector<std::string> objects;
  for (const Problem& problem : problems) objects.push_back(problem.object);
  CHECK(objects == std::vector<std::string>{"ISTIO_METAJSON_LABELS", "flag --label", "INSTANCE_IP"});
}

TEST_CASE("workers follow the CPU quota of version 2, version 1 and the groups above") {
  struct Row {
    const char* name;
    std::map<std::string, std::string> files;
    std::optional<double> quota;
    unsigned workers;  // of 8 CPUs
  };
  const Row rows[] = {
      {"no group", {}, std::nullopt, 2},
      {"v2 without a limit", {{"/proc/self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/cpu.max", "max 100000\n"}}, std::nullopt, 2},
      {"v2 half a CPU", {{"/proc/self/cgroup", "0::/a\n"}, {"/sys/fs/cgroup/a/cpu.max", "50000 100000\n"}}, 0.5, 1},
      {"v2, the parent is tighter",
       {{"/proc/self/cgroup", "0::/a/b\n"},
        {"/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"},
        {"/sys/fs/cgroup/a/cpu.max", "100000 100000\n"}},
       1.0,
       1},
      {"v2 inside a container", {{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/cpu.max", "150000 100000\n"}}, 1.5, 2},
      {"v1",
       {{"/proc/self/cgroup", "4:cpu,cpuacct:/x\n1:name=systemd:/y\n"},
        {"/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "100000\n"},
        {"/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"}},
       1.0,
       1},
      {"v1 without a limit",
       {{"/proc/self/cgroup", "4:cpu,cpuacct:/x\n"},
        {"/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n"},
        {"/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"}},
       std::nullopt,
       2},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    auto quota = cpu_quota([&](const std::string& path) -> std::optional<std::string> {
      auto it = row.files.find(path);
      return it == row.files.end() ? std::nullopt : std::optional(it->second);
    });
    CHECK(quota == row.quota);
    CHECK(choose_workers(0, quota, 8) == row.workers);
    CHECK(choose_workers(5, quota, 8) == 5);
  }
  CHECK(choose_workers(0, std::nullopt, 1) == 1);
}

using std::chrono::seconds;
constexpr Drain::TimePoint kStart{};

TEST_CASE("a drain waits for its least time, then for open requests, at most for the limit") {
  using Step = Drain::Step;
  const Drain::Limits limits{.least = seconds(5), .limit = seconds(45)};
  for (const OpenWork& open : {OpenWork{.inbound = 1}, OpenWork{.outbound = 1}}) {
    Drain drain(kStart, limits);
    CHECK(drain.takes_inbound(kStart + seconds(4)));
    CHECK(drain.at(kStart + seconds(4), {}) == Step::wait);
    CHECK(!drain.takes_inbound(kStart + seconds(5)));
    CHECK(drain.at(kStart + seconds(44), open) == Step::wait);
    CHECK(drain.at(kStart + seconds(45), open) == Step::give_up);
  }
  CHECK(Drain(kStart, limits).at(kStart + seconds(5), {}) == Step::leave);
  CHECK(Drain(kStart, {.least = seconds(0), .limit = seconds(45)}).at(kStart, {}) == Step::leave);
}

TEST_CASE("a drain without a workload to follow goes on until no outbound call was made for its least time") {
  Drain drain(kStart, {.least = seconds(5), .limit = seconds(45)});
  CHECK(drain.at(kStart + seconds(3), {.outbound = 1, .outbound_begun = 1}) == Drain::Step::wait);
  // One that came and went between two looks counts too.
  CHECK(drain.at(kStart + seconds(7), {.outbound_begun = 2}) == Drain::Step::wait);
  CHECK(drain.at(kStart + seconds(11), {.outbound_begun = 2}) == Drain::Step::wait);
  CHECK(drain.at(kStart + seconds(12), {.outbound_begun = 2}) == Drain::Step::leave);
  for (int second = 12; second < 45; ++second)
    CHECK(drain.at(kStart + seconds(second), {.outbound_begun = second}) == Drain::Step::wait);
  CHECK(drain.at(kStart + seconds(45), {.outbound_begun = 45}) == Drain::Step::give_up);
}

TEST_CASE("a drain with a workload to follow takes its calls until it has gone, then ends with the last of them") {
  Drain drain(kStart, {.least = seconds(5), .limit = seconds(45), .has_workload = true});
  CHECK(drain.at(kStart + seconds(30), {}) == Drain::Step::wait);
  drain.workload_gone();
  CHECK(drain.at(kStart + seconds(30), {.outbound = 1}) == Drain::Step::wait);
  CHECK(drain.at(kStart + seconds(31), {.inbound = 1}) == Drain::Step::wait);
  CHECK(drain.at(kStart + seconds(31), {}) == Drain::Step::leave);
  Drain soon(kStart, {.least = seconds(5), .limit = seconds(45), .has_workload = true});
  soon.workload_gone();
  CHECK(!soon.takes_inbound(kStart + seconds(1)));
  CHECK(soon.at(kStart + seconds(1), {}) == Drain::Step::leave);
  CHECK(Drain(kStart, {.least = seconds(5), .limit = seconds(45), .has_workload = true}).at(kStart + seconds(45), {}) ==
        Drain::Step::give_up);
}

TEST_CASE("who runs it decides what it becomes, what it keeps, and what it refuses") {
  struct {
    kernel::Standing self;
    bool transparent, allow_root;
    std::string_view outcome;
  } rows[] = {
      {{1337, 1337, false, false}, false, false, "stays, keeps nothing"},
      {{1337, 1337, true, false}, false, false, "stays, keeps nothing"},
      {{1000, 1000, false, false}, false, false, "stays, keeps nothing, warns: running as uid 1000, not 1337"},
      {{0, 0, true, true}, false, false, "refuses: weir-proxy does not run as root"},
      {{0, 0, true, true}, false, true, "stays, keeps nothing, warns: running as uid 0, not 1337"},
      {{0, 0, true, true}, true, false, "becomes 1337, keeps NET_ADMIN"},
      {{0, 1337, true, true}, true, false, "becomes 1337, keeps NET_ADMIN"},
      {{0, 1337, true, false}, true, false, "stays, keeps NET_ADMIN, warns: running as uid 0: only group 1337"},
      {{0, 0, true, false}, true, false, "refuses: weir-proxy started as uid 0 becomes uid 1337, but CAP_SETUID"},
      {{0, 0, true, true}, true, true, "stays, keeps NET_ADMIN, warns: running as uid 0, not 1337"},
      {{1337, 1337, true, false}, true, false, "stays, keeps NET_ADMIN"},
      {{1337, 1337, false, false}, true, false, "refuses: ISTIO_META_INTERCEPTION_MODE=TPROXY, but CAP_NET_ADMIN is missing"},
      {{0, 0, false, true}, true, false, "refuses: ISTIO_META_INTERCEPTION_MODE=TPROXY, but CAP_NET_ADMIN is missing"},
  };
  for (const auto& row : rows) {
    auto chosen = choose_privileges(row.self, row.transparent, row.allow_root);
    std::string text = chosen ? fmt::format("{}, keeps {}{}", chosen->become_proxy ? "becomes 1337" : "stays",
                                            chosen->keep_net_admin ? "NET_ADMIN" : "nothing",
                                            chosen->warning.empty() ? "" : ", warns: " + chosen->warning)
                              : "refuses: " + chosen.error().to_text();
    INFO(row.self.uid, ' ', row.self.gid, ' ', row.transparent, ' ', row.allow_root, ": ", text);
    CHECK(text.substr(0, row.outcome.size()) == row.outcome);
    CHECK((text.size() == row.outcome.size() || row.outcome.find(": ") != std::string_view::npos));
  }
}
