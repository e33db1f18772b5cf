// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/foreign.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>

#include "iptables-rules/messages.h"
#include "iptables-rules/snapshot.h"
#include "iptables-rules/xtables_rules.h"

namespace weir::nft {

namespace {

constexpr int kOurNat = -100;  // where a connection is decided: see hook_of

const nlmsghdr* header_of(const NetlinkMessage& message) { return reinterpret_cast<const nlmsghdr*>(message.data()); }

/// "ip nat": family and name.
using TableKey = std::pair<std::uint8_t, std::string>;

std::string to_text(const TableKey& table) {
  const std::uint8_t family = table.first;
  const std::string_view name = family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : "inet";
  return fmt::format("{} {}", name, table.second);
}

struct ForeignRule {
  std::uint64_t handle = 0;
  std::size_t position = 0;  ///< from 1
  std::string act;           ///< what it may do to a packet; "" if nothing of interest
  std::vector<std::string> leads_to;
};

struct ForeignChain {
  std::string hook;  ///< "" for a plain chain
  std::uint32_t number = 0;
  int priority = 0;
  bool drops = false;  ///< by its policy
  std::vector<ForeignRule> rules;
};

struct Ruleset {
  std::map<TableKey, std::uint64_t> tables;  ///< with their handles, which grow
  std::map<TableKey, std::map<std::string, ForeignChain>> chains;
};

std::optional<std::uint8_t> family_of(const NetlinkMessage& message) {
  if (message.size() <= sizeof(nlmsghdr) + sizeof(nfgenmsg)) return std::nullopt;
  const auto family = static_cast<std::uint8_t>(message[sizeof(nlmsghdr)]);
  if (family != NFPROTO_IPV4 && family != NFPROTO_IPV6 && family != NFPROTO_INET) return std::nullopt;
  return family;
}

Result<std::vector<NetlinkMessage>> ask_all(kernel::Netlink& netlink, NetlinkMessage request) {
  request[sizeof(nlmsghdr)] = NFPROTO_UNSPEC;
  auto answers = netlink.ask(kernel::NetlinkBus::netfilter, request);
  if (!answers) return pass(explain_refusal(answers.error().sys_errno(), "reading the rules of others"));
  return answers;
}

std::string verdict_act(const nftnl_expr* e, ForeignRule& rule) {
  if (!nftnl_expr_is_set(e, NFTNL_EXPR_IMM_VERDICT)) return "";
  const auto verdict = static_cast<std::int32_t>(nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT));
  if (verdict == NF_DROP) return "drops";
  if (verdict >= 0 && (verdict & NF_VERDICT_MASK) == NF_QUEUE) return "queues to a program";
  if (verdict == NFT_JUMP || verdict == NFT_GOTO) rule.leads_to.emplace_back(nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN));
  return "";
}

/// What iptables-nft could not say in nftables' own words.
std::string target_act(std::string_view name) {
  if (name == "REDIRECT" || name == "DNAT" || name == "NETMAP" || name == "TPROXY")
    return fmt::format("sends elsewhere ({})", name);
  if (name == "REJECT" || name == "DROP" || name == "TARPIT") return fmt::format("refuses ({})", name);
  if (name == "NFQUEUE" || name == "QUEUE") return "queues to a program";
  if (name == "CT" || name == "NOTRACK") return "may hide from connection tracking";
  return "";
}

std::string act_of(const nftnl_expr* e, ForeignRule& rule) {
  const std::string_view kind = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
  if (kind == "immediate") return verdict_act(e, rule);
  if (kind == "target") return target_act(nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME));
  if (kind == "redir" || kind == "tproxy") return "sends elsewhere";
  if (kind == "nat") return nftnl_expr_get_u32(e, NFTNL_EXPR_NAT_TYPE) == NFT_NAT_DNAT ? "sends elsewhere" : "";
  if (kind == "reject") return "refuses";
  if (kind == "queue") return "queues to a program";
  if (kind == "notrack") return "hides from connection tracking";
  if (kind == "synproxy" || kind == "fwd") return "takes away";
  if (kind == "lookup" && nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG) &&
      nftnl_expr_get_u32(e, NFTNL_EXPR_LOOKUP_DREG) == NFT_REG_VERDICT)
    return "decides by a verdict map";
  return "";
}

ForeignRule read_rule(nftnl_rule* rule, std::size_t position) {
  ForeignRule found{.handle = nftnl_rule_get_u64(rule, NFTNL_RULE_HANDLE), .position = position};
  nftnl_expr_foreach(
      rule,
      [](nftnl_expr* e, void* data) {
        auto& into = *static_cast<ForeignRule*>(data);
        if (std::string act = act_of(e, into); !act.empty() && into.act.empty()) into.act = std::move(act);
        return 0;
      },
      &found);
  return found;
}

