// SPDX-License-Identifier: Apache-2.0
// The rows of the table that istio-iptables does not have. Environment variables bear the prefix WEIR_.
#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "capture/option_values.h"
#include "capture/options.h"

namespace weir::capture {

namespace {

/// Four of weir-proxy's heartbeats: one that is late is no reason to let traffic pass by.
constexpr Nanoseconds kOpenAfter = std::chrono::seconds(2);

void read_fail_mode(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  std::optional<Nanoseconds>& open_after = draft.policy.open_after;
  open_after.reset();
  if (value.empty() || value == "closed") return;
  if (value == "open")
    open_after = kOpenAfter;
  else if (value.starts_with("open:"))
    take(parse_duration(value.substr(5)), open_after.emplace(), wrong);
  else
    wrong.push_back(fmt::format("\"{}\" is not a fail mode; write closed, open or open:5s", printable(value)));
}

void read_mark(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  draft.policy.proxy_mark.reset();
  if (!value.empty()) take(MarkMatch::parse(value), draft.policy.proxy_mark.emplace(), wrong);
}

void read_cgroups(std::string_view list, const Accounts& accounts, std::vector<Cgroup>& into, Wrong& wrong) {
  into.clear();
  for (std::string_view item : items(list)) {
    std::string path(item);
    while (path.starts_with('/')) path.erase(0, 1);
    while (path.ends_with('/')) path.pop_back();
    const bool is_strange =
        path.empty() || path.size() > 1024 || path.find("//") != std::string::npos ||
        ("/" + path + "/").find("/../") != std::string::npos ||
        std::any_of(path.begin(), path.end(), [](char c) { return c < ' ' || c == '"' || c == '\\' || c == 127; });
    const auto id = is_strange ? std::nullopt : accounts.cgroup_of(path);
    if (id)
      into.push_back({.path = std::move(path), .id = *id});
    else
      wrong.push_back(
          fmt::format("\"{}\" is no cgroup here; write its path below the root of the cgroup v2 hierarchy, like "
                      "kubepods/pod1/app; the last column of /proc/PID/cgroup shows it",
                      printable(item)));
  }
}

void read_exclusions(std::string_view list, std::vector<Exclusion>& into, Wrong& wrong) {
  into.clear();
  for (std::string_view item : items(list)) {
    auto exclusion = Exclusion::parse(item);
    if (exclusion)
      into.push_back(std::move(*exclusion));
    else
      wrong.push_back(exclusion.error().message());
  }
}

void read_inbound_exclusions(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  read_exclusions(value, draft.policy.exclude_inbound, wrong);
  for (const Exclusion& exclusion : draft.policy.exclude_inbound)
    if (exclusion.protocol == Exclusion::Protocol::udp) {
      wrong.push_back("UDP from outside is not captured; write ranges without /udp");
      return;
    }
}

void read_missing_family(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  draft.policy.block_missing_family = value == "block";
  if (!value.empty() && value != "block" && value != "refuse")
    wrong.push_back(fmt::format("\"{}\" is not known; write refuse or block", printable(value)));
}

/// RFC 1123 2.1, and '_' as people use it.
bool is_domain(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (std::string_view label : split(name, '.'))
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-' ||
        !std::all_of(label.begin(), label.end(), [](char c) {
          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        }))
      return false;
  return true;
}

void read_domains(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  std::vector<std::string>& domains = draft.policy.exclude_domains;
  domains.clear();
  for (std::string_view item : items(value)) {
    if (item.ends_with('.')) item.remove_suffix(1);
    if (item.starts_with("*"))
      wrong.push_back(fmt::format("\"{}\" stands for names that DNS does not list; write each name", printable(item)));
    else if (Cidr::parse(item))
      wrong.push_back(fmt::format("\"{}\" is an address; write it in --exclude-outbound", printable(item)));
    else if (!is_domain(item))
      wrong.push_back(fmt::format("\"{}\" is not a domain name; write one like api.example.com", printable(item)));
    else
      domains.emplace_back(item);
  }
}

void read_quic(Parsed& draft, std::string_view value, const Accounts&, Wrong& wrong) {
  if (value.empty() || value == "pass")
    draft.policy.quic = Quic::pass;
  else if (value == "refuse")
    draft.policy.quic = Quic::refuse;
  else if (value == "capture")
    wrong.push_back("UDP cannot be captured yet; write refuse, so that clients fall back to TCP, or pass");
  else
    wrong.push_back(fmt::format("\"{}\" is not known; write pass or refuse", printable(value)));
}

}  // namespace

