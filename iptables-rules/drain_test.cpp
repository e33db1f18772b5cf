// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "iptables-rules/nft_drain.h"
#include "iptables-rules/xtables_drain.h"

namespace weir {
namespace {

const capture::Drain kDrain{.id = "1a2b3c4d", .until = std::chrono::seconds(4711), .ports = {15001, 15006}};

capture::CapturePlan all() {
  capture::CapturePolicy policy;
  policy.inbound_ports.kind = policy.outbound_cidrs.kind = capture::Selection::all;
  return capture::plan(policy);
}

TEST_CASE("the ports that connections are redirected to are read from the rules of each backend") {
  nft::Former former;
  std::uint32_t number = 1;
  for (const nft::Rule& rule : nft::compile(all())) former.rules.push_back(nft::build(rule, number).rule);
  CHECK(nft::redirect_ports(former) == kDrain.ports);
  for (Family family : kBothFamilies) CHECK(xtables::redirect_ports(xtables::compile(all(), family)) == kDrain.ports);
}

TEST_CASE("nft: a drain is the table with its comment, two chains of NAT and one rule") {
  nft::Batch batch;
  nft::add_drain(batch, kDrain, "owner: weir, added ::6 to lo");
  std::string labels;
  for (const nft::Labelled& part : batch) labels += part.label + "\n";
  CHECK(labels == "table inet weir\nchain inbound\nchain outbound\nrule \"ct state invalid accept\" of chain inbound\n");
  CHECK(batch[0].message.find("owner: weir, added ::6 to lo, draining 1a2b3c4d until 4711 s, ports 15001 15006") !=
        std::string::npos);
}

TEST_CASE("iptables: a drain is told from all else that may stand") {
  const xtables::Tables drain = xtables::drain_tables(kDrain, "owner: weir");
  CHECK(xtables::drain_in(drain) == kDrain);
  CHECK(!xtables::drain_in({}));
  CHECK(!xtables::drain_in(xtables::compile(all(), Family::v4)));
  xtables::Tables more = drain;
  more[0].jumps.push_back({.chain = "OUTPUT", .rule = "-j WEIR_OUTBOUND"});
  CHECK(!xtables::drain_in(more));
}

TEST_CASE("iptables: the captures give way to the drain in one commit of table nat, before the other tables go") {
  const std::string text = xtables::transition(xtables::compile(all(), Family::v4), xtables::drain_tables(kDrain, "owner: weir"));
  const auto nat = text.find("*nat\n"), commit = text.find("COMMIT\n", nat), filter = text.find("*filter\n");
  CHECK(nat == 0);
  CHECK(commit < filter);
  const std::string in_nat = text.substr(nat, commit - nat);
  for (const char* line :
       {"-D OUTPUT ", "-D PREROUTING ", "-A WEIR_DRAINING -m conntrack --ctstate DNAT ", "-X WEIR_TO_OUTBOUND\n"})
    CHECK_MESSAGE(in_nat.find(line) != std::string::npos, line);
}

TEST_CASE("iptables: what ends a drain names the very rule, so that it fails where another stands") {
  CHECK(xtables::ending(xtables::drain_tables(kDrain, "owner: weir")) ==
        "*nat\n-D WEIR_DRAINING -m conntrack --ctstate DNAT -m comment --comment \"owner: weir, draining 1a2b3c4d until 4711 s, "
        "ports 15001 15006\" -j RETURN\n-X WEIR_DRAINING\nCOMMIT\n");
  CHECK(xtables::ending(xtables::compile(all(), Family::v4)).empty());
}

}  // namespace
}  // namespace weir
