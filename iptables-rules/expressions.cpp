// SPDX-License-Identifier: Apache-2.0
// A rule as nftables expressions, in the order and form in which nft(8) would make them, so that its listings look native.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include <netinet/in.h>
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>

#include "iptables-rules/messages.h"

namespace weir::nft {

namespace {

constexpr std::uint32_t kRegister = NFT_REG_1;
constexpr char kAnonymousSet[] = "__set%d";  // the kernel puts a number for %d

// Offsets within headers: linux/ip.h, linux/ipv6.h, linux/tcp.h, linux/udp.h.
constexpr std::uint32_t kSource4 = 12, kDestination4 = 16, kSource6 = 8, kDestination6 = 24;
constexpr std::uint32_t kSourcePort = 0, kDestinationPort = 2, kTcpFlags = 13;
constexpr std::uint8_t kTcpSyn = 0x02, kTcpSynAck = 0x12;

/// nft(8)'s numbers of data types (include/datatype.h): they travel with a set so that listings show its keys as people write
/// them.
std::uint32_t data_type(Field field, std::size_t key_size) {
  switch (field) {
    case Field::saddr:
    case Field::daddr: return key_size == sizeof(in_addr) ? 7 : 8;
    case Field::sport:
    case Field::dport:
    case Field::udp_sport:
    case Field::udp_dport: return 13;
    case Field::mark:
    case Field::ct_mark: return 19;
    case Field::skuid: return 24;
    case Field::skgid: return 25;
    default: return 0;
  }
}

constexpr char kHostEndian = 1, kBigEndian = 2;  // nft(8)'s enum byteorder

bool is_interval(Field field) {
  switch (field) {
    case Field::saddr:
    case Field::daddr:
    case Field::sport:
    case Field::dport:
    case Field::udp_sport:
    case Field::udp_dport: return true;
    default: return false;
  }
}

std::string after(std::string key) {
  for (std::size_t i = key.size(); i-- > 0;) {
    key[i] = static_cast<char>(static_cast<unsigned char>(key[i]) + 1);
    if (key[i] != 0) return key;
  }
  return {};
}

void add_element(nftnl_set* set, const std::string& key, std::uint32_t flags) {
  nftnl_set_elem* element = nftnl_set_elem_alloc();
  nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(), static_cast<std::uint32_t>(key.size()));
  if (flags != 0) nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS, flags);
  nftnl_set_elem_add(set, element);
}

SetObject anonymous_set(const Term& term, std::uint32_t number) {
  SetObject set(nftnl_set_alloc());
  const std::size_t key_size = term.keys[0].first.size();
  const bool intervals = is_interval(term.field);
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, kAnonymousSet);
  nftnl_set_set_u32(set.get(), NFTNL_SET_ID, number);
  nftnl_set_set_u32(set.get(), NFTNL_SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | (intervals ? NFT_SET_INTERVAL : 0));
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_TYPE, data_type(term.field, key_size));
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, static_cast<std::uint32_t>(key_size));
  // In which byte order nft(8) shall read the keys; without it, it takes uids for numbers in network order.
  const char byte_order[] = {NFTNL_UDATA_SET_KEYBYTEORDER, 4, intervals ? kBigEndian : kHostEndian, 0, 0, 0};
  nftnl_set_set_data(set.get(), NFTNL_SET_USERDATA, byte_order, sizeof byte_order);
  for (const KeyRange& range : term.keys) {
    add_element(set.get(), range.first, 0);
    if (!intervals) continue;
    // An interval ends before its end element; one that reaches the highest key has none.
    if (const std::string end = after(range.last); !end.empty()) add_element(set.get(), end, NFT_SET_ELEM_INTERVAL_END);
  }
  return set;
}

class Builder {
 public:
  Builder(const Rule& rule, std::uint32_t& next_set_number) : rule_(rule), next_set_number_(next_set_number) {}

  RuleObjects build() {
    objects_.rule.reset(nftnl_rule_alloc());
    nftnl_rule_set_u32(objects_.rule.get(), NFTNL_RULE_FAMILY, NFPROTO_INET);
    nftnl_rule_set_str(objects_.rule.get(), NFTNL_RULE_CHAIN, std::string(capture::name(rule_.chain)).c_str());
    for (const Term& term : rule_.terms) add_term(term);
    add_action();
    std::string data{static_cast<char>(NFTNL_UDATA_RULE_COMMENT), static_cast<char>(rule_.comment.size() + 1)};
    data += rule_.comment + '\0';
    nftnl_rule_set_data(objects_.rule.get(), NFTNL_RULE_USERDATA, data.data(), static_cast<std::uint32_t>(data.size()));
    return std::move(objects_);
  }

