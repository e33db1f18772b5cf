// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/snapshot.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include <netinet/in.h>
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <libnftnl/chain.h>
#include <libnftnl/gen.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>

#include "kernel/caps.h"

namespace weir::nft {

namespace {

using kernel::Netlink;
using kernel::NetlinkBus;

constexpr int kAttempts = 20;

/// Netlink messages are read in place; strings of their size stand on the heap, which aligns well enough for nlmsghdr.
const nlmsghdr* header_of(const NetlinkMessage& message) { return reinterpret_cast<const nlmsghdr*>(message.data()); }

bool is_inet(const NetlinkMessage& message) {
  return message.size() > sizeof(nlmsghdr) + sizeof(nfgenmsg) && message[sizeof(nlmsghdr)] == NFPROTO_INET;
}

Result<std::vector<NetlinkMessage>> ask(Netlink& netlink, const NetlinkMessage& request) {
  auto answers = netlink.ask(NetlinkBus::netfilter, request);
  if (!answers && answers.error().sys_errno() != 0 && answers.error().sys_errno() != EINTR)
    return pass(explain_refusal(answers.error().sys_errno(), "reading the nftables rules"));
  return answers;
}

Result<std::uint32_t> generation(Netlink& netlink) {
  auto answers = ask(netlink, ask_generation());
  if (!answers) return pass(answers.error());
  if (answers->empty()) return fail(ErrorCode::io, "the kernel did not tell the generation of its nftables rules");
  std::unique_ptr<nftnl_gen, void (*)(const nftnl_gen*)> object(nftnl_gen_alloc(), nftnl_gen_free);
  if (nftnl_gen_nlmsg_parse(header_of(answers->front()), object.get()) < 0)
    return fail(ErrorCode::io, "the kernel's answer about the generation of its nftables rules could not be read");
  return nftnl_gen_get_u32(object.get(), NFTNL_GEN_ID);
}

std::string comment_in(const void* data, std::uint32_t size) {
  const auto* bytes = static_cast<const char*>(data);
  if (data == nullptr || size < 3 || bytes[0] != 0 || static_cast<unsigned char>(bytes[1]) + 2U > size) return {};
  return {bytes + 2, static_cast<std::size_t>(static_cast<unsigned char>(bytes[1])) - 1};
}

bool is_ours(const char* table) { return table != nullptr && table == kTable; }

Result<> read_table(Netlink& netlink, Snapshot& snapshot) {
  auto answers = ask(netlink, ask_tables());
  if (!answers) return pass(answers.error());
  for (const NetlinkMessage& message : *answers) {
    std::unique_ptr<nftnl_table, void (*)(const nftnl_table*)> table(nftnl_table_alloc(), nftnl_table_free);
    if (!is_inet(message) || nftnl_table_nlmsg_parse(header_of(message), table.get()) < 0) continue;
    if (!is_ours(nftnl_table_get_str(table.get(), NFTNL_TABLE_NAME))) continue;
    snapshot.has_table = true;
    std::uint32_t size = 0;
    const void* data = nftnl_table_get_data(table.get(), NFTNL_TABLE_USERDATA, &size);
    snapshot.comment = comment_in(data, size);
  }
  return {};
}

Result<> read_chains(Netlink& netlink, Snapshot& snapshot) {
  auto answers = ask(netlink, ask_chains());
  if (!answers) return pass(answers.error());
  for (const NetlinkMessage& message : *answers) {
    std::unique_ptr<nftnl_chain, void (*)(const nftnl_chain*)> chain(nftnl_chain_alloc(), nftnl_chain_free);
    if (!is_inet(message) || nftnl_chain_nlmsg_parse(header_of(message), chain.get()) < 0) continue;
    if (!is_ours(nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE))) continue;
    std::string hook;
    if (nftnl_chain_is_set(chain.get(), NFTNL_CHAIN_HOOKNUM))
      hook = hook_text(nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TYPE), nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_HOOKNUM),
                       nftnl_chain_get_s32(chain.get(), NFTNL_CHAIN_PRIO), nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_POLICY));
    snapshot.chains[nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME)] = hook;
  }
  return {};
}

