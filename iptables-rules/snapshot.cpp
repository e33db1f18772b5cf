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

std::string hook_text(std::string_view type, std::uint32_t hook, int priority, std::uint32_t policy) {
  return fmt::format("{} {} {} {}", type, hook, priority, policy == NF_ACCEPT ? "accept" : "drop");
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
    snapshot.rules[nftnl_rule_get_str(rule.get(), NFTNL_RULE_CHAIN)].push_back(canonical(rule.get(), elements));
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

std::string step_text(const capture::CapturePlan& plan, const Rule& rule) {
  const capture::Step& step = plan.steps[rule.step];
  return fmt::format("{}: {} ({})", to_text(step.match), verdict_text(step), step.why);
}

/// Sentences about one chain.
void compare_rules(std::string_view chain, const std::vector<const Rule*>& wanted, const std::vector<std::string>& found,
                   const capture::CapturePlan& plan, std::vector<std::string>& out) {
  std::vector<std::string> unmatched = found;
  std::vector<std::string> expected;
  bool is_complete = true;
  for (const Rule* rule : wanted) {
    expected.push_back(canonical(*rule));
    auto same = std::find(unmatched.begin(), unmatched.end(), expected.back());
    if (same != unmatched.end()) {
      unmatched.erase(same);
      continue;
    }
    is_complete = false;
    out.push_back(fmt::format("chain {}: missing or changed: {}", chain, step_text(plan, *rule)));
  }
  if (!unmatched.empty())
    out.push_back(fmt::format("chain {}: {} that the plan does not want; see: nft list chain inet {} {}", chain,
                              unmatched.size() == 1 ? "a rule" : fmt::format("{} rules", unmatched.size()), kTable, chain));
  if (is_complete && unmatched.empty() && expected != found)
    out.push_back(fmt::format("chain {}: the rules stand in another order", chain));
}

std::string wanted_hook(capture::Chain chain) {
  auto hook = hook_of(chain);
  return hook ? hook_text(hook->type, hook->number, hook->priority, NF_ACCEPT) : "";
}

}  // namespace

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

bool has_our_chains(const Snapshot& snapshot) {
  std::size_t ours = 0;
  for (capture::Chain chain : capture::kChains) {
    auto found = snapshot.chains.find(std::string(capture::name(chain)));
    if (found == snapshot.chains.end()) {
      if (capture::is_always_there(chain)) return false;
      continue;
    }
    if (found->second != wanted_hook(chain)) return false;
    ++ours;
  }
  return ours == snapshot.chains.size();
}

std::vector<std::string> differences(const Snapshot& snapshot, const std::vector<Rule>& rules, const capture::CapturePlan& plan) {
  std::vector<std::string> out;
  if (plan.steps.empty()) {
    if (snapshot.is_ours()) out.push_back(fmt::format("the table inet {} is there, but nothing is to be captured", kTable));
    return out;
  }
  if (!snapshot.has_table) return {fmt::format("the table inet {} is missing: nothing is captured", kTable)};
  if (!snapshot.is_ours()) return {fmt::format("the table inet {} is not ours: its comment is not \"{}\"", kTable, kOwnerMark)};
  if (snapshot.has_holding_set != plan.start_gate.has_value())
    out.push_back(plan.start_gate ? "the start gate's set is missing" : "there is a start gate, but none is wanted");
  if (snapshot.has_alive_set != plan.open_after.has_value())
    out.push_back(plan.open_after ? "the set that tells whether the proxy lives is missing"
                                  : "there is a set that tells whether the proxy lives, but none is wanted");
  if (snapshot.has_domain_sets == plan.excluded_domains.empty())
    out.push_back(snapshot.has_domain_sets ? "there are sets of excluded domains, but none are wanted"
                                           : "the sets of excluded domains are missing");
  const std::vector<capture::Chain> chains = capture::chains_of(plan);
  for (capture::Chain chain : chains) {
    const std::string name(capture::name(chain));
    auto found = snapshot.chains.find(name);
    if (found == snapshot.chains.end()) {
      out.push_back(fmt::format("chain {} is missing", name));
      continue;
    }
    if (found->second != wanted_hook(chain)) out.push_back(fmt::format("chain {} hangs at another hook or priority", name));
    std::vector<const Rule*> wanted;
    for (const Rule& rule : rules)
      if (rule.chain == chain) wanted.push_back(&rule);
    auto present = snapshot.rules.find(name);
    compare_rules(name, wanted, present == snapshot.rules.end() ? std::vector<std::string>{} : present->second, plan, out);
  }
  for (const auto& [name, hook] : snapshot.chains)
    if (std::none_of(chains.begin(), chains.end(),
                     [&present = name](capture::Chain chain) { return capture::name(chain) == present; }))
      out.push_back(fmt::format("chain {} is not of the plan", name));
  return out;
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