 private:
  /// A new expression of the rule; `set` puts its attributes.
  template <class F>
  void add(const char* kind, F set) {
    nftnl_expr* expression = nftnl_expr_alloc(kind);
    set(expression);
    nftnl_rule_add_expr(objects_.rule.get(), expression);
  }

  void load_meta(std::uint32_t key) {
    add("meta", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
      nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, kRegister);
    });
  }
  void load_ct(std::uint32_t key) {
    add("ct", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, key);
      nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, kRegister);
    });
  }
  void load_cgroup(unsigned level) {
    add("socket", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_KEY, NFT_SOCKET_CGROUPV2);
      nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_DREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_LEVEL, level);
    });
  }
  void load_payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size) {
    add("payload", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
      nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
      nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, size);
    });
  }
  void mask(const std::string& bits) {
    add("bitwise", [&](nftnl_expr* e) {
      const std::string zero(bits.size(), '\0');
      const auto size = static_cast<std::uint32_t>(bits.size());
      nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
      nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, size);
      nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, bits.data(), size);
      nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zero.data(), size);
    });
  }
  void compare(bool is_negated, const std::string& key) {
    add("cmp", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, is_negated ? NFT_CMP_NEQ : NFT_CMP_EQ);
      nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, key.data(), static_cast<std::uint32_t>(key.size()));
    });
  }
  void look_up(const char* set, std::uint32_t number, bool is_negated) {
    add("lookup", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, kRegister);
      nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set);
      if (number != 0) nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, number);
      if (is_negated) nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    });
  }

  /// Compares what was loaded with the term's keys.
  void test(const Term& term) {
    if (term.keys.size() == 1 && term.keys[0].first == term.keys[0].last) {
      compare(term.is_negated, term.keys[0].first);
      return;
    }
    const std::uint32_t number = next_set_number_++;
    objects_.sets.push_back(anonymous_set(term, number));
    look_up(kAnonymousSet, number, term.is_negated);
  }

  void need_family() {
    if (!has_family_) {
      load_meta(NFT_META_NFPROTO);
      compare(false, std::string(1, static_cast<char>(rule_.family == Family::v4 ? NFPROTO_IPV4 : NFPROTO_IPV6)));
    }
    has_family_ = true;
  }
  void need_tcp() { need_protocol(IPPROTO_TCP); }
  void need_protocol(char protocol) {
    if (!has_protocol_) {
      load_meta(NFT_META_L4PROTO);
      compare(false, std::string(1, protocol));
    }
    has_protocol_ = true;
  }
  void test_port(char protocol, std::uint32_t offset, const Term& term) {
    need_protocol(protocol);
    load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, offset, sizeof(Port));
    test(term);
  }
  void load_gate_key() {
    load_meta(NFT_META_MARK);
    mask(std::string(sizeof(std::uint32_t), '\0'));
  }

  void add_term(const Term& term) {
    const bool v4 = rule_.family == Family::v4;
    switch (term.field) {
      case Field::l4proto:
        load_meta(NFT_META_L4PROTO);
        has_protocol_ |= !term.is_negated;
        return test(term);
      case Field::iifname: load_meta(NFT_META_IIFNAME); return test(term);
      case Field::oifname: load_meta(NFT_META_OIFNAME); return test(term);
      case Field::ct_mark: load_ct(NFT_CT_MARK); return test(term);
      case Field::skuid: load_meta(NFT_META_SKUID); return test(term);
      case Field::skgid: load_meta(NFT_META_SKGID); return test(term);
      case Field::saddr:
        need_family();
        load_payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kSource4 : kSource6, v4 ? sizeof(in_addr) : sizeof(in6_addr));
        return test(term);
      case Field::daddr:
        need_family();
        load_payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kDestination4 : kDestination6, v4 ? sizeof(in_addr) : sizeof(in6_addr));
        return test(term);
      case Field::sport: return test_port(IPPROTO_TCP, kSourcePort, term);
      case Field::dport: return test_port(IPPROTO_TCP, kDestinationPort, term);
      case Field::udp_sport: return test_port(IPPROTO_UDP, kSourcePort, term);
      case Field::udp_dport: return test_port(IPPROTO_UDP, kDestinationPort, term);
      case Field::tcp_syn:
        need_tcp();
        load_payload(NFT_PAYLOAD_TRANSPORT_HEADER, kTcpFlags, 1);
        mask(std::string(1, static_cast<char>(kTcpSynAck)));
        return compare(term.is_negated, std::string(1, static_cast<char>(kTcpSyn)));
      case Field::daddr_is_local: return add_is_local(NFTA_FIB_F_DADDR, term.is_negated);
      case Field::saddr_is_local: return add_is_local(NFTA_FIB_F_SADDR, term.is_negated);
      case Field::ct_invalid: return add_is_invalid();
      case Field::holding: load_gate_key(); return look_up(std::string(kHoldingSet).c_str(), 0, false);
      case Field::excluded_domain:
        need_family();
        load_payload(NFT_PAYLOAD_NETWORK_HEADER, v4 ? kDestination4 : kDestination6, v4 ? sizeof(in_addr) : sizeof(in6_addr));
        return look_up(std::string(domain_set(*rule_.family)).c_str(), 0, false);
      case Field::mark:
        load_meta(NFT_META_MARK);
        if (!term.mask.empty()) mask(term.mask);
        return test(term);
      case Field::cgroup: load_cgroup(term.level); return test(term);
      case Field::alive: load_gate_key(); return look_up(std::string(kAliveSet).c_str(), 0, term.is_negated);
    }
  }

  void add_is_local(std::uint32_t which, bool is_negated) {
    add("fib", [which](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
      nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, which);
    });
    const std::uint32_t local = RTN_LOCAL;
    compare(is_negated, std::string(reinterpret_cast<const char*>(&local), sizeof local));
  }

  /// As nft(8) writes `ct state invalid`.
  void add_is_invalid() {
    const std::uint32_t invalid = 1;  // NF_CT_STATE_INVALID_BIT
    load_ct(NFT_CT_STATE);
    mask(std::string(reinterpret_cast<const char*>(&invalid), sizeof invalid));
    compare(true, std::string(sizeof invalid, '\0'));
  }

  void add_verdict(std::uint32_t verdict, std::string_view chain = {}) {
    add("immediate", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
      nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, verdict);
      if (!chain.empty()) nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, std::string(chain).c_str());
    });
  }

  void add_action() {
    switch (rule_.action.kind) {
      case Action::Kind::accept: return add_verdict(NF_ACCEPT);
      case Action::Kind::drop: return add_verdict(NF_DROP);
      case Action::Kind::jump: return add_verdict(static_cast<std::uint32_t>(NFT_JUMP), rule_.action.chain);
      case Action::Kind::redirect: return add_redirect();
      case Action::Kind::zone: return add_zone();
      case Action::Kind::transparent: return add_transparent();
      case Action::Kind::mark: return add_mark();
      case Action::Kind::mark_connection: return add_mark_connection();
      case Action::Kind::reset:
        return add("reject", [](nftnl_expr* e) {
          nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_TCP_RST);
          nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, 0);
        });
      case Action::Kind::refuse:
        return add("reject", [](nftnl_expr* e) {
          nftnl_expr_set_u32(e, NFTNL_EXPR_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
          nftnl_expr_set_u8(e, NFTNL_EXPR_REJECT_CODE, NFT_REJECT_ICMPX_PORT_UNREACH);
        });
      case Action::Kind::open_gate: return add_set_change(kHoldingSet, NFT_DYNSET_OP_DELETE, 0);
      case Action::Kind::proxy_lives: return add_set_change(kAliveSet, NFT_DYNSET_OP_UPDATE, rule_.action.timeout);
    }
  }

  void add_set_change(std::string_view set, std::uint32_t operation, std::uint64_t timeout) {
    load_gate_key();
    add("dynset", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, operation);
      nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, std::string(set).c_str());
      if (timeout != 0) nftnl_expr_set_u64(e, NFTNL_EXPR_DYNSET_TIMEOUT, timeout);
    });
  }

  template <class T>
  void load_value(T value) {
    add("immediate", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, kRegister);
      nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &value, sizeof value);
    });
  }

  void add_transparent() {
    load_value(htons(rule_.action.port));
    add("tproxy", [](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_TPROXY_FAMILY, NFPROTO_UNSPEC);  // both
      nftnl_expr_set_u32(e, NFTNL_EXPR_TPROXY_REG_PORT, kRegister);
    });
    add_verdict(NF_ACCEPT);  // tproxy itself goes on where it found a socket, and skips the rest of its rule where not
  }

  void add_mark() {
    load_value(rule_.action.mark);
    add("meta", [](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_MARK);
      nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, kRegister);
    });
  }

  void add_mark_connection() {
    load_value(rule_.action.mark);
    add("ct", [](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_MARK);
      nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, kRegister);
    });
  }

  void add_zone() {
    load_value(rule_.action.zone);
    add("ct", [](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_ZONE);
      nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, kRegister);
    });
    add_verdict(NF_ACCEPT);
  }

  void add_redirect() {
    load_value(htons(rule_.action.port));
    add("redir", [](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_REDIR_REG_PROTO_MIN, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_REDIR_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
    });
  }

  const Rule& rule_;
  std::uint32_t& next_set_number_;
  RuleObjects objects_;
  bool has_family_ = false, has_protocol_ = false;
};

