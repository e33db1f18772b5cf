// SPDX-License-Identifier: Apache-2.0
// The table: a row for each flag and environment variable.
#include <fmt/format.h>

#include "base/text.h"
#include "capture/option_values.h"
#include "capture/options.h"

namespace weir::capture {

namespace {

void read_mode(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  if (value.empty() || value == "REDIRECT")
    draft.policy.mode = Mode::redirect;
  else if (value == "NONE")
    draft.policy.mode = Mode::none;
  else if (value == "TPROXY")
    draft.policy.mode = Mode::tproxy;
  else
    wrong.push_back(fmt::format("\"{}\" is not an interception mode; write REDIRECT, TPROXY or NONE", printable(value)));
}

/// "none" is a number that nobody has: the last but one, which no kernel gives away by itself. So no list is ever empty, which
/// would mean everybody.
void read_proxy_uids(Parsed& draft, std::string_view value, const Accounts& accounts, Wrong& wrong) {
  if (value == "none")
    draft.policy.proxy_uids = {kNobodysId};
  else
    read_ids(value, accounts.uid_of, "user", draft.policy.proxy_uids, wrong);
}

void read_probe_timeout(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  auto duration = parse_duration(value);
  if (duration && *duration <= Nanoseconds::zero())
    wrong.push_back(fmt::format("\"{}\" leaves no time; write one like 5s", printable(value)));
  else
    take(std::move(duration), draft.requests.probe_timeout, wrong);
}

void read_gate(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  if (value.empty() || value == "off") {
    draft.policy.start_gate.reset();
    return;
  }
  if (!value.starts_with("hold:")) {
    wrong.push_back(fmt::format("\"{}\" is not a start gate; write hold:30s, or off", printable(value)));
    return;
  }
  auto duration = parse_duration(value.substr(5));
  if (duration)
    draft.policy.start_gate = *duration;
  else
    wrong.push_back(duration.error().message());
}

void read_groups(Parsed& draft, std::string_view value, const Accounts& accounts, Wrong& wrong) {
  draft.policy.owner_groups.all = value == "*";
  if (value != "*") read_ids(value, accounts.gid_of, "group", draft.policy.owner_groups.include, wrong);
}

void read_inbound_ports(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  PortSelection& ports = draft.policy.inbound_ports;
  ports = {};
  if (value == "*") {
    ports.kind = Selection::all;
    return;
  }
  read_ports(value, ports.list, wrong);
  if (!ports.list.empty()) ports.kind = Selection::list;
}

void read_outbound_cidrs(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  CidrSelection& cidrs = draft.policy.outbound_cidrs;
  cidrs = {};
  if (value == "*") {
    cidrs.kind = Selection::all;
    return;
  }
  read_cidrs(value, cidrs.list, wrong);
  if (!cidrs.list.empty()) cidrs.kind = Selection::list;
}

void read_iptables_binary(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  if (value == "legacy" || value == "nft")
    draft.requests.backend = fmt::format("iptables-{}", value);
  else if (!value.empty())
    wrong.push_back(fmt::format("\"{}\" is not a variant of iptables; write legacy or nft", printable(value)));
}

void read_backend(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  if (value.empty()) return;
  std::string& backend = draft.requests.backend;
  if (value != "nft" && value != "iptables-nft" && value != "iptables-legacy" && value != "auto")
    wrong.push_back(fmt::format("\"{}\" is not a backend; write nft, iptables-nft, iptables-legacy or auto", printable(value)));
  else if (!backend.empty() && backend != value)
    wrong.push_back(fmt::format(
        "\"{}\" contradicts --force-iptables-binary or --native-nftables, which ask for {}; leave one out", value, backend));
  else
    backend = value;
}

const std::vector<Option>& table() {
  using P = Parsed;
  using V = std::string_view;
  using A = const Accounts;
  static const std::vector<Option> rows = {
      {'p',
       "envoy-port",
       {},
       "PORT",
       "15001",
       "port of the proxy to which outbound connections go",
       [](P& d, V v, A&, Wrong& w) { take(parse_port(v), d.policy.outbound_port, w); }},
      {'z',
       "inbound-capture-port",
       {"INBOUND_CAPTURE_PORT"},
       "PORT",
       "15006",
       "port of the proxy to which inbound connections go",
       [](P& d, V v, A&, Wrong& w) { take(parse_port(v), d.policy.inbound_port, w); }},
      {'e',
       "inbound-tunnel-port",
       {"INBOUND_TUNNEL_PORT"},
       "PORT",
       "15008",
       "HBONE port; never captured inbound",
       [](P& d, V v, A&, Wrong& w) { take(parse_port(v), d.policy.tunnel_port, w); }},
      {'u',
       "proxy-uid",
       {"PROXY_UID"},
       "UIDS",
       "",
       "uids whose traffic is never captured; empty: the uid of user $ENVOY_USER, else 1337; none: only --proxy-mark or "
       "--proxy-cgroups tell the proxy",
       read_proxy_uids},
      {'g',
       "proxy-gid",
       {"PROXY_GID"},
       "GIDS",
       "",
       "gids whose traffic is never captured; empty: the same as --proxy-uid",
       [](P& d, V v, A& a, Wrong& w) { read_ids(v, a.gid_of, "group", d.policy.proxy_gids, w); }},
      {'m',
       "istio-inbound-interception-mode",
       {"ISTIO_INBOUND_INTERCEPTION_MODE"},
       "MODE",
       "",
       "how inbound connections reach the proxy: REDIRECT (also if empty); TPROXY, by a transparent socket, so that it sees the "
       "client's address; NONE: capture nothing, in or out",
       read_mode},
      {'b',
       "istio-inbound-ports",
       {"ISTIO_INBOUND_PORTS"},
       "PORTS",
       "",
       "inbound ports to capture: *, a list, or nothing (then nothing inbound is captured)",
       read_inbound_ports},
      {'d',
       "istio-local-exclude-ports",
       {"ISTIO_LOCAL_EXCLUDE_PORTS"},
       "PORTS",
       "",
       "inbound ports never captured; effective only with --istio-inbound-ports '*'",
       [](P& d, V v, A&, Wrong& w) { read_ports(v, d.policy.inbound_exclude_ports, w); }},
      {'c',
       "istio-exclude-interfaces",
       {"ISTIO_EXCLUDE_INTERFACES"},
       "NAMES",
       "",
       "interfaces whose traffic is never captured, in or out; eth+ means all that begin with eth",
       [](P& d, V v, A&, Wrong& w) { read_names(v, d.policy.exclude_interfaces, w); }},
      {'i',
       "istio-service-cidr",
       {"ISTIO_SERVICE_CIDR"},
       "CIDRS",
       "",
       "outbound destinations to capture: *, a list of IPv4 and IPv6 ranges, or nothing",
       read_outbound_cidrs},
      {'x',
       "istio-service-exclude-cidr",
       {"ISTIO_SERVICE_EXCLUDE_CIDR"},
       "CIDRS",
       "",
       "outbound destinations never captured; beats --istio-service-cidr and --istio-outbound-ports",
       [](P& d, V v, A&, Wrong& w) { read_cidrs(v, d.policy.outbound_exclude_cidrs, w); }},
      {'q',
       "istio-outbound-ports",
       {"ISTIO_OUTBOUND_PORTS"},
       "PORTS",
       "",
       "outbound ports captured even where --istio-service-cidr does not contain the destination",
       [](P& d, V v, A&, Wrong& w) { read_ports(v, d.policy.outbound_include_ports, w); }},
      {'o',
       "istio-local-outbound-ports-exclude",
       {"ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE"},
       "PORTS",
       "",
       "outbound ports never captured; beats all other outbound options",
       [](P& d, V v, A&, Wrong& w) { read_ports(v, d.policy.outbound_exclude_ports, w); }},
      {'k',
       "kube-virt-interfaces",
       {"KUBE_VIRT_INTERFACES"},
       "NAMES",
       "",
       "interfaces of virtual machines: what comes in by them counts as outbound",
       [](P& d, V v, A&, Wrong& w) { read_names(v, d.policy.kube_virt_interfaces, w); }},
      {'t',
       "istio-inbound-tproxy-mark",
       {"ISTIO_INBOUND_TPROXY_MARK"},
       "MARK",
       "1337",
       "TPROXY: mark of the proxy's calls to its workload with the client's address; a number, also 0x539",
       [](P& d, V v, A&, Wrong& w) { take(parse_number32(v), d.policy.tproxy_mark, w); }},
      {'r',
       "istio-inbound-tproxy-route-table",
       {"ISTIO_INBOUND_TPROXY_ROUTE_TABLE"},
       "TABLE",
       "133",
       "TPROXY: number of the routing table that brings the answers to such calls back",
       [](P& d, V v, A&, Wrong& w) { take(parse_number32(v), d.policy.tproxy_route_table, w); }},
      {'n',
       "dry-run",
       {"DRY_RUN"},
       "",
       "false",
       "print the plan, its reasons and the nftables rules; change nothing",
       [](P& d, V v, A&, Wrong& w) { read_bool(v, d.requests.dry_run, w); }},
      {0,
       "start-gate",
       {"WEIR_START_GATE"},
       "GATE",
       "off",
       "hold:DURATION lets new connections wait until the proxy sends its first packet, at most so long; off: no gate",
       read_gate},
      {0,
       "iptables-probe-port",
       {"IPTABLES_PROBE_PORT"},
       "PORT",
       "15002",
       "port that --run-validation dials",
       [](P& d, V v, A&, Wrong& w) { take(parse_port(v), d.requests.probe_port, w); }},
      {0, "probe-timeout", {"PROBE_TIMEOUT"}, "DURATION", "5s", "time limit of --run-validation", read_probe_timeout},
      {0,
       "skip-rule-apply",
       {"SKIP_RULE_APPLY"},
       "",
       "false",
       "leave the rules as they are, to validate them only",
       [](P& d, V v, A&, Wrong& w) { read_bool(v, d.requests.skip_rule_apply, w); }},
      {0,
       "run-validation",
       {"RUN_VALIDATION"},
       "",
       "false",
       "afterwards dial 127.0.0.6 and ::6 and see whether that comes to the inbound port; run it as the proxy's uid, before the "
       "proxy",
       [](P& d, V v, A&, Wrong& w) { read_bool(v, d.requests.run_validation, w); }},
      {0,
       "redirect-dns",
       {"REDIRECT_DNS", "ISTIO_META_DNS_CAPTURE"},
       "",
       "false",
       "send the workload's DNS queries, TCP and UDP, to port 15053 (weir-proxy does not serve it yet); those to resolv.conf's "
       "servers",
       [](P& d, V v, A&, Wrong& w) { read_bool(v, d.requests.redirect_dns, w); }},
      {0,
       "capture-all-dns",
       {"CAPTURE_ALL_DNS"},
       "",
       "false",
       "with --redirect-dns: those to any server",
       [](P& d, V v, A&, Wrong& w) { read_bool(v, d.requests.capture_all_dns, w); }},
      {0,
       "drop-invalid",
       {"DROP_INVALID", "INVALID_DROP"},
       "",
       "false",
       "drop packets that connection tracking calls invalid, of every protocol",
       [](P& d, V v, A&, Wrong& w) { read_bool(v, d.policy.drop_invalid, w); }},
      {0,
       "dual-stack",
       {"DUAL_STACK", "ISTIO_DUAL_STACK"},
       "",
       "false",
       "accepted; both IP families are always programmed",
       [](P&, V v, A&, Wrong& w) {
         bool ignored = false;
         read_bool(v, ignored, w);
       }},
      {0,
       "network-namespace",
       {"NETWORK_NAMESPACE"},
       "PATH",
       "",
       "another network namespace (use nsenter --net=PATH weir-init instead)"},
      {0, "cni-mode", {"CNI_MODE"}, "", "false", "work from the host"},
      {0,
       "reconcile",
       {"RECONCILE"},
       "",
       "false",
       "accepted; apply always replaces what differs, in one transaction",
       [](P&, V v, A&, Wrong& w) {
         bool ignored = false;
         read_bool(v, ignored, w);
       }},
      {0,
       "cleanup-only",
       {"CLEANUP_ONLY"},
       "",
       "false",
       "the same as the verb remove",
       [](P& d, V v, A&, Wrong& w) { read_bool(v, d.requests.cleanup_only, w); }},
      {0,
       "force-apply",
       {"FORCE_APPLY"},
       "",
       "false",
       "program the rules even if they are there already",
       [](P& d, V v, A&, Wrong& w) { read_bool(v, d.requests.force_apply, w); }},
      // As Istio: native nftables beats the choice of an iptables binary. A --backend beats neither: it must not contradict.
      {0,
       "force-iptables-binary",
       {"FORCE_IPTABLES_BINARY"},
       "NAME",
       "",
       "iptables' rules instead of nftables', by its variant legacy or nft: the backend iptables-legacy or iptables-nft",
       read_iptables_binary},
      {0,
       "native-nftables",
       {"NATIVE_NFTABLES"},
       "",
       "false",
       "the backend nft, whatever --force-iptables-binary says",
       [](P& d, V v, A&, Wrong& w) {
         bool is_native = false;
         read_bool(v, is_native, w);
         if (is_native) d.requests.backend = "nft";
       }},
      {0,
       "backend",
       {"WEIR_BACKEND"},
       "NAME",
       "nft",
       "nft, iptables-nft, iptables-legacy, or auto: the first of them that works here",
       read_backend},
      {0,
       "",
       {"ISTIO_OUTBOUND_OWNER_GROUPS"},
       "GROUPS",
       "*",
       "groups (names or gids of a socket's owner) whose outbound traffic is captured",
       read_groups},
      {0,
       "",
       {"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE"},
       "GROUPS",
       "",
       "groups whose outbound traffic is never captured",
       [](P& d, V v, A& a, Wrong& w) { read_ids(v, a.gid_of, "group", d.policy.owner_groups.exclude, w); }},
      {0,
       "",
       {"ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR"},
       "CIDR",
       "127.0.0.1/32",
       "what localhost is in IPv4",
       [](P& d, V v, A&, Wrong& w) { take(Cidr::parse(v), d.policy.loopback_cidr4, w); }},
      {0,
       "",
       {"DRY_RUN_FILE_PATH"},
       "FILE",
       "",
       "file into which --dry-run writes the rules too",
       [](P& d, V v, A&, Wrong&) { d.requests.dry_run_file = v; }},
  };
  return rows;
}

}  // namespace

std::span<const Option> options() {
  static const std::vector<Option> all = [] {
    std::vector<Option> rows = table();
    rows.insert(rows.end(), weir_options().begin(), weir_options().end());
    return rows;
  }();
  return all;
}

}  // namespace weir::capture
