// SPDX-License-Identifier: Apache-2.0
#include "tests/netns/conformance_dice.h"

#include <functional>

namespace weir::conformance {

namespace matrix = capture::matrix;
using capture::CapturePolicy;
using capture::Selection;

namespace {

/// None of weir's own (1337 and the next), under no mask either.
constexpr std::uint32_t kMark = 0x710, kOtherMark = 77;

bool has(const std::vector<std::uint32_t>& list, std::uint32_t id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

/// Who has CAP_NET_ADMIN in the lab, and is the proxy to the policy.
bool may_borrow(const CapturePolicy& policy, const matrix::Row& row) {
  return row.from == "pod" && (row.uid == 1337 || row.gid == 1337) && policy.mode == capture::Mode::tproxy &&
         policy.inbound_ports.kind != Selection::none && (has(policy.proxy_uids, row.uid) || has(policy.proxy_gids, row.gid));
}

}  // namespace

CapturePolicy Dice::base() {
  CapturePolicy policy;
  policy.inbound_ports.kind = one_of<Selection>({Selection::none, Selection::list, Selection::all, Selection::all});
  if (policy.inbound_ports.kind == Selection::list) policy.inbound_ports.list = ports(true);
  if (policy.inbound_ports.kind == Selection::all) policy.inbound_exclude_ports = ports();
  policy.outbound_cidrs.kind = one_of<Selection>({Selection::none, Selection::list, Selection::all, Selection::all});
  if (policy.outbound_cidrs.kind == Selection::list) {
    policy.outbound_cidrs.list = cidrs();
    if (policy.outbound_cidrs.list.empty()) policy.outbound_cidrs.list = {*Cidr::parse("10.0.0.0/8")};
  }
  if (once_in(2)) policy.outbound_exclude_cidrs = cidrs();
  if (once_in(3)) policy.outbound_include_ports = ports();
  if (once_in(3)) policy.outbound_exclude_ports = ports();
  if (once_in(4)) policy.exclude_interfaces = {one_of<std::string>({"eth0", "eth+", "vnet0", "eth1"})};
  if (policy.exclude_interfaces.empty() && once_in(3)) policy.kube_virt_interfaces = {"vnet0"};
  if (once_in(4)) policy.proxy_uids = {3, 4};
  if (once_in(4)) policy.proxy_gids = some_of<std::uint32_t>({3, 5, 1337}, 3);
  if (once_in(4)) policy.loopback_cidr4 = *Cidr::parse("127.0.0.0/8");
  if (once_in(4))
    policy.owner_groups = {.all = false, .include = {0, 1000}, .exclude = {}};
  else if (once_in(4))
    policy.owner_groups.exclude = {1000};
  policy.drop_invalid = once_in(4);
  if (once_in(3)) policy.mode = capture::Mode::tproxy;
  if (once_in(3)) {
    policy.dns = one_of<Selection>({Selection::list, Selection::all});
    if (policy.dns == Selection::list)
      policy.dns_servers = some_of<IpAddr>({matrix::address("REM", Family::v4), matrix::address("REM", Family::v6),
                                            matrix::address("REM2", Family::v4), matrix::address("LO", Family::v6)},
                                           3);
    if (policy.dns == Selection::list && policy.dns_servers.empty()) policy.dns = Selection::all;
  }
  return policy;
}

CapturePolicy Dice::policy(const capture::Redirector& backend, const std::optional<capture::Cgroup>& cgroup) {
  CapturePolicy policy = base();
  // Each is left out again where the backend cannot express it, so that a seed's policy is nearly the same on all.
  const auto may_add = [&](std::size_t n, const std::function<void(CapturePolicy&)>& add) {
    const bool wanted = once_in(n);
    CapturePolicy more = policy;
    add(more);
    if (wanted && !has_errors(capture::validate(more)) && backend.why_not(capture::plan(more)).empty()) policy = std::move(more);
  };
  may_add(3, [this](CapturePolicy& more) {
    more.exclude_outbound =
        exclusions({"10.1.0.0/16:443", "10.2.0.2:80-99/tcp", "[fd01::/16]:443/tcp", "fd02::2", "10.0.0.0/8:53",
                    "10.1.0.1:53-443/udp", "[fd00::/8]:443/udp", "0.0.0.0/0:443/tcp", "[::/0]:80"});
  });
  may_add(3, [this](CapturePolicy& more) {
    more.exclude_inbound = exclusions({"10.1.0.0/16:8080", "10.1.0.1/tcp", "[fd01::/64]:9090", "[fd01::1]:8000-8100/tcp",
                                       "10.3.0.0/24", "[::/0]:53", "10.1.0.1:8080/udp", "0.0.0.0/0:9090"});
  });
  may_add(5, [this](CapturePolicy& more) { more.exclude_uids = one_of<std::vector<std::uint32_t>>({{1000}, {3}, {0, 1000}}); });
  may_add(4, [this](CapturePolicy& more) {
    more.proxy_mark = one_of<capture::MarkMatch>({{kMark & 0xff00U, 0xff00}, {kMark, 0xffffffff}, {kOtherMark, 0xffffffff}});
  });
  for (auto list : {&CapturePolicy::proxy_cgroups, &CapturePolicy::exclude_cgroups})
    may_add(6, [&](CapturePolicy& more) {
      if (cgroup) (more.*list) = {*cgroup};
    });
  may_add(4, [](CapturePolicy& more) {
    if (more.proxy_mark || !more.proxy_cgroups.empty()) more.proxy_uids = {capture::kNobodysId};
  });
  may_add(6, [](CapturePolicy& more) { more.exclude_domains = {kExcludedDomain}; });
  may_add(3, [this](CapturePolicy& more) {
    more.quic = capture::Quic::refuse;
    if (once_in(3)) more.quic_ports = PortSet::of(7777);
  });
  may_add(4, [](CapturePolicy& more) { more.open_after = std::chrono::hours(1); });
  may_add(20, [](CapturePolicy& more) { more.start_gate = std::chrono::minutes(10); });
  may_add(8, [](CapturePolicy& more) { more.block_missing_family = true; });  // none is missing
  return policy;
}

matrix::Row Dice::packet(const CapturePolicy& policy) {
  matrix::Row row;
  row.protocol = once_in(5) ? "udp" : once_in(10) ? "fin" : "tcp";
  row.source = "-";
  row.family = once_in(2) ? Family::v4 : Family::v6;
  row.from = one_of<std::string>({"pod", "pod", "pod", "remote", "remote", "vm"});
  row.destination = row.from == "pod" ? one_of<std::string>({"REM", "REM", "REM2", "POD", "LO", "LO2"}) : "POD";
  const bool is_remote = row.destination.starts_with("REM");
  row.port = is_remote ? one_of<Port>({80, 443, 53}) : one_of<Port>({8080, 9090, 53, 15008, 15020, 15021, 15090, 15001, 15006});
  if (row.from == "pod") {
    row.uid = one_of<std::uint32_t>({0, 3, 4, 1000, 1337});
    row.gid = one_of<std::uint32_t>({0, 3, kCgroupGid, 1000, 1337});
    if (!is_remote && row.destination == "POD" && once_in(5)) row.source = "MAGIC";
    const bool may_mark = row.uid == 0 || row.uid == 1337 || row.gid == 1337;
    if (may_mark && row.source == "-" && once_in(3))
      row.source = fmt::format("mark={}", one_of<std::uint32_t>({kMark, kMark, kMark + 0x10, kOtherMark}));
  }
  if (row.protocol == "udp") as_datagram(row);
  if (row.protocol == "fin") as_lost_end(row);
  // To its own capture ports the guard's reset goes to whom the address belongs: refused too, but not told.
  const bool is_own_port = row.port == 15001 || row.port == 15006;
  if (row.protocol == "tcp" && row.source == "-" && row.destination == "POD" && !is_own_port && may_borrow(policy, row) &&
      once_in(3))
    row.source = one_of<std::string>({"borrowed/REM2", "borrowed/REM2/1337"});
  return row;
}

/// Ports that answer, and one of its own to come from: what connection tracking remembers of another is not asked.
void Dice::as_datagram(matrix::Row& row) {
  static int port = 20000;
  port = port == 60000 ? 20000 : port + 1;
  const std::uint32_t mark = mark_of(row);
  row.source = fmt::format("port={}", port) + (mark == 0 ? "" : fmt::format("/mark={}", mark));
  row.port = row.destination.starts_with("REM") ? one_of<Port>({53, 53, 443, 443, 7777}) : one_of<Port>({53, 53, 8888});
  if (row.destination == "LO2") row.destination = "LO";
}

/// From a raw socket, so of root; within the lab's pod, since what comes back from elsewhere is of no connection either.
void Dice::as_lost_end(matrix::Row& row) {
  row.source = "-";
  row.uid = row.gid = 0;
  if (row.destination.starts_with("REM")) row.destination = "POD";
  row.port = one_of<Port>({8080, 9090, 15020});
}

PortSet Dice::ports(bool at_least_one) {
  PortSet set;
  for (Port port : some_of<Port>({80, 443, 53, 8080, 9090, 15020, 15021, 15090}, 4)) set.add(port);
  if (once_in(4)) set.add({8000, 8999});
  if (at_least_one && set.empty()) set.add(8080);
  return set;
}

std::vector<Cidr> Dice::cidrs() {
  std::vector<Cidr> list;
  for (const std::string& text : some_of<std::string>({"10.1.0.0/16", "10.2.0.2", "10.0.0.0/8", "fd01::/16", "fd02::2",
                                                       "fd00::/8", "127.0.0.0/8", "0.0.0.0/0", "::/0", "192.168.0.0/16"},
                                                      4))
    list.push_back(*Cidr::parse(text));
  return list;
}

std::vector<capture::Exclusion> Dice::exclusions(const std::vector<std::string>& texts) {
  std::vector<capture::Exclusion> list;
  for (const std::string& text : some_of(texts, 4)) list.push_back(capture::Exclusion::parse(text).value());
  return list;
}

std::uint32_t mark_of(const matrix::Row& row) {
  const auto at = row.source.find("mark=");
  return at == std::string::npos ? 0 : static_cast<std::uint32_t>(*parse_uint(std::string_view(row.source).substr(at + 5)));
}

}  // namespace weir::conformance
