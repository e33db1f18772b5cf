// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/messages.h"

#include <array>
#include <cstring>

#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>

namespace weir::nft {

namespace {

constexpr std::size_t kBufferSize = 128U << 10;

/// Where one message is built at a time. Kept: fresh pages for each of sixty messages would cost more than all the rest.
class Buffer {
 public:
  char* data() {
    thread_local const auto bytes = std::make_unique_for_overwrite<char[]>(kBufferSize);
    return bytes.get();
  }
};

nlmsghdr* start(Buffer& buffer, std::uint16_t type, std::uint16_t flags, std::uint16_t family = NFPROTO_INET) {
  return nftnl_nlmsg_build_hdr(buffer.data(), type, family, flags, 0);
}

NetlinkMessage finished(const nlmsghdr* header) { return {reinterpret_cast<const char*>(header), header->nlmsg_len}; }

template <class T, void (*Free)(const T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
using Table = std::unique_ptr<nftnl_table, Freer<nftnl_table, nftnl_table_free>>;
using ChainObject = std::unique_ptr<nftnl_chain, Freer<nftnl_chain, nftnl_chain_free>>;

/// A comment as nft(8) keeps it: type, length, text with its zero.
std::string comment_data(std::uint8_t type, std::string_view comment) {
  std::string data{static_cast<char>(type), static_cast<char>(comment.size() + 1)};
  return data + std::string(comment) + '\0';
}

Table table_object(std::string_view name) {
  Table table(nftnl_table_alloc());
  nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, std::string(name).c_str());
  return table;
}

SetObject named_set(std::string_view table, std::string_view name) {
  SetObject set(nftnl_set_alloc());
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, std::string(table).c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, std::string(name).c_str());
  return set;
}

void add_elements(Batch& batch, std::string_view label, nftnl_set* set) {
  Buffer buffer;
  std::unique_ptr<nftnl_set_elems_iter, void (*)(nftnl_set_elems_iter*)> iterator(nftnl_set_elems_iter_create(set),
                                                                                  nftnl_set_elems_iter_destroy);
  // A netlink attribute's length has 16 bits, so long lists of elements go in pieces.
  for (int more = 1; more > 0;) {
    nlmsghdr* header = start(buffer, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
    more = nftnl_set_elems_nlmsg_build_payload_iter(header, iterator.get());
    batch.push_back({finished(header), fmt::format("elements of {}", label)});
  }
}

void add_set(Batch& batch, std::string label, nftnl_set* set) {
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
  nftnl_set_nlmsg_build_payload(header, set);
  batch.push_back({finished(header), label});
  add_elements(batch, label, set);
}

NetlinkMessage dump_request(std::uint16_t type) {
  Buffer buffer;
  return finished(start(buffer, type, NLM_F_DUMP));
}

void add_table_with(Batch& batch, std::string_view name, std::string_view comment, std::uint32_t flags) {
  Table table = table_object(name);
  const std::string data = comment_data(NFTNL_UDATA_TABLE_COMMENT, comment);
  nftnl_table_set_data(table.get(), NFTNL_TABLE_USERDATA, data.data(), static_cast<std::uint32_t>(data.size()));
  if (flags != 0) nftnl_table_set_u32(table.get(), NFTNL_TABLE_FLAGS, flags);
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
  nftnl_table_nlmsg_build_payload(header, table.get());
  batch.push_back({finished(header), fmt::format("table inet {}", name)});
}

}  // namespace

void add_table(Batch& batch, std::string_view name, std::string_view comment) { add_table_with(batch, name, comment, 0); }

void add_owned_table(Batch& batch, std::string_view name, std::string_view comment) {
  add_table_with(batch, name, comment, NFT_TABLE_F_OWNER);
}

void delete_table(Batch& batch, std::string_view name) {
  Table table = table_object(name);
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_DELTABLE, 0);
  nftnl_table_nlmsg_build_payload(header, table.get());
  batch.push_back({finished(header), fmt::format("deleting table inet {}", name)});
}

