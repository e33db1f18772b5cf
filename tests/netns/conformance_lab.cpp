// SPDX-License-Identifier: Apache-2.0
#include "tests/netns/conformance_lab.h"

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <unistd.h>

#include <doctest/doctest.h>

#include "iptables-rules/nft_redirector.h"
#include "iptables-rules/xtables_redirector.h"
#include "kernel/child.h"
#include "kernel/netlink.h"

namespace weir::conformance {

using capture::CapturePlan;
namespace matrix = capture::matrix;

Kind kind() {
  const char* name = std::getenv("WEIR_BACKEND");
  const std::string_view wanted = name == nullptr ? "nft" : name;
  return wanted == "iptables-legacy" ? Kind::iptables_legacy : wanted == "iptables-nft" ? Kind::iptables_nft : Kind::nft;
}

std::string shell(const std::string& script) {
  auto output = kernel::run({"sh", "-ec", script});
  if (!output) return output.error().to_text();
  CHECK_MESSAGE(output->exit_code == 0, script, ": ", output->err);
  return output->out;
}

std::string whole_state() {
  // Without what the built-in chains count: a late packet of a connection that was reset is none of what a test compares.
  static const std::regex kCounts(R"(\[[0-9]+:[0-9]+\])");
  const std::string state = shell(
      "nft -j list ruleset; ip -j addr; ip -j route show table all; ip -j -6 route show table all; ip -j rule; ip -j -6 rule; "
      "for program in iptables-legacy ip6tables-legacy iptables-nft ip6tables-nft; do $program-save 2>/dev/null | grep -v '^#' "
      "|| true; done");
  return std::regex_replace(state, kCounts, "");
}

namespace {

/// nft lists chains in the order in which they were made, which means nothing: each table's sorted.
std::string sorted_chains(const std::string& listing) {
  const std::string kTableEnd = "\n}\n", kChain = "\tchain ";
  std::string sorted;
  for (std::size_t at = 0; at < listing.size();) {
    const std::size_t end = std::min(listing.find(kTableEnd, at), listing.size());
    std::vector<std::string> chains;
    for (std::size_t from = at; from < end;) {
      const std::size_t next = std::min(listing.find(kChain, from + 1), end);
      chains.emplace_back(trim(std::string_view(listing).substr(from, next - from)));
      from = next;
    }
    std::sort(chains.begin() + 1, chains.end());
    sorted += join(chains, "\n") + "\n}\n";
    at = end + kTableEnd.size();
  }
  return sorted;
}

}  // namespace

std::string state_of_namespace() {
  if (kind() == Kind::nft) return whole_state();
  // A table is dropped if it has no rules and no chains but the built-in ones; so is what nft shows of it.
  static const std::regex kCounts(R"(\[[0-9]+:[0-9]+\])"), kEmpty(R"(\*[a-z]+\n(:[A-Z]+ ACCEPT \n)*COMMIT\n)");
  static const std::regex kEmptyNft(
      R"(table ip6? [a-z]+ \{\n(\tchain [A-Z]+ \{\n\t\ttype [^\n]*policy accept;\n\t\}\n\n?)*\}\n)");
  std::string saved = std::regex_replace(
      shell("for program in iptables-legacy ip6tables-legacy iptables-nft ip6tables-nft; do $program-save 2>/dev/null | grep -v "
            "'^#' || true; done"),
      kCounts, "");
  std::string rules = shell("nft -s list ruleset 2>/dev/null");
  return std::regex_replace(saved, kEmpty, "") + sorted_chains(std::regex_replace(rules, kEmptyNft, "")) +
         shell(
             "ip -j addr; ip -j route show table all; ip -j -6 route show table all; ip -j rule; ip -j -6 rule; "
             "grep -os 'src=[0-9a-f.:]*' /proc/net/xt_recent/* || true");  // times change
}

std::string rules_of_namespace() {
  // The kernel adds the route to ::6 some time after the address, and takes it away so.
  until("0\n", [] {
    return shell(
        "echo $(( $(ip -6 addr show dev lo to ::6/128 | grep -c inet6) - $(ip -6 route show table local ::6 | wc -l) ))");
  });
  const std::string all =
      kind() != Kind::nft
          ? state_of_namespace()
          : sorted_chains(shell("nft -s list ruleset")) +
                shell("ip -j addr; ip -j rule; ip -j -6 rule; for f in -4 -6; do ip -j $f route show table all; done");
  std::string rules;
  for (std::string_view line : split(all, '\n'))
    if (line.find("elements = ") == std::string_view::npos && line.find("src=") == std::string_view::npos)
      rules += std::string(line) + "\n";
  return rules;
}

std::string until(const std::string& wanted, const std::function<std::string()>& ask) {
  std::string answer;
  for (int attempt = 0; attempt < 500; ++attempt) {
    answer = ask();
    if (answer == wanted) break;
    ::usleep(10'000);
  }
  return answer;
}

Lab& Lab::instance() {
  static Lab lab;
  return lab;
}

Actor& Lab::pod(unsigned uid, unsigned gid) {
  auto& actor = pod_[{uid, gid}];
  if (!actor) actor = Actor::start(uid, gid);
  return *actor;
}

void Lab::start_proxy() {
  proxy_ = Actor::start(1337, 1337);
  CHECK(proxy_->ask("serve-transparent IN15006=15006 IN15106=15106") == "ok");
  CHECK(proxy_->ask("serve OUT15001=15001 OUT15101=15101 DNS15053=15053") == "ok");
  CHECK(proxy_->ask("serve-local-udp DNS15053-udp=15053") == "ok");
}

void Lab::reset() {
  REQUIRE(backend()->remove());
  if (!proxy_) start_proxy();
}

std::unique_ptr<capture::Redirector> Lab::backend(bool force) {
  if (kind() == Kind::nft) return nft::make_nft_redirector(kernel::open_netlink(), {.force = force});
  const auto variant = kind() == Kind::iptables_legacy ? xtables::Variant::legacy : xtables::Variant::nft;
  return xtables::make_xtables_redirector(variant, kernel::open_netlink(), {.force = force});
}

std::string Lab::hint() {
  const char* outer = std::getenv("WEIR_OUTER_PROC");
  char pid[32] = "?";
  if (outer != nullptr) {
    ssize_t size = ::readlink(fmt::format("/proc/self/fd/{}/self", outer).c_str(), pid, sizeof pid - 1);
    pid[size > 0 ? size : 0] = '\0';
  }
  return fmt::format("look inside: WEIR_PAUSE=1 keeps it at its end; the pod: nsenter -t {} -n nft list ruleset", pid);
}

Lab::Lab() {
  remote_ = Actor::start(0, 0, true);
  vm_ = Actor::start(0, 0, true);
  workload_ = Actor::start(0, 0);
  // The first answer shows that the namespaces are there.
  CHECK(remote_->ask("serve REMOTE:80=80 REMOTE:443=443 REMOTE:53=53") == "ok");
  CHECK(remote_->ask("serve-udp REMOTE-udp:7777=7777 REMOTE-udp:53=53 REMOTE-udp:443=443") == "ok");
  CHECK(vm_->ask("serve-udp VM-udp:1=1") == "ok");
  CHECK(workload_->ask(
            "serve APP:8080=8080 APP:9090=9090 LOCALDNS:53=53 ST15020=15020 ST15021=15021 ST15090=15090 TUN15008=15008") == "ok");
  CHECK(workload_->ask("serve-udp APP-udp:8888=8888 LOCALDNS-udp:53=53") == "ok");
  build();
  start_proxy();
}

void Lab::build() {
  const std::string in_remote = fmt::format("nsenter -t {} -n ", remote_->pid()),
                    in_vm = fmt::format("nsenter -t {} -n ", vm_->pid());
  shell("ip link set lo up");
  for (const auto& [there, pid, name] : {std::tuple{in_remote, remote_->pid(), "eth0"}, std::tuple{in_vm, vm_->pid(), "vnet0"}}) {
    shell(fmt::format("ip link add {} type veth peer name eth0 netns {}; {}ip link set lo up", name, pid, there));
    // Link-local addresses would be tentative for a second, and tests would have to wait for them.
    shell(fmt::format("ip link set {} addrgenmode none; {}ip link set eth0 addrgenmode none", name, there));
  }
  shell("ip addr add 10.1.0.2/24 dev eth0; ip addr add fd01::2/64 dev eth0 nodad; ip link set eth0 up");
  shell("ip addr add 10.3.0.1/24 dev vnet0; ip addr add fd03::1/64 dev vnet0 nodad; ip link set vnet0 up");
  shell(in_remote +
        "sh -ec 'ip addr add 10.1.0.1/24 dev eth0; ip addr add fd01::1/64 dev eth0 nodad; ip addr add 10.2.0.2/32 dev lo; "
        "ip addr add fd02::2/128 dev lo; ip link set eth0 up'");
  shell(in_vm +
        "sh -ec 'ip addr add 10.3.0.2/24 dev eth0; ip addr add fd03::2/64 dev eth0 nodad; ip link set eth0 up; "
        "ip route add default via 10.3.0.1; ip route add default via fd03::1'");
  shell("ip route add default via 10.1.0.1; ip route add default via fd01::1");
}

CapturePlan plan_of(const std::string& config) {
  const auto parsed = matrix::parse_config(config);
  REQUIRE_MESSAGE(!has_errors(parsed.problems), to_text(parsed.problems));
  return capture::plan(parsed.parsed.policy);
}

CapturePlan gated(const std::string& config, Nanoseconds limit) {
  auto parsed = matrix::parse_config(config);
  parsed.parsed.policy.start_gate = limit;
  return capture::plan(parsed.parsed.policy);
}

capture::Applied apply(const CapturePlan& plan) {
  auto applied = Lab::backend()->apply(plan);
  REQUIRE_MESSAGE(applied, applied.error().to_text());
  return *applied;
}

std::string concrete(const std::string& expected, Family family) {
  std::string text;
  for (std::string_view word : split(expected, ' ')) {
    if (!text.empty()) text += ' ';
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) {
      text += word;
      continue;
    }
    const auto parts = split(word.substr(equals + 1), ':');
    const IpAddr address = matrix::address(std::string(parts[0]), family);
    text += word.substr(0, equals + 1);
    text += parts.size() == 1 ? address.to_text() : SocketAddr{address, static_cast<Port>(*parse_uint(parts[1]))}.to_text();
  }
  return text;
}

void enrol_with_gate(const char* config, Nanoseconds limit) { enrol_with_gate(gated(config, limit)); }

void enrol_with_gate(const CapturePlan& plan) {
  Lab& lab = Lab::instance();
  lab.pod(1000, 1000).ask("close");
  lab.remote().ask("close");
  // A caller whose proxy closed after the rules had gone waits for its end in FIN-WAIT-2; that sends nothing. The proxy's side
  // sends its FIN again in LAST-ACK; once its process has ended, the rules see no owner in that (net/netfilter/nft_meta.c,
  // xt_owner.c).
  CHECK(until("", [] { return shell("ss -Htn state connected exclude time-wait exclude fin-wait-2 exclude last-ack"); }) == "");
  lab.stop_proxy();
  REQUIRE(Lab::backend()->remove());
  apply(plan);
  lab.start_proxy();
}

void check_names_damages(const CapturePlan& plan, const std::vector<std::string>& damages) {
  Lab::instance().reset();
  for (const std::string& damage : damages) {
    CAPTURE(damage);
    apply(plan);
    auto sound = Lab::backend()->check(plan);
    REQUIRE(sound);
    CHECK(sound->empty());
    shell(damage);
    const std::string before = state_of_namespace();
    auto drift = Lab::backend()->check(plan);
    REQUIRE(drift);
    CHECK(drift->differences.size() >= 1);
    CHECK(state_of_namespace() == before);
    CHECK(apply(plan).changed);
    CHECK(Lab::backend()->check(plan)->empty());
  }
}

std::string address(const char* name, Family family) { return matrix::address(name, family).to_text(); }

std::string source_of(const matrix::Row& row) {
  if (row.source == "-" || row.source.starts_with("mark=")) return row.source;
  const auto taken = matrix::borrowed(row.source);
  if (!taken) return matrix::address(row.source, row.family).to_text();
  const std::string source = "borrowed/" + matrix::address(taken->name, row.family).to_text();
  return taken->mark == 0 ? source : fmt::format("{}/{}", source, taken->mark);
}

std::string app_to_remote(Family family, int limit_ms) {
  return Lab::instance().pod(1000, 1000).ask(fmt::format("tcp {} 80 - {}", matrix::address("REM", family).to_text(), limit_ms));
}
std::string remote_to_app(Family family, int limit_ms) {
  return Lab::instance().remote().ask(fmt::format("tcp {} 8080 - {}", matrix::address("POD", family).to_text(), limit_ms));
}
}  // namespace weir::conformance
