// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/ruleset.h"

#include <algorithm>
#include <cstring>

#include <netinet/in.h>
#include <net/if.h>
#include <linux/netfilter.h>

namespace weir::nft {

namespace {

using capture::Chain;
using capture::Match;
using capture::Step;
using capture::Verdict;

std::string port_key(Port port) { return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff)}; }

std::string id_key(std::uint32_t id) {
  std::string key(sizeof id, '\0');
  std::memcpy(key.data(), &id, sizeof id);  // nft compares uids in the machine's byte order
  return key;
}

KeyRange single(std::string key) { return {key, key}; }

/// Highest address of the range.
std::string last_of(const Cidr& cidr) {
  std::string bytes(cidr.address().bytes());
  for (std::size_t bit = cidr.prefix(); bit < bytes.size() * 8; ++bit)
    bytes[bit / 8] = static_cast<char>(static_cast<unsigned char>(bytes[bit / 8]) | (0x80U >> (bit % 8)));
  return bytes;
}

/// The next key in network order; empty after the highest.
std::string next(std::string key) {
  for (std::size_t i = key.size(); i-- > 0;) {
    key[i] = static_cast<char>(static_cast<unsigned char>(key[i]) + 1);
    if (key[i] != 0) return key;
  }
  return {};
}

bool less(const std::string& a, const std::string& b) { return std::memcmp(a.data(), b.data(), a.size()) < 0; }

/// The kernel refuses overlapping intervals in a set, people write them.
std::vector<KeyRange> merged(std::vector<KeyRange> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const KeyRange& a, const KeyRange& b) { return less(a.first, b.first); });
  std::vector<KeyRange> result;
  for (KeyRange& range : ranges) {
    const std::string after = result.empty() ? "" : next(result.back().last);
    if (!result.empty() && (after.empty() || !less(after, range.first))) {
      if (less(result.back().last, range.last)) result.back().last = range.last;
    } else {
      result.push_back(std::move(range));
    }
  }
  return result;
}

std::vector<KeyRange> keys_of(const std::vector<Cidr>& list, Family family) {
  std::vector<KeyRange> keys;
  for (const Cidr& cidr : list)
    if (cidr.family() == family) keys.push_back({std::string(cidr.address().bytes()), last_of(cidr)});
  return merged(std::move(keys));
}

std::vector<KeyRange> keys_of(const PortSet& ports) {
  std::vector<KeyRange> keys;
  for (const PortRange& range : ports.ranges()) keys.push_back({port_key(range.first), port_key(range.last)});
  return keys;
}

std::vector<KeyRange> keys_of(std::vector<std::uint32_t> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<KeyRange> keys;
  for (std::uint32_t id : ids) keys.push_back(single(id_key(id)));
  return keys;
}

/// "eth+" of iptables is a prefix: a key shorter than a whole name (ruleset_text and messages know it by that).
std::string interface_key(const std::string& name) {
  if (name.back() == '+') return name.substr(0, name.size() - 1);
  std::string key = name;
  key.resize(IFNAMSIZ, '\0');
  return key;
}

class Compiler {
 public:
  Compiler(const capture::CapturePlan& plan, std::size_t index)
      : plan_(plan), step_(plan.steps[index]), match_(step_.match), index_(index) {}

  void compile_into(std::vector<Rule>& rules) const {
    if (match_.source.empty() && match_.destination.empty() && match_.not_destination.empty() && !match_.to_excluded_domain) {
      rules.push_back(rule(std::nullopt));
      return;
    }
    for (Family family : kBothFamilies)
      if (can_match(family)) rules.push_back(rule(family));
  }

 private:
  static bool has(const std::vector<Cidr>& list, Family family) {
    return std::any_of(list.begin(), list.end(), [&](const Cidr& cidr) { return cidr.family() == family; });
  }
  bool can_match(Family family) const {
    return (match_.source.empty() || has(match_.source, family)) &&
           (match_.destination.empty() || has(match_.destination, family));
  }

