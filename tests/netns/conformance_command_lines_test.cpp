// SPDX-License-Identifier: Apache-2.0
// weir-init with the command lines and environments that real pods have for istio-iptables, unchanged; then a look from outside.
#include <doctest/doctest.h>

#include <cstdlib>

#include "kernel/child.h"
#include "tests/netns/conformance_lab.h"

namespace weir::conformance {
namespace {

namespace matrix = capture::matrix;

/// Who asks what, and the answer in the table's names.
struct Look {
  const char* from;  // "remote", or a uid of the pod
  const char* question;
  const char* answer;
};

struct CommandLine {
  const char* name;
  std::vector<std::string> environment, arguments;
  std::vector<Look> looks;  // each in both families
};

const Look kInbound{"remote", "tcp POD 8080", kIn};
const Look kOutbound{"1000", "tcp REM 80", kOut};
const Look kOfProxy{"1337", "tcp REM 80", "REMOTE:80 od=REM:80 la=REM:80 peer=POD"};
const Look kExcluded{"remote", "tcp POD 15021", "ST15021 od=POD:15021 la=POD:15021 peer=REM"};
const Look kQuery{"1000", "udp REM 53", "DNS15053-udp peer=POD from=REM:53"};

std::vector<CommandLine> command_lines() {
  const auto with = [](std::vector<std::string> front, const std::vector<std::string>& more) {
    front.insert(front.end(), more.begin(), more.end());
    return front;
  };
  // What the injector writes into a pod: istio-init's args.
  const std::vector<std::string> injected = {"istio-iptables",
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
                                             "--log_output_level=default:info"};
  std::vector<std::string> tproxy = injected;
  tproxy[8] = "TPROXY";
  return {
      {"the injector's", {}, injected, {kInbound, kOutbound, kOfProxy, kExcluded}},
      {"the injector's, TPROXY", {}, tproxy, {{"remote", "tcp POD 8080", kTransparent}, kOutbound, kOfProxy, kExcluded}},
      {"environment only",
       {"INBOUND_CAPTURE_PORT=15006", "PROXY_UID=1337", "PROXY_GID=1337", "ISTIO_INBOUND_INTERCEPTION_MODE=REDIRECT",
        "ISTIO_INBOUND_PORTS=*", "ISTIO_LOCAL_EXCLUDE_PORTS=15090,15021,15020", "ISTIO_SERVICE_CIDR=*",
        "ISTIO_SERVICE_EXCLUDE_CIDR=", "ISTIO_META_DNS_CAPTURE=false", "INVALID_DROP=false", "ENVOY_USER=nobody-has-this-name"},
       {},
       {kInbound, kOutbound, kOfProxy, kExcluded}},
      {"dual stack", {"ISTIO_DUAL_STACK=true"}, with(injected, {"--dual-stack"}), {kInbound, kOutbound, kOfProxy}},
      {"DNS capture by proxy metadata",
       {"ISTIO_META_DNS_CAPTURE=true", "CAPTURE_ALL_DNS=true"},
       injected,
       {kInbound, kOutbound, kQuery, {"1337", "udp REM 53", "REMOTE-udp:53 peer=POD from=REM:53"}}},
      {"lists of ranges and ports",
       {},
       {"istio-iptables",
        "-p",
        "15001",
        "-z",
        "15006",
        "-u",
        "1337",
        "-m",
        "REDIRECT",
        "-i",
        "10.2.0.0/16,fd02::/64",
        "-x",
        "10.1.0.0/24,fd01::/64",
        "-b",
        "8080,9091",
        "-d",
        "15090,15021,15020",
        "-q",
        "443",
        "-o",
        "22"},
       {kInbound,
        {"1000", "tcp REM2 80", "OUT15001 od=REM2:80 la=LO:15001 peer=POD"},
        {"1000", "tcp REM 443", "REMOTE:443 od=REM:443 la=REM:443 peer=POD"},
        {"remote", "tcp POD 9090", "APP:9090 od=POD:9090 la=POD:9090 peer=REM"}}},
      {"istio-cni's",
       {},
       {"istio-iptables",
        "-p",
        "15001",
        "-z",
        "15006",
        "-e",
        "15008",
        "-u",
        "1337",
        "-g",
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
        "15020,15021,15090",
        "-q",
        "",
        "-o",
        "15020",
        "-c",
        "",
        "-k",
        "",
        "--cni-mode=false",
        "--reconcile",
        "--force-apply=false",
        "--log_output_level",
        "default:info"},
       {kInbound, kOutbound, kOfProxy, kExcluded}},
  };
}

kernel::Output weir_init(const CommandLine& line, const std::vector<std::string>& more = {}) {
  const char* program = std::getenv("WEIR_INIT");
  REQUIRE(program != nullptr);
  std::vector<std::string> command = {"env"};
  command.insert(command.end(), line.environment.begin(), line.environment.end());
  command.emplace_back(program);
  command.insert(command.end(), line.arguments.begin(), line.arguments.end());
  command.insert(command.end(), more.begin(), more.end());
  auto done = kernel::run(command);
  REQUIRE(done);
  return *done;
}

std::string ask(const Look& look, Family family) {
  Lab& lab = Lab::instance();
  const auto words = split(look.question, ' ');
  const auto id = parse_uint(look.from);
  Actor& actor = id ? lab.pod(static_cast<unsigned>(*id), static_cast<unsigned>(*id)) : lab.remote();
  return actor.ask(fmt::format("{} {} {} - 5000", words[0], matrix::address(std::string(words[1]), family).to_text(), words[2]));
}

TEST_CASE("command lines of real pods work unchanged, a second run changes nothing, --cleanup-only leaves nothing") {
  Lab& lab = Lab::instance();
  lab.reset();
  const std::string before = state_of_namespace();
  for (const CommandLine& line : command_lines()) {
    CAPTURE(line.name);
    auto done = weir_init(line);
    CHECK_MESSAGE(done.exit_code == 0, done.out, done.err);
    for (const Look& look : line.looks)
      for (Family family : kBothFamilies) {
        CAPTURE(look.question);
        CHECK(ask(look, family) == concrete(look.answer, family));
      }
    const std::string programmed = state_of_namespace();
    done = weir_init(line);
    CHECK_MESSAGE(done.exit_code == 0, done.out, done.err);
    CHECK(state_of_namespace() == programmed);
    done = weir_init(line, {"--cleanup-only"});
    CHECK_MESSAGE(done.exit_code == 0, done.out, done.err);
    CHECK(state_of_namespace() == before);
  }
}

}  // namespace
}  // namespace weir::conformance