/// Name of each set → its elements' canonical text; of the state sets only that they are there, since their elements are state.
Result<std::map<std::string, std::string>> read_sets(Netlink& netlink, Snapshot& snapshot) {
  std::map<std::string, std::string> sets;
  auto answers = ask(netlink, ask_sets(kTable));
  if (!answers) return pass(answers.error());
  for (const NetlinkMessage& message : *answers) {
    SetObject set(nftnl_set_alloc());
    if (!is_inet(message) || nftnl_set_nlmsg_parse(header_of(message), set.get()) < 0) continue;
    if (!is_ours(nftnl_set_get_str(set.get(), NFTNL_SET_TABLE))) continue;
    const std::string name = nftnl_set_get_str(set.get(), NFTNL_SET_NAME);
    snapshot.has_holding_set |= name == kHoldingSet;
    snapshot.has_alive_set |= name == kAliveSet;
    const bool is_of_domains = name == domain_set(Family::v4) || name == domain_set(Family::v6);
    snapshot.has_domain_sets |= is_of_domains;
    if (name == kHoldingSet || name == kAliveSet || is_of_domains) continue;
    auto elements = ask(netlink, ask_elements(kTable, name));
    if (!elements) return pass(elements.error());
    SetObject filled(nftnl_set_alloc());
    for (const NetlinkMessage& part : *elements) nftnl_set_elems_nlmsg_parse(header_of(part), filled.get());
    sets[name] = canonical(filled.get());
  }
  return sets;
}

Result<> read_rules(Netlink& netlink, Snapshot& snapshot, const std::map<std::string, std::string>& sets) {
  auto answers = ask(netlink, ask_rules(kTable));
  if (!answers) return pass(answers.error());
  const auto elements = [&](std::string_view name, std::uint32_t) {
    auto found = sets.find(std::string(name));
    return found == sets.end() ? std::string("?") : found->second;
  };
  for (const NetlinkMessage& message : *answers) {
    RuleObject rule(nftnl_rule_alloc());
    if (!is_inet(message) || nftnl_rule_nlmsg_parse(header_of(message), rule.get()) < 0) continue;
    if (!is_ours(nftnl_rule_get_str(rule.get(), NFTNL_RULE_TABLE))) continue;
    std::uint32_t size = 0;
    const void* comment = nftnl_rule_get_data(rule.get(), NFTNL_RULE_USERDATA, &size);
    snapshot.rules[nftnl_rule_get_str(rule.get(), NFTNL_RULE_CHAIN)].push_back(
        {.text = canonical(rule.get(), elements),
         .comment = comment_in(comment, size),
         .handle = nftnl_rule_get_u64(rule.get(), NFTNL_RULE_HANDLE)});
  }
  return {};
}

Result<Snapshot> read_once(Netlink& netlink) {
  Snapshot snapshot;
  auto number = generation(netlink);
  if (!number) return pass(number.error());
  snapshot.generation = *number;
  if (auto r = read_table(netlink, snapshot); !r) return pass(r.error());
  if (!snapshot.has_table) return snapshot;
  if (auto r = read_chains(netlink, snapshot); !r) return pass(r.error());
  auto sets = read_sets(netlink, snapshot);
  if (!sets) return pass(sets.error());
  if (auto r = read_rules(netlink, snapshot, *sets); !r) return pass(r.error());
  return snapshot;
}

}  // namespace

std::string hook_text(std::string_view type, std::uint32_t hook, int priority, std::uint32_t policy) {
  static constexpr std::string_view kHooks[] = {"prerouting", "input", "forward", "output", "postrouting"};
  return fmt::format("{} {} {} {}", type, hook < std::size(kHooks) ? kHooks[hook] : "?", priority,
                     policy == NF_ACCEPT ? "accept" : "drop");
}

Result<Snapshot> take_snapshot(Netlink& netlink) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto snapshot = read_once(netlink);
    if (!snapshot) {
      // ENOENT: a chain or set went away between two questions.
      if (snapshot.error().sys_errno() == EINTR || snapshot.error().sys_errno() == ENOENT) continue;
      return snapshot;
    }
    auto after = generation(netlink);
    if (!after) return pass(after.error());
    if (*after == snapshot->generation) return snapshot;
  }
  return fail(ErrorCode::io,
              "the nftables rules changed {} times while they were read: who keeps changing them? See: nft monitor", kAttempts);
}

bool has_chain(const Snapshot& snapshot, capture::Chain chain) {
  return snapshot.chains.contains(std::string(capture::name(chain)));
}

Error explain_refusal(int sys_errno, std::string_view doing) {
  switch (sys_errno) {
    case EPERM:
    case EACCES:
      return {ErrorCode::environment,
              fmt::format("{} is not permitted in this network namespace: {}", doing, kernel::net_admin_hint()), sys_errno};
    case EINVAL:  // what nfnetlink says when its subsystem is not there
    case EOPNOTSUPP:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
      return {
          ErrorCode::environment,
          fmt::format("{} is not possible: this kernel has no nf_tables; it needs CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET and "
                      "CONFIG_NFT_NAT (try: modprobe nf_tables), Linux 5.9 or newer",
                      doing),
          sys_errno};
    default: return {ErrorCode::io, fmt::format("{}: {}", doing, errno_text(sys_errno)), sys_errno};
  }
}

}  // namespace weir::nft