Result<Ruleset> read_ruleset(kernel::Netlink& netlink) {
  Ruleset ruleset;
  auto tables = ask_all(netlink, ask_tables());
  if (!tables) return pass(tables.error());
  for (const NetlinkMessage& message : *tables) {
    std::unique_ptr<nftnl_table, void (*)(const nftnl_table*)> table(nftnl_table_alloc(), nftnl_table_free);
    auto family = family_of(message);
    if (family && nftnl_table_nlmsg_parse(header_of(message), table.get()) >= 0)
      ruleset.tables[{*family, nftnl_table_get_str(table.get(), NFTNL_TABLE_NAME)}] =
          nftnl_table_get_u64(table.get(), NFTNL_TABLE_HANDLE);
  }
  auto chains = ask_all(netlink, ask_chains());
  if (!chains) return pass(chains.error());
  for (const NetlinkMessage& message : *chains) {
    std::unique_ptr<nftnl_chain, void (*)(const nftnl_chain*)> chain(nftnl_chain_alloc(), nftnl_chain_free);
    auto family = family_of(message);
    if (!family || nftnl_chain_nlmsg_parse(header_of(message), chain.get()) < 0) continue;
    ForeignChain& into = ruleset.chains[{*family, nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE)}]
                                       [nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME)];
    if (!nftnl_chain_is_set(chain.get(), NFTNL_CHAIN_HOOKNUM)) continue;
    into.number = nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_HOOKNUM);
    into.priority = nftnl_chain_get_s32(chain.get(), NFTNL_CHAIN_PRIO);
    const std::uint32_t policy = nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_POLICY);
    into.drops = policy == NF_DROP;
    into.hook = hook_text(nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TYPE), into.number, into.priority, policy);
  }
  auto rules = ask_all(netlink, ask_all_rules());
  if (!rules) return pass(rules.error());
  for (const NetlinkMessage& message : *rules) {
    RuleObject rule(nftnl_rule_alloc());
    auto family = family_of(message);
    if (!family || nftnl_rule_nlmsg_parse(header_of(message), rule.get()) < 0) continue;
    auto& into =
        ruleset
            .chains[{*family, nftnl_rule_get_str(rule.get(), NFTNL_RULE_TABLE)}][nftnl_rule_get_str(rule.get(), NFTNL_RULE_CHAIN)]
            .rules;
    into.push_back(read_rule(rule.get(), into.size() + 1));
  }
  return ruleset;
}

/// Walks one base chain and what it leads to.
class Walk {
 public:
  explicit Walk(const std::map<std::string, ForeignChain>& chains) : chains_(chains) {}

  /// False if it leads into a chain of weir.
  bool go(const std::string& chain) {
    if (chain.starts_with(xtables::kChainPrefix)) return false;
    if (!seen_.insert(chain).second) return true;
    auto found = chains_.find(chain);
    if (found == chains_.end()) return true;
    for (const ForeignRule& rule : found->second.rules) {
      if (!rule.act.empty())
        acts.push_back(fmt::format("rule {} of chain {} (handle {}) {}", rule.position, chain, rule.handle, rule.act));
      for (const std::string& next : rule.leads_to)
        if (!go(next)) return false;
    }
    return true;
  }

  std::vector<std::string> acts;

 private:
  const std::map<std::string, ForeignChain>& chains_;
  std::set<std::string> seen_;
};

}  // namespace

Result<std::vector<std::string>> foreign_in_front(kernel::Netlink& netlink) {
  auto ruleset = read_ruleset(netlink);
  if (!ruleset) return pass(ruleset.error());
  const TableKey ours{NFPROTO_INET, kTable};
  const auto our_table = ruleset->tables.find(ours);
  std::vector<std::string> found;
  for (const auto& [table, chains] : ruleset->chains) {
    if (table == ours) continue;
    for (const auto& [name, chain] : chains) {
      if (chain.hook.empty() || (chain.number != NF_INET_PRE_ROUTING && chain.number != NF_INET_LOCAL_OUT)) continue;
      // Of chains with one priority the kernel asks the youngest first (nf_hook_entries_grow).
      const bool is_younger = our_table == ruleset->tables.end() || ruleset->tables[table] > our_table->second;
      if (chain.priority > kOurNat || (chain.priority == kOurNat && !is_younger)) continue;
      Walk walk(chains);
      if (!walk.go(name)) continue;
      if (chain.drops) walk.acts.emplace_back("its policy drops");
      for (const std::string& act : walk.acts)
        found.push_back(
            fmt::format("others stand in front of weir: table {}, chain {} ({}): {} what it matches; if that is not "
                        "meant, see: nft -a list table {}",
                        to_text(table), name, chain.hook, act, to_text(table)));
    }
  }
  return found;
}

}  // namespace weir::nft