void add_chain(Batch& batch, std::string_view table, capture::Chain chain) {
  ChainObject object(nftnl_chain_alloc());
  nftnl_chain_set_str(object.get(), NFTNL_CHAIN_TABLE, std::string(table).c_str());
  nftnl_chain_set_str(object.get(), NFTNL_CHAIN_NAME, std::string(capture::name(chain)).c_str());
  if (auto hook = hook_of(chain)) {
    nftnl_chain_set_str(object.get(), NFTNL_CHAIN_TYPE, std::string(hook->type).c_str());
    nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_HOOKNUM, hook->number);
    nftnl_chain_set_s32(object.get(), NFTNL_CHAIN_PRIO, hook->priority);
    nftnl_chain_set_u32(object.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
  }
  add_chain_object(batch, object.get());
}

void delete_chain(Batch& batch, std::string_view table, capture::Chain chain) {
  ChainObject object(nftnl_chain_alloc());
  nftnl_chain_set_str(object.get(), NFTNL_CHAIN_TABLE, std::string(table).c_str());
  nftnl_chain_set_str(object.get(), NFTNL_CHAIN_NAME, std::string(capture::name(chain)).c_str());
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_DELCHAIN, 0);
  nftnl_chain_nlmsg_build_payload(header, object.get());
  batch.push_back({finished(header), fmt::format("deleting chain {}", capture::name(chain))});
}

void add_chain_object(Batch& batch, nftnl_chain* chain) {
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
  nftnl_chain_nlmsg_build_payload(header, chain);
  batch.push_back({finished(header), fmt::format("chain {}", nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME))});
}

void add_set_objects(Batch& batch, const std::vector<SetObject>& sets) {
  for (const SetObject& set : sets)
    add_set(batch, fmt::format("set {}", nftnl_set_get_str(set.get(), NFTNL_SET_NAME)), set.get());
}

void add_rule_object(Batch& batch, nftnl_rule* rule, const std::string& label) {
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
  nftnl_rule_nlmsg_build_payload(header, rule);
  batch.push_back({finished(header), label});
}

void flush_rules(Batch& batch, std::string_view table) {
  RuleObject rule(nftnl_rule_alloc());
  nftnl_rule_set_str(rule.get(), NFTNL_RULE_TABLE, std::string(table).c_str());
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_DELRULE, 0);
  nftnl_rule_nlmsg_build_payload(header, rule.get());
  batch.push_back({finished(header), "deleting the old rules"});
}

void add_rules(Batch& batch, std::string_view table, const std::vector<Rule>& rules) {
  std::uint32_t set_number = 1;
  for (const Rule& rule : rules) {
    RuleObjects objects = build(rule, set_number);
    const std::string label = fmt::format("rule \"{}\" of chain {}", to_text(rule), capture::name(rule.chain));
    for (const SetObject& set : objects.sets) {
      nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, std::string(table).c_str());
      add_set(batch, "a set of " + label, set.get());
    }
    nftnl_rule_set_str(objects.rule.get(), NFTNL_RULE_TABLE, std::string(table).c_str());
    add_rule_object(batch, objects.rule.get(), label);
  }
}

void add_state_set(Batch& batch, std::string_view table, std::string_view name, std::optional<Nanoseconds> armed_for) {
  constexpr std::uint32_t kTypeMark = 19;  // nft(8)'s number of the data type "mark", for its listings
  const bool is_gate = name == kHoldingSet;
  const std::string label = fmt::format("the set {}", name);
  SetObject set = named_set(table, name);
  nftnl_set_set_u32(set.get(), NFTNL_SET_FLAGS, NFT_SET_EVAL | NFT_SET_TIMEOUT);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_TYPE, kTypeMark);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, sizeof(std::uint32_t));
  nftnl_set_set_u32(set.get(), NFTNL_SET_DESC_SIZE, is_gate ? 1 : kAliveSize);
  nftnl_set_set_u32(set.get(), NFTNL_SET_ID, is_gate ? 0x10000 : 0x10001);  // anonymous sets count from 1
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
  nftnl_set_nlmsg_build_payload(header, set.get());
  batch.push_back({finished(header), label});
  if (!armed_for) return;
  const std::uint32_t key = 0;
  nftnl_set_elem* element = nftnl_set_elem_alloc();
  nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, &key, sizeof key);
  nftnl_set_elem_set_u64(element, NFTNL_SET_ELEM_TIMEOUT, gate_timeout(*armed_for));
  nftnl_set_elem_add(set.get(), element);
  add_elements(batch, label, set.get());
}

