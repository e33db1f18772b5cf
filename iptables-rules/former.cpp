// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/former.h"

#include <algorithm>
#include <map>

#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>

#include "iptables-rules/snapshot.h"

namespace weir::nft {

namespace {

constexpr char kAnonymousSet[] = "__set%d";  // the kernel puts a number for %d

const nlmsghdr* header_of(const NetlinkMessage& message) { return reinterpret_cast<const nlmsghdr*>(message.data()); }

/// Inet, and of our table: filters for the kernel's dumps are hints only.
bool is_ours(const NetlinkMessage& message, const char* table) {
  return message.size() > sizeof(nlmsghdr) + sizeof(nfgenmsg) && message[sizeof(nlmsghdr)] == NFPROTO_INET && table != nullptr &&
         table == kTable;
}

struct Element {
  std::string key;
  std::uint32_t flags = 0;
  std::uint64_t timeout = 0, expiration = 0;  ///< ms; 0: none
};

std::vector<Element> elements_of(nftnl_set* set) {
  std::vector<Element> found;
  nftnl_set_elem_foreach(
      set,
      [](nftnl_set_elem* e, void* data) {
        std::uint32_t size = 0;
        const void* key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &size);
        Element element{.key = {static_cast<const char*>(key), size}};
        if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_FLAGS)) element.flags = nftnl_set_elem_get_u32(e, NFTNL_SET_ELEM_FLAGS);
        if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_TIMEOUT)) element.timeout = nftnl_set_elem_get_u64(e, NFTNL_SET_ELEM_TIMEOUT);
        if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_EXPIRATION))
          element.expiration = nftnl_set_elem_get_u64(e, NFTNL_SET_ELEM_EXPIRATION);
        static_cast<std::vector<Element>*>(data)->push_back(std::move(element));
        return 0;
      },
      &found);
  // Ascending, and where one interval ends and the next begins the end first, as they are made; the kernel tells them in its own
  // order.
  std::sort(found.begin(), found.end(), [](const Element& a, const Element& b) {
    return a.key != b.key ? a.key < b.key : (a.flags & NFT_SET_ELEM_INTERVAL_END) > (b.flags & NFT_SET_ELEM_INTERVAL_END);
  });
  return found;
}

void add_elements(nftnl_set* set, const std::vector<Element>& elements) {
  for (const Element& element : elements) {
    nftnl_set_elem* e = nftnl_set_elem_alloc();
    nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, element.key.data(), static_cast<std::uint32_t>(element.key.size()));
    if (element.flags != 0) nftnl_set_elem_set_u32(e, NFTNL_SET_ELEM_FLAGS, element.flags);
    if (element.timeout != 0) nftnl_set_elem_set_u64(e, NFTNL_SET_ELEM_TIMEOUT, element.timeout);
    if (element.expiration != 0) nftnl_set_elem_set_u64(e, NFTNL_SET_ELEM_EXPIRATION, element.expiration);
    nftnl_set_elem_add(set, e);
  }
}

Result<std::vector<NetlinkMessage>> ask(kernel::Netlink& netlink, const NetlinkMessage& request) {
  auto answers = netlink.ask(kernel::NetlinkBus::netfilter, request);
  if (!answers) return pass(answers.error(), "reading the rules that stand, so that they could be put back");
  return answers;
}

Result<> read_chains(kernel::Netlink& netlink, Former& former) {
  auto answers = ask(netlink, ask_chains());
  if (!answers) return pass(answers.error());
  for (const NetlinkMessage& message : *answers) {
    std::unique_ptr<nftnl_chain, FreeChain> chain(nftnl_chain_alloc());
    if (nftnl_chain_nlmsg_parse(header_of(message), chain.get()) < 0) continue;
    if (!is_ours(message, nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE))) continue;
    for (std::uint16_t what : {NFTNL_CHAIN_HANDLE, NFTNL_CHAIN_USE, NFTNL_CHAIN_BYTES, NFTNL_CHAIN_PACKETS, NFTNL_CHAIN_FLAGS})
      nftnl_chain_unset(chain.get(), what);
    former.chains.push_back(std::move(chain));
  }
  return {};
}

