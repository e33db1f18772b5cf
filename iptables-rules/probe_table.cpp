// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/probe_table.h"

#include <cstring>

#include <netinet/in.h>
#include <net/if.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>

#include "kernel/probe_socket.h"

namespace weir::nft {

namespace {

constexpr std::uint32_t kRegister = NFT_REG_1;
constexpr int kFirst = -450, kLast = 300;  // before every table of iptables, and after

struct ProbeChain {
  std::string_view name;
  std::uint32_t hook;
  int priority;
};
constexpr ProbeChain kChains[] = {{"begin_in", NF_INET_PRE_ROUTING, kFirst},
                                  {"begin_out", NF_INET_LOCAL_OUT, kFirst},
                                  {kEndIn, NF_INET_LOCAL_IN, kLast},
                                  {kEndOut, NF_INET_POST_ROUTING, kLast}};

std::string big_endian(std::uint16_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)}; }

/// One rule, expression by expression.
class ProbeRule {
 public:
  ProbeRule(std::string_view chain) : rule_(nftnl_rule_alloc()) {
    nftnl_rule_set_u32(rule_.get(), NFTNL_RULE_FAMILY, NFPROTO_INET);
    nftnl_rule_set_str(rule_.get(), NFTNL_RULE_TABLE, std::string(kProbeTableName).c_str());
    nftnl_rule_set_str(rule_.get(), NFTNL_RULE_CHAIN, std::string(chain).c_str());
  }

  ProbeRule& interface(std::uint32_t key, std::uint32_t op, const std::string& name) {
    std::string padded = name;
    padded.resize(IFNAMSIZ, '\0');
    load_meta(key);
    return compare(op, padded);
  }
  ProbeRule& protocol(std::uint8_t number) {
    load_meta(NFT_META_L4PROTO);
    return compare(NFT_CMP_EQ, std::string(1, static_cast<char>(number)));
  }
  ProbeRule& source_port(PortRange ports) {
    load_transport(0, 2);
    compare(NFT_CMP_GTE, big_endian(ports.first));
    return compare(NFT_CMP_LTE, big_endian(ports.last));
  }
  ProbeRule& first_packet() {
    load_transport(13, 1);
    add("bitwise", [](nftnl_expr* e) {
      const unsigned char mask = 0x12, zero = 0;  // SYN and ACK
      nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, 1);
      nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, &mask, 1);
      nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, &zero, 1);
    });
    return compare(NFT_CMP_EQ, std::string(1, '\x02'));
  }
  ProbeRule& datagram_of_probe() {
    load_transport(4, 2);
    return compare(NFT_CMP_EQ, big_endian(8 + kernel::kProbePayload));
  }
  ProbeRule& trace() {
    add("immediate", [](nftnl_expr* e) {
      const unsigned char one = 1;
      nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, kRegister);
      nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &one, 1);
    });
    add("meta", [](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_NFTRACE);
      nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, kRegister);
    });
    return *this;
  }
  ProbeRule& drop() {
    add("immediate", [](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
      nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, NF_DROP);
    });
    return *this;
  }
  void into(Batch& batch) { add_rule_object(batch, rule_.get(), "a rule of the probes"); }

 private:
  template <class F>
  void add(const char* kind, F fill) {
    nftnl_expr* e = nftnl_expr_alloc(kind);
    fill(e);
    nftnl_rule_add_expr(rule_.get(), e);
  }
  void load_meta(std::uint32_t key) {
    add("meta", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
      nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, kRegister);
    });
  }
  void load_transport(std::uint32_t offset, std::uint32_t size) {
    add("payload", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
      nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
      nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, size);
    });
  }
  ProbeRule& compare(std::uint32_t op, const std::string& key) {
    add("cmp", [&](nftnl_expr* e) {
      nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, kRegister);
      nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
      nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, key.data(), static_cast<std::uint32_t>(key.size()));
    });
    return *this;
  }

  RuleObject rule_;
};

/// Two rules: probes by TCP and by UDP. `begin` says what comes first in both, `end` what is done.
template <class Begin, class End>
void add_both(Batch& batch, std::string_view chain, PortRange ports, Begin begin, End end) {
  ProbeRule tcp(chain);
  end(begin(tcp).protocol(IPPROTO_TCP).source_port(ports).first_packet()).into(batch);
  ProbeRule udp(chain);
  end(begin(udp).protocol(IPPROTO_UDP).source_port(ports).datagram_of_probe()).into(batch);
}

}  // namespace

void add_probe_table(Batch& batch, PortRange ports, const std::string& in_interface) {
  add_owned_table(batch, kProbeTableName, kOwnerMark);
  for (const ProbeChain& each : kChains) {
    std::unique_ptr<nftnl_chain, void (*)(const nftnl_chain*)> chain(nftnl_chain_alloc(), nftnl_chain_free);
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, std::string(kProbeTableName).c_str());
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, std::string(each.name).c_str());
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TYPE, "filter");
    nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_HOOKNUM, each.hook);
    nftnl_chain_set_s32(chain.get(), NFTNL_CHAIN_PRIO, each.priority);
    nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
    add_chain_object(batch, chain.get());
  }
  const auto anything = [](ProbeRule& rule) -> ProbeRule& { return rule; };
  const auto leaves = [](ProbeRule& rule) -> ProbeRule& { return rule.interface(NFT_META_OIFNAME, NFT_CMP_NEQ, "lo"); };
  const auto trace = [](ProbeRule& rule) -> ProbeRule& { return rule.trace(); };
  const auto drop = [](ProbeRule& rule) -> ProbeRule& { return rule.drop(); };
  add_both(batch, "begin_in", ports, anything, trace);
  add_both(batch, "begin_out", ports, anything, trace);
  add_both(batch, kEndIn, ports, anything, drop);
  add_both(batch, kEndOut, ports, leaves, drop);
  for (std::string_view chain : {std::string_view("begin_in"), kEndIn}) {
    ProbeRule stray(chain);
    stray.interface(NFT_META_IIFNAME, NFT_CMP_EQ, in_interface).protocol(IPPROTO_TCP).source_port(ports);
    (chain == kEndIn ? stray.drop() : stray.trace()).into(batch);
  }
}

}  // namespace weir::nft