  Rule rule(std::optional<Family> family) const {
    Rule rule{.chain = step_.chain, .family = family, .terms = {}, .action = action(), .comment = step_.why, .step = index_};
    auto add = [&](Field field, bool is_negated, std::vector<KeyRange> keys) {
      rule.terms.push_back({field, is_negated, std::move(keys)});
    };
    auto add_if = [&](Field field, const auto& is, const auto& is_not) {
      if (!is.empty()) add(field, false, keys_of(is));
      if (!is_not.empty()) add(field, true, keys_of(is_not));
    };
    if (rule.action.kind == Action::Kind::open_gate || step_.verdict == Verdict::hold) add(Field::holding, false, {});
    if (!match_.in_interface.empty()) add(Field::iifname, false, {single(interface_key(match_.in_interface))});
    if (!match_.not_in_interface.empty()) add(Field::iifname, true, {single(interface_key(match_.not_in_interface))});
    if (!match_.out_interface.empty()) add(Field::oifname, false, {single(interface_key(match_.out_interface))});
    if (!match_.not_out_interface.empty()) add(Field::oifname, true, {single(interface_key(match_.not_out_interface))});
    if (family) add_addresses(rule, *family);
    if (match_.to_excluded_domain) add(Field::excluded_domain, false, {});
    if (match_.syn != Match::Syn::any) add(Field::tcp_syn, match_.syn == Match::Syn::later, {});
    const bool is_udp = match_.protocol == Match::Protocol::udp;
    add_if(is_udp ? Field::udp_sport : Field::sport, match_.source_ports, PortSet{});
    add_if(is_udp ? Field::udp_dport : Field::dport, match_.ports, match_.not_ports);
    const bool looks_at_tcp = std::any_of(rule.terms.begin(), rule.terms.end(), [](const Term& term) {
      switch (term.field) {
        case Field::tcp_syn:
        case Field::sport:
        case Field::dport:
        case Field::udp_sport:
        case Field::udp_dport: return true;
        default: return false;
      }
    });
    if (match_.protocol != Match::Protocol::any && !looks_at_tcp)
      add(Field::l4proto, match_.protocol == Match::Protocol::not_tcp,
          {single(std::string(1, is_udp ? char{IPPROTO_UDP} : char{IPPROTO_TCP}))});
    if (match_.to_this_sandbox) add(Field::daddr_is_local, false, {});
    if (match_.from_elsewhere) add(Field::saddr_is_local, true, {});
    if (match_.mark) add(Field::mark, false, {single(id_key(*match_.mark))});
    if (match_.not_mark) add(Field::mark, true, {single(id_key(*match_.not_mark))});
    if (match_.connection_mark) add(Field::ct_mark, false, {single(id_key(*match_.connection_mark))});
    if (match_.is_invalid) add(Field::ct_invalid, false, {});
    if (match_.proxy_is_down) add(Field::alive, true, {});
    add_if(Field::skuid, match_.uids, match_.not_uids);
    add_if(Field::skgid, match_.gids, match_.not_gids);
    if (match_.sender_mark) {
      add(Field::mark, false, {single(id_key(match_.sender_mark->value))});
      if (match_.sender_mark->mask != 0xffffffff) rule.terms.back().mask = id_key(match_.sender_mark->mask);
    }
    if (match_.cgroup) add_cgroup(rule);
    return rule;
  }

  void add_addresses(Rule& rule, Family family) const {
    for (auto [field, is_negated, list] :
         {std::tuple{Field::saddr, false, &match_.source}, std::tuple{Field::daddr, false, &match_.destination},
          std::tuple{Field::daddr, true, &match_.not_destination}})
      if (auto keys = keys_of(*list, family); !keys.empty()) rule.terms.push_back({field, is_negated, std::move(keys)});
  }

  void add_cgroup(Rule& rule) const {
    std::string key(sizeof match_.cgroup->id, '\0');
    std::memcpy(key.data(), &match_.cgroup->id, sizeof match_.cgroup->id);
    rule.terms.push_back(
        {.field = Field::cgroup, .keys = {single(key)}, .path = match_.cgroup->path, .level = match_.cgroup->level()});
  }

