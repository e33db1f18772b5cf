// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/xtables_step.h"

#include <algorithm>

#include <fmt/format.h>

namespace weir::xtables {

namespace {

/// As iptables-save writes it: without a full mask.
std::string mark_text(const capture::MarkMatch& mark) {
  return mark.mask == 0xffffffff ? fmt::format("{:#x}", mark.value) : fmt::format("{:#x}/{:#x}", mark.value, mark.mask);
}

using capture::Match;
using capture::Step;

/// What one `-m multiport` holds; a range counts twice.
constexpr std::size_t kMultiport = 15;

void append(std::string& text, std::string_view part) {
  if (part.empty()) return;
  if (!text.empty()) text += ' ';
  text += part;
}

std::string address(const Cidr& cidr) { return fmt::format("{}/{}", cidr.address().to_text(), cidr.prefix()); }

std::string range(const PortRange& range) {
  return range.first == range.last ? std::to_string(range.first) : fmt::format("{}:{}", range.first, range.last);
}

std::vector<std::string> owners(std::string_view kind, std::vector<std::uint32_t> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<std::string> found;
  for (std::uint32_t id : ids) found.push_back(fmt::format("-m owner --{}-owner {}", kind, id));
  return found;
}

}  // namespace

std::string comment(std::string_view text) {
  std::string quoted;
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return fmt::format("-m comment --comment \"{}\"", quoted);
}

std::vector<Cidr> of_family(const std::vector<Cidr>& list, Family family) {
  std::vector<Cidr> found;
  std::copy_if(list.begin(), list.end(), std::back_inserter(found), [&](const Cidr& cidr) { return cidr.family() == family; });
  return found;
}

bool contains_all(const Cidr& cidr) { return cidr.prefix() == 0; }

StepRules::StepRules(const Step& step, Family family, std::string_view more) : step_(step), match_(step.match), family_(family) {
  fix();
  append(rest_, more);
  add_list(match_.source, "-s");
  add_list(match_.destination, "-d");
  add_ports(match_.source_ports, "--sport");
  add_ports(match_.ports, "--dport");
  add_alternatives(owners("uid", match_.uids));
  add_alternatives(owners("gid", match_.gids));
}

std::size_t StepRules::size() const {
  std::size_t product = 1;
  for (const auto& list : lists_) product *= list.size();
  return product;
}

std::size_t StepRules::long_lists() const {
  return static_cast<std::size_t>(std::count_if(lists_.begin(), lists_.end(), [](const auto& list) { return list.size() > 1; }));
}

std::vector<std::string> StepRules::combinations(bool only_lists) const {
  std::vector<std::string> rules;
  std::vector<std::size_t> at(lists_.size(), 0);
  for (;;) {
    std::vector<std::string> chosen;
    for (std::size_t i = 0; i < lists_.size(); ++i) chosen.push_back(lists_[i][at[i]]);
    // Ports need their protocol in the same rule.
    const bool has_ports = !match_.ports.empty() || !match_.source_ports.empty();
    rules.push_back(only_lists ? written(chosen, "", has_ports ? ported_protocol() : "", "")
                               : written(chosen, addresses_, protocol_, rest_));
    std::size_t i = lists_.size();
    while (i > 0 && ++at[i - 1] == lists_[i - 1].size()) at[--i] = 0;
    if (i == 0) return rules;
  }
}

void StepRules::fix() {
  for (const Cidr& cidr : of_family(match_.not_destination, family_)) append(addresses_, "! -d " + address(cidr));
  if (!match_.in_interface.empty()) append(addresses_, "-i " + match_.in_interface);
  if (!match_.not_in_interface.empty()) append(addresses_, "! -i " + match_.not_in_interface);
  if (!match_.out_interface.empty()) append(addresses_, "-o " + match_.out_interface);
  if (!match_.not_out_interface.empty()) append(addresses_, "! -o " + match_.not_out_interface);
  const bool lists_ports = !match_.ports.empty() || !match_.source_ports.empty();
  const bool looks_at_tcp = match_.syn != Match::Syn::any || lists_ports || !match_.not_ports.empty();
  if (match_.protocol == Match::Protocol::not_tcp)
    protocol_ = "! -p tcp";
  else if (match_.protocol == Match::Protocol::udp)
    protocol_ = "-p udp";
  else if (match_.protocol == Match::Protocol::tcp || looks_at_tcp)
    protocol_ = "-p tcp";
  if (match_.syn != Match::Syn::any || lists_ports) protocol_ = ported_protocol();
  if (match_.syn != Match::Syn::any)
    append(protocol_, match_.syn == Match::Syn::first ? "--tcp-flags SYN,ACK SYN" : "! --tcp-flags SYN,ACK SYN");
  exclude_ports();
  if (match_.to_this_sandbox) append(rest_, "-m addrtype --dst-type LOCAL");
  if (match_.from_elsewhere) append(rest_, "-m addrtype ! --src-type LOCAL");
  if (match_.mark) append(rest_, fmt::format("-m mark --mark {:#x}", *match_.mark));
  if (match_.not_mark) append(rest_, fmt::format("-m mark ! --mark {:#x}", *match_.not_mark));
  if (match_.connection_mark) append(rest_, fmt::format("-m connmark --mark {:#x}", *match_.connection_mark));
  if (match_.sender_mark) append(rest_, "-m mark --mark " + mark_text(*match_.sender_mark));
  if (match_.is_invalid) append(rest_, "-m conntrack --ctstate INVALID");
  if (match_.cgroup) append(rest_, fmt::format("-m cgroup --path \"{}\"", match_.cgroup->path));
  exclude_owners("uid", match_.not_uids);
  exclude_owners("gid", match_.not_gids);
}

void StepRules::exclude_ports() {
  std::string list;
  std::size_t used = 0;
  auto flush = [&] {
    if (!list.empty()) append(rest_, "-m multiport ! --dports " + list);
    list.clear();
    used = 0;
  };
  for (const PortRange& excluded : match_.not_ports.ranges()) {
    const std::size_t costs = excluded.first == excluded.last ? 1 : 2;
    if (used + costs > kMultiport) flush();
    list += (list.empty() ? "" : ",") + range(excluded);
    used += costs;
  }
  flush();
}

/// Socketless packets have no owner at all, neither this nor that: --socket-exists makes iptables say so too.
void StepRules::exclude_owners(std::string_view kind, std::vector<std::uint32_t> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (std::uint32_t id : ids) append(rest_, fmt::format("-m owner --socket-exists ! --{}-owner {}", kind, id));
}

void StepRules::add_alternatives(std::vector<std::string> list) {
  if (!list.empty()) lists_.push_back(std::move(list));
}

void StepRules::add_ports(const PortSet& ports, std::string_view flag) {
  if (ports == PortSet::all()) return;
  std::vector<std::string> found;
  for (const PortRange& ports_of : ports.ranges()) found.push_back(fmt::format("{} {}", flag, range(ports_of)));
  add_alternatives(std::move(found));
}

std::string StepRules::ported_protocol() const {
  return match_.protocol == Match::Protocol::udp ? "-p udp -m udp" : "-p tcp -m tcp";
}

void StepRules::add_list(const std::vector<Cidr>& list, std::string_view flag) {
  if (list.empty()) return;
  const std::vector<Cidr> mine = of_family(list, family_);
  if (mine.empty()) can_match_ = false;
  if (mine.empty() || std::any_of(mine.begin(), mine.end(), contains_all)) return;
  std::vector<std::string> found;
  for (const Cidr& cidr : mine) found.push_back(fmt::format("{} {}", flag, address(cidr)));
  add_alternatives(std::move(found));
}

/// In the order in which iptables-save writes: addresses, interfaces, protocol, matches.
std::string StepRules::written(const std::vector<std::string>& chosen, std::string_view addresses, std::string_view protocol,
                               std::string_view rest) const {
  std::string rule;
  for (const std::string& part : chosen)
    if (part.starts_with("-s") || part.starts_with("-d")) append(rule, part);
  append(rule, addresses);
  append(rule, protocol);
  for (const std::string& part : chosen)
    if (part.starts_with("--sport") || part.starts_with("--dport")) append(rule, part);
  append(rule, rest);
  for (const std::string& part : chosen)
    if (part.starts_with("-m owner")) append(rule, part);
  // The kernel takes the path once, when the rule is made, and does not show what it took: a cgroup that was made anew under the
  // same path has another number, and so another rule.
  append(rule, comment(match_.cgroup ? fmt::format("{} ({})", step_.why, match_.cgroup->id) : step_.why));
  return rule;
}

}  // namespace weir::xtables