void delete_set(Batch& batch, std::string_view table, std::string_view name) {
  SetObject set = named_set(table, name);
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_DELSET, 0);
  nftnl_set_nlmsg_build_payload(header, set.get());
  batch.push_back({finished(header), fmt::format("deleting the set {}", name)});
}

void add_domain_sets(Batch& batch, std::string_view table) {
  for (Family family : kBothFamilies) {
    SetObject set = named_set(table, domain_set(family));
    const bool v4 = family == Family::v4;
    nftnl_set_set_u32(set.get(), NFTNL_SET_FLAGS, 0);
    nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_TYPE, v4 ? 7 : 8);  // nft(8)'s numbers of ipv4_addr and ipv6_addr
    nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, v4 ? sizeof(in_addr) : sizeof(in6_addr));
    nftnl_set_set_u32(set.get(), NFTNL_SET_ID, v4 ? 0x10002 : 0x10003);
    Buffer buffer;
    nlmsghdr* header = start(buffer, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
    nftnl_set_nlmsg_build_payload(header, set.get());
    batch.push_back({finished(header), fmt::format("the set {}", domain_set(family))});
  }
}

void replace_elements(Batch& batch, std::string_view table, std::string_view name, const std::vector<std::string>& keys) {
  SetObject set = named_set(table, name);
  const std::string label = fmt::format("the set {}", name);
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_DELSETELEM, 0);  // without elements: all of them
  nftnl_set_elems_nlmsg_build_payload(header, set.get());
  batch.push_back({finished(header), fmt::format("emptying {}", label)});
  for (const std::string& key : keys) {
    nftnl_set_elem* element = nftnl_set_elem_alloc();
    nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(), static_cast<std::uint32_t>(key.size()));
    nftnl_set_elem_add(set.get(), element);
  }
  if (!keys.empty()) add_elements(batch, label, set.get());
}

NetlinkMessage ask_generation() {
  Buffer buffer;
  return finished(start(buffer, NFT_MSG_GETGEN, 0, NFPROTO_UNSPEC));
}
NetlinkMessage ask_tables() { return dump_request(NFT_MSG_GETTABLE); }
NetlinkMessage ask_chains() { return dump_request(NFT_MSG_GETCHAIN); }

NetlinkMessage ask_all_rules() { return dump_request(NFT_MSG_GETRULE); }

NetlinkMessage ask_rules(std::string_view table) {
  RuleObject rule(nftnl_rule_alloc());
  nftnl_rule_set_str(rule.get(), NFTNL_RULE_TABLE, std::string(table).c_str());
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_GETRULE, NLM_F_DUMP);
  nftnl_rule_nlmsg_build_payload(header, rule.get());
  return finished(header);
}

NetlinkMessage ask_sets(std::string_view table) {
  SetObject set(nftnl_set_alloc());
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, std::string(table).c_str());
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_GETSET, NLM_F_DUMP);
  nftnl_set_nlmsg_build_payload(header, set.get());
  return finished(header);
}

NetlinkMessage ask_elements(std::string_view table, std::string_view name) {
  SetObject set(nftnl_set_alloc());
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, std::string(table).c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, std::string(name).c_str());
  Buffer buffer;
  nlmsghdr* header = start(buffer, NFT_MSG_GETSETELEM, NLM_F_DUMP);
  nftnl_set_elems_nlmsg_build_payload(header, set.get());
  return finished(header);
}

}  // namespace weir::nft