  Action action() const {
    using Kind = Action::Kind;
    switch (step_.verdict) {
      case Verdict::pass: return {.kind = Kind::accept};
      case Verdict::capture_inbound: return {.kind = Kind::jump, .chain = capture::name(Chain::to_inbound)};
      case Verdict::capture_outbound: return {.kind = Kind::jump, .chain = capture::name(Chain::to_outbound)};
      case Verdict::capture_dns: return {.kind = Kind::jump, .chain = capture::name(Chain::to_dns)};
      case Verdict::capture_transparent: return {.kind = Kind::jump, .chain = capture::name(Chain::to_transparent)};
      case Verdict::transparent: return {.kind = Kind::transparent, .port = step_.redirect_port};
      case Verdict::mark: return {.kind = Kind::mark, .mark = step_.mark};
      case Verdict::mark_connection: return {.kind = Kind::mark_connection, .mark = step_.mark};
      case Verdict::zone: return {.kind = Kind::zone, .zone = step_.zone};
      case Verdict::redirect: return {.kind = Kind::redirect, .port = step_.redirect_port};
      case Verdict::reset: return {.kind = Kind::reset};
      case Verdict::refuse: return {.kind = Kind::refuse};
      case Verdict::hold:
      case Verdict::drop: return {.kind = Kind::drop};
      case Verdict::open_gate: return {.kind = Kind::open_gate};
      case Verdict::proxy_lives:
        return {.kind = Kind::proxy_lives, .timeout = gate_timeout(plan_.open_after.value_or(Nanoseconds()))};
    }
    return {};
  }

  const capture::CapturePlan& plan_;
  const Step& step_;
  const Match& match_;
  std::size_t index_;
};

}  // namespace

std::vector<Rule> compile(const capture::CapturePlan& plan) {
  std::vector<Rule> rules;
  for (Chain chain : capture::kChains)
    for (std::size_t i = 0; i < plan.steps.size(); ++i)
      if (plan.steps[i].chain == chain) Compiler(plan, i).compile_into(rules);
  return rules;
}

std::optional<Hook> hook_of(Chain chain) {
  switch (chain) {
    case Chain::zone_inbound: return Hook{"filter", "prerouting", NF_INET_PRE_ROUTING, -300};
    case Chain::zone_outbound: return Hook{"filter", "output", NF_INET_LOCAL_OUT, -300};
    // Guards stand before NAT (-100), where a packet is still as its sender addressed it, but after connection tracking (-200):
    // the kernel then attaches the reset to the connection of the packet that it answers (nf_ct_attach). Sooner, the reset would
    // be looked up by its addresses, and if the caller's port was that of a redirected connection two minutes ago, translated as
    // one of that connection's.
    case Chain::guard_inbound: return Hook{"filter", "prerouting", NF_INET_PRE_ROUTING, -199};
    case Chain::guard_outbound: return Hook{"filter", "output", NF_INET_LOCAL_OUT, -199};
    case Chain::tracked_inbound: return Hook{"filter", "prerouting", NF_INET_PRE_ROUTING, -150};
    // After tracked_inbound, and a type "route" so that what was marked is routed anew.
    case Chain::transparent_inbound: return Hook{"filter", "prerouting", NF_INET_PRE_ROUTING, -149};
    case Chain::mark_outbound: return Hook{"route", "output", NF_INET_LOCAL_OUT, -150};
    case Chain::inbound: return Hook{"nat", "prerouting", NF_INET_PRE_ROUTING, -100};
    case Chain::outbound: return Hook{"nat", "output", NF_INET_LOCAL_OUT, -100};
    case Chain::udp_outbound: return Hook{"filter", "output", NF_INET_LOCAL_OUT, -150};
    case Chain::to_transparent:
    case Chain::to_dns:
    case Chain::to_inbound:
    case Chain::to_outbound:
    case Chain::kept_flags: return std::nullopt;
  }
  return std::nullopt;
}

std::uint64_t gate_timeout(Nanoseconds duration) {
  return std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()));
}

}  // namespace weir::nft