Result<> read_sets(kernel::Netlink& netlink, Former& former) {
  auto answers = ask(netlink, ask_sets(kTable));
  if (!answers) return pass(answers.error());
  for (const NetlinkMessage& message : *answers) {
    SetObject set(nftnl_set_alloc());
    if (nftnl_set_nlmsg_parse(header_of(message), set.get()) < 0) continue;
    if (!is_ours(message, nftnl_set_get_str(set.get(), NFTNL_SET_TABLE))) continue;
    auto parts = ask(netlink, ask_elements(kTable, nftnl_set_get_str(set.get(), NFTNL_SET_NAME)));
    if (!parts) return pass(parts.error());
    SetObject filled(nftnl_set_alloc());
    for (const NetlinkMessage& part : *parts) nftnl_set_elems_nlmsg_parse(header_of(part), filled.get());
    nftnl_set_unset(set.get(), NFTNL_SET_HANDLE);
    add_elements(set.get(), elements_of(filled.get()));
    former.sets.push_back(std::move(set));
  }
  return {};
}

Result<> read_rules(kernel::Netlink& netlink, Former& former) {
  auto answers = ask(netlink, ask_rules(kTable));
  if (!answers) return pass(answers.error());
  for (const NetlinkMessage& message : *answers) {
    RuleObject rule(nftnl_rule_alloc());
    if (nftnl_rule_nlmsg_parse(header_of(message), rule.get()) < 0) continue;
    if (!is_ours(message, nftnl_rule_get_str(rule.get(), NFTNL_RULE_TABLE))) continue;
    nftnl_rule_unset(rule.get(), NFTNL_RULE_HANDLE);
    nftnl_rule_unset(rule.get(), NFTNL_RULE_POSITION);
    former.rules.push_back(std::move(rule));
  }
  return {};
}

/// Gives the lookup into an anonymous set the number that the set has in the batch.
int renumber(nftnl_expr* e, void* data) {
  const auto& numbers = *static_cast<const std::map<std::string, std::uint32_t>*>(data);
  if (std::string_view(nftnl_expr_get_str(e, NFTNL_EXPR_NAME)) != "lookup") return 0;
  const auto number = numbers.find(nftnl_expr_get_str(e, NFTNL_EXPR_LOOKUP_SET));
  if (number == numbers.end()) return 0;
  nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, kAnonymousSet);
  nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, number->second);
  return 0;
}

}  // namespace

void FreeChain::operator()(nftnl_chain* chain) const { nftnl_chain_free(chain); }

Result<Former> read_former(kernel::Netlink& netlink, std::string comment) {
  Former former;
  former.comment = std::move(comment);
  if (auto r = read_chains(netlink, former); !r) return pass(r.error());
  if (auto r = read_sets(netlink, former); !r) return pass(r.error());
  if (auto r = read_rules(netlink, former); !r) return pass(r.error());
  return former;
}

void add_former(Batch& batch, Former& former) {
  add_table(batch, kTable, former.comment);
  for (const auto& chain : former.chains) add_chain_object(batch, chain.get());
  std::map<std::string, std::uint32_t> numbers;
  std::uint32_t next = 1;
  for (const SetObject& set : former.sets) {
    const std::string name = nftnl_set_get_str(set.get(), NFTNL_SET_NAME);
    const bool is_anonymous = (nftnl_set_get_u32(set.get(), NFTNL_SET_FLAGS) & NFT_SET_ANONYMOUS) != 0;
    nftnl_set_set_u32(set.get(), NFTNL_SET_ID, next);
    if (is_anonymous && name != kAnonymousSet) {  // a second attempt finds them numbered
      numbers.emplace(name, next);
      nftnl_set_set_str(set.get(), NFTNL_SET_NAME, kAnonymousSet);
    }
    ++next;
  }
  for (const RuleObject& rule : former.rules) nftnl_expr_foreach(rule.get(), renumber, &numbers);
  add_set_objects(batch, former.sets);
  for (const RuleObject& rule : former.rules) add_rule_object(batch, rule.get(), "a rule that stood before");
}

}  // namespace weir::nft
