// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include <netinet/in.h>
#include <net/if.h>

#include "iptables-rules/ruleset.h"

namespace weir::nft {

namespace {

IpAddr address_of(const std::string& key) {
  if (key.size() == sizeof(in_addr)) {
    in_addr address;
    std::memcpy(&address, key.data(), sizeof address);
    return IpAddr::from(address);
  }
  in6_addr address;
  std::memcpy(&address, key.data(), sizeof address);
  return IpAddr::from(address);
}

std::uint32_t number_of(const std::string& key) {
  std::uint32_t number;
  std::memcpy(&number, key.data(), sizeof number);
  return number;
}

std::string key_text(Field field, const std::string& key) {
  switch (field) {
    case Field::saddr:
    case Field::daddr: return address_of(key).to_text();
    case Field::sport:
    case Field::dport:
    case Field::udp_sport:
    case Field::udp_dport: return std::to_string((static_cast<unsigned char>(key[0]) << 8) | static_cast<unsigned char>(key[1]));
    case Field::mark:
    case Field::ct_mark:
    case Field::skuid:
    case Field::skgid:
      return field == Field::mark || field == Field::ct_mark ? fmt::format("{:#x}", number_of(key))
                                                             : std::to_string(number_of(key));
    case Field::iifname:
    case Field::oifname: return key.size() == IFNAMSIZ ? fmt::format("\"{}\"", key.c_str()) : fmt::format("\"{}*\"", key);
    case Field::l4proto: return key[0] == IPPROTO_UDP ? "udp" : "tcp";
    default: return "";
  }
}

/// A range that is a prefix is written as one, as nft does.
std::string range_text(Field field, const KeyRange& range) {
  if (range.first == range.last) return key_text(field, range.first);
  if (field == Field::saddr || field == Field::daddr)
    for (unsigned prefix = 0; prefix <= range.first.size() * 8; ++prefix) {
      const Cidr cidr(address_of(range.first), prefix);
      if (cidr.address() == address_of(range.first) && cidr.contains(address_of(range.last)) &&
          (prefix == range.first.size() * 8 || !Cidr(address_of(range.first), prefix + 1).contains(address_of(range.last)))) {
        std::string highest(range.first);
        for (std::size_t bit = prefix; bit < highest.size() * 8; ++bit)
          highest[bit / 8] = static_cast<char>(static_cast<unsigned char>(highest[bit / 8]) | (0x80U >> (bit % 8)));
        if (highest == range.last) return cidr.to_text();
      }
    }
  return key_text(field, range.first) + "-" + key_text(field, range.last);
}

std::string keys_text(const Term& term) {
  if (term.keys.size() == 1 && term.keys[0].first == term.keys[0].last) return key_text(term.field, term.keys[0].first);
  std::string text = "{ ";
  for (const KeyRange& range : term.keys) text += (text.size() > 2 ? ", " : "") + range_text(term.field, range);
  return text + " }";
}

std::string_view selector(Field field, std::optional<Family> family) {
  const bool v4 = family != Family::v6;
  switch (field) {
    case Field::l4proto: return "meta l4proto";
    case Field::iifname: return "iifname";
    case Field::oifname: return "oifname";
    case Field::saddr: return v4 ? "ip saddr" : "ip6 saddr";
    case Field::daddr: return v4 ? "ip daddr" : "ip6 daddr";
    case Field::sport: return "tcp sport";
    case Field::dport: return "tcp dport";
    case Field::udp_sport: return "udp sport";
    case Field::udp_dport: return "udp dport";
    case Field::mark: return "meta mark";
    case Field::ct_mark: return "ct mark";
    case Field::skuid: return "meta skuid";
    case Field::skgid: return "meta skgid";
    default: return "";
  }
}

std::string term_text(const Term& term, std::optional<Family> family) {
  switch (term.field) {
    case Field::tcp_syn: return fmt::format("tcp flags & (syn | ack) {} syn", term.is_negated ? "!=" : "==");
    case Field::daddr_is_local: return "fib daddr type local";
    case Field::saddr_is_local: return fmt::format("fib saddr type {}local", term.is_negated ? "!= " : "");
    case Field::ct_invalid: return "ct state invalid";
    // The sets have one key, 0: any expression that always yields it would do.
    case Field::holding: return fmt::format("meta mark & 0x0 == @{}", kHoldingSet);
    case Field::excluded_domain:
      return fmt::format("{} @{}", selector(Field::daddr, family), domain_set(family.value_or(Family::v4)));
    case Field::mark:
      if (term.mask.empty())
        return fmt::format("meta mark {}{}", term.is_negated ? "!= " : "", key_text(Field::mark, term.keys[0].first));
      return fmt::format("meta mark & {:#x} == {:#x}", number_of(term.mask), number_of(term.keys[0].first));
    case Field::cgroup: return fmt::format("socket cgroupv2 level {} \"{}\"", term.level, term.path);
    case Field::alive: return fmt::format("meta mark & 0x0 {} @{}", term.is_negated ? "!=" : "==", kAliveSet);
    default: return fmt::format("{} {}{}", selector(term.field, family), term.is_negated ? "!= " : "", keys_text(term));
  }
}

std::string action_text(const Action& action) {
  switch (action.kind) {
    case Action::Kind::accept: return "accept";
    case Action::Kind::jump: return fmt::format("jump {}", action.chain);
    case Action::Kind::redirect: return fmt::format("redirect to :{}", action.port);
    case Action::Kind::reset: return "reject with tcp reset";
    case Action::Kind::drop: return "drop";
    case Action::Kind::transparent: return fmt::format("tproxy to :{} accept", action.port);
    case Action::Kind::mark: return fmt::format("meta mark set {:#x}", action.mark);
    case Action::Kind::mark_connection: return fmt::format("ct mark set {:#x}", action.mark);
    case Action::Kind::refuse: return "reject with icmpx type port-unreachable";
    case Action::Kind::zone: return fmt::format("ct zone set {} accept", action.zone);
    case Action::Kind::open_gate: return fmt::format("delete @{} {{ meta mark & 0x0 }}", kHoldingSet);
    case Action::Kind::proxy_lives:
      return fmt::format("update @{} {{ meta mark & 0x0 timeout {}ms }}", kAliveSet, action.timeout);
  }
  return "";
}

}  // namespace

std::string to_text(const Rule& rule) {
  std::string text;
  for (const Term& term : rule.terms) text += term_text(term, rule.family) + " ";
  return text + action_text(rule.action);
}

std::string listing(const Rule& rule) {
  return fmt::format("inet {} {}: {} comment \"{}\"", kTable, capture::name(rule.chain), to_text(rule), rule.comment);
}

std::string ruleset_text(const capture::CapturePlan& plan) {
  const std::vector<Rule> rules = compile(plan);
  // The first line makes the second succeed where there is no table yet.
  std::string text;
  if (plan.reply_route)
    text = fmt::format(
        "# beside it, in both families: ip rule add fwmark {0:#x} lookup {1}; ip route add local default dev lo table {1}\n",
        plan.reply_route->mark, plan.reply_route->table);
  text += fmt::format("table inet {0}\ndelete table inet {0}\ntable inet {0} {{\n\tcomment \"{1}\"\n", kTable, kOwnerMark);
  if (plan.start_gate)
    text += fmt::format(
        "\tset {} {{\n\t\ttype mark\n\t\tsize 1\n\t\tflags dynamic,timeout\n\t\telements = {{ 0x0 timeout {}ms }}\n\t}}\n",
        kHoldingSet, gate_timeout(*plan.start_gate));
  if (plan.open_after)
    text += fmt::format("\tset {} {{\n\t\ttype mark\n\t\tsize {}\n\t\tflags dynamic,timeout\n\t}}\n", kAliveSet, kAliveSize);
  if (!plan.excluded_domains.empty())
    for (Family family : kBothFamilies)
      text +=
          fmt::format("\tset {} {{\n\t\ttype {}\n\t}}\n", domain_set(family), family == Family::v4 ? "ipv4_addr" : "ipv6_addr");
  for (capture::Chain chain : capture::chains_of(plan)) {
    text += fmt::format("\tchain {} {{\n", capture::name(chain));
    if (auto hook = hook_of(chain))
      text += fmt::format("\t\ttype {} hook {} priority {}; policy accept;\n", hook->type, hook->point, hook->priority);
    for (const Rule& rule : rules)
      if (rule.chain == chain) text += fmt::format("\t\t{} comment \"{}\"\n", to_text(rule), rule.comment);
    text += "\t}\n";
  }
  return text + "}\n";
}

}  // namespace weir::nft