std::span<const Option> weir_options() {
  using P = Parsed;
  using V = std::string_view;
  using A = const Accounts;
  static const std::vector<Option> rows = {
      {0,
       "when-proxy-down",
       {"WEIR_WHEN_PROXY_DOWN"},
       "MODE",
       "closed",
       "captured connections without a proxy: closed: reset; open, or open:DURATION: they go direct once weir-proxy has sent no "
       "heartbeat for so long (open: 2s), or as soon as the start gate ends without one",
       read_fail_mode},
      {0,
       "on-missing-family",
       {"WEIR_ON_MISSING_FAMILY"},
       "MODE",
       "refuse",
       "an IP family that the sandbox has and that cannot be programmed there: refuse to program anything, or block the family",
       read_missing_family},
      {0,
       "proxy-mark",
       {"WEIR_PROXY_MARK"},
       "MARK",
       "",
       "mark of the proxy's sockets (SO_MARK), with or without a mask: its traffic is treated as that of --proxy-uid",
       read_mark},
      {0,
       "proxy-cgroups",
       {"WEIR_PROXY_CGROUPS"},
       "PATHS",
       "",
       "cgroups (v2) of the proxy: their traffic is treated as that of --proxy-uid",
       [](P& d, V v, A& a, Wrong& w) { read_cgroups(v, a, d.policy.proxy_cgroups, w); }},
      {0,
       "exclude-uids",
       {"WEIR_EXCLUDE_UIDS"},
       "UIDS",
       "",
       "users (names or uids of a socket's owner) whose outbound traffic is never captured",
       [](P& d, V v, A& a, Wrong& w) { read_ids(v, a.uid_of, "user", d.policy.exclude_uids, w); }},
      {0,
       "exclude-cgroups",
       {"WEIR_EXCLUDE_CGROUPS"},
       "PATHS",
       "",
       "cgroups (v2), such as a container's, whose outbound traffic is never captured",
       [](P& d, V v, A& a, Wrong& w) { read_cgroups(v, a, d.policy.exclude_cgroups, w); }},
      {0,
       "exclude-outbound",
       {"WEIR_EXCLUDE_OUTBOUND"},
       "RANGES",
       "",
       "outbound destinations never captured, with ports and protocol if wanted: 10.0.0.0/8:443/tcp,[fd00::/8]:8000-8999",
       [](P& d, V v, A&, Wrong& w) { read_exclusions(v, d.policy.exclude_outbound, w); }},
      {0,
       "exclude-inbound",
       {"WEIR_EXCLUDE_INBOUND"},
       "RANGES",
       "",
       "sources whose inbound connections are never captured, with destination ports if wanted: 10.0.0.0/8:8080",
       read_inbound_exclusions},
      {0,
       "exclude-domains",
       {"WEIR_EXCLUDE_DOMAINS"},
       "NAMES",
       "",
       "outbound destinations never captured, by name: the addresses that weir-init watch, left running, finds for them",
       read_domains},
      {0,
       "quic",
       {"WEIR_QUIC"},
       "MODE",
       "pass",
       "outbound UDP to QUIC's ports where TCP would be captured: pass, or refuse it at once, so that HTTP/3 falls back to TCP",
       read_quic},
      {0,
       "quic-ports",
       {"WEIR_QUIC_PORTS"},
       "PORTS",
       "443",
       "QUIC's ports",
       [](P& d, V v, A&, Wrong& w) { read_ports(v, d.policy.quic_ports, w); }},
  };
  return rows;
}

}  // namespace weir::capture