std::string hex(const void* data, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += fmt::format("{:02x}", static_cast<const unsigned char*>(data)[i]);
  return text;
}

}  // namespace

void FreeRule::operator()(nftnl_rule* rule) const { nftnl_rule_free(rule); }
void FreeSet::operator()(nftnl_set* set) const { nftnl_set_free(set); }

RuleObjects build(const Rule& rule, std::uint32_t& next_set_number) { return Builder(rule, next_set_number).build(); }

std::string canonical(nftnl_rule* rule, const ElementsOf& elements) {
  struct State {
    const ElementsOf& elements;
    std::string text;
  } state{elements, {}};
  nftnl_expr_foreach(
      rule,
      [](nftnl_expr* e, void* data) {
        auto& out = *static_cast<State*>(data);
        const std::string_view kind = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
        if (kind == "lookup") {
          const std::string_view set = nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET);
          const std::uint32_t number =
              nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_SET_ID) ? nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_SET_ID) : 0;
          const std::uint32_t flags =
              nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_FLAGS) ? nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_FLAGS) : 0;
          const bool is_anonymous = set.starts_with("__");
          out.text += fmt::format("lookup {} {}; ", flags, is_anonymous ? out.elements(set, number) : std::string(set));
          return 0;
        }
        // Kernels differ in which attributes of these two they show beside those that we set.
        if (kind == "redir") {
          out.text += fmt::format("redir {}; ", nftnl_expr_get_u32(e, NFTNL_EXPR_REDIR_REG_PROTO_MIN));
          return 0;
        }
        if (kind == "tproxy") {
          out.text += fmt::format("tproxy {}; ", nftnl_expr_get_u32(e, NFTNL_EXPR_TPROXY_REG_PORT));
          return 0;
        }
        if (kind == "dynset") {
          const std::uint64_t timeout =
              nftnl_expr_is_set(e, NFTNL_EXPR_DYNSET_TIMEOUT) ? nftnl_expr_get_u64(e, NFTNL_EXPR_DYNSET_TIMEOUT) : 0;
          out.text += fmt::format("dynset {} {} {}; ", nftnl_expr_get_u32(e, NFTNL_EXPR_DYNSET_OP),
                                  nftnl_expr_get_str(e, NFTNL_EXPR_DYNSET_SET_NAME), timeout);
          return 0;
        }
        std::array<char, 512> buffer{};
        nftnl_expr_snprintf(buffer.data(), buffer.size(), e, 0, 0);
        out.text += fmt::format("{} {}; ", kind, buffer.data());
        return 0;
      },
      &state);
  std::uint32_t size = 0;
  const void* comment = nftnl_rule_get_data(rule, NFTNL_RULE_USERDATA, &size);
  return state.text + "comment " + (comment == nullptr ? "" : hex(comment, size));
}

std::string canonical(nftnl_set* set) {
  std::vector<std::string> found;
  nftnl_set_elem_foreach(
      set,
      [](nftnl_set_elem* element, void* data) {
        std::uint32_t size = 0;
        const void* key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &size);
        const std::uint32_t flags =
            nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_FLAGS) ? nftnl_set_elem_get_u32(element, NFTNL_SET_ELEM_FLAGS) : 0;
        static_cast<std::vector<std::string>*>(data)->push_back(hex(key, size) +
                                                                ((flags & NFT_SET_ELEM_INTERVAL_END) != 0 ? " end" : ""));
        return 0;
      },
      &found);
  std::sort(found.begin(), found.end());
  std::string text = "{";
  for (const std::string& key : found) text += " " + key;
  return text + " }";
}

std::string canonical(const Rule& rule) {
  std::uint32_t number = 1;
  RuleObjects objects = build(rule, number);
  return canonical(objects.rule.get(), [&](std::string_view, std::uint32_t wanted) {
    for (const SetObject& set : objects.sets)
      if (nftnl_set_get_u32(set.get(), NFTNL_SET_ID) == wanted) return canonical(set.get());
    return std::string("?");
  });
}

}  // namespace weir::nft
