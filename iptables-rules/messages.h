// SPDX-License-Identifier: Apache-2.0
// Rules as netlink messages, by libnftnl. Pure: nothing is sent here.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "iptables-rules/ruleset.h"
#include "kernel/netlink.h"

struct nftnl_chain;
struct nftnl_rule;
struct nftnl_set;

namespace weir::nft {

using kernel::NetlinkMessage;

struct FreeRule {
  void operator()(nftnl_rule* rule) const;
};
struct FreeSet {
  void operator()(nftnl_set* set) const;
};
using RuleObject = std::unique_ptr<nftnl_rule, FreeRule>;
using SetObject = std::unique_ptr<nftnl_set, FreeSet>;

/// One rule and the anonymous sets that it looks into; numbers of sets are unique within a batch.
struct RuleObjects {
  RuleObject rule;
  std::vector<SetObject> sets;
};
RuleObjects build(const Rule& rule, std::uint32_t& next_set_number);

/// One message and what it does, for people: "rule 3 of outbound: …".
struct Labelled {
  NetlinkMessage message;
  std::string label;
};
using Batch = std::vector<Labelled>;

/// Each adds the messages of one thing. `table` is kTable but in probes.
void add_table(Batch& batch, std::string_view table, std::string_view comment);
/// It ends with the netlink socket by which it is made (Linux 5.12); others may not change it.
void add_owned_table(Batch& batch, std::string_view table, std::string_view comment);
void delete_table(Batch& batch, std::string_view table);
void add_chain(Batch& batch, std::string_view table, capture::Chain chain);
void delete_chain(Batch& batch, std::string_view table, capture::Chain chain);
/// Deletes all rules of the table; chains and named sets stay.
void flush_rules(Batch& batch, std::string_view table);
void add_rules(Batch& batch, std::string_view table, const std::vector<Rule>& rules);
/// One of the sets with a single key (kHoldingSet, kAliveSet); with `armed_for` that key is in it from now on for so long.
void add_state_set(Batch& batch, std::string_view table, std::string_view name, std::optional<Nanoseconds> armed_for);
void delete_set(Batch& batch, std::string_view table, std::string_view name);
/// The sets of excluded domains' addresses, empty.
void add_domain_sets(Batch& batch, std::string_view table);
/// Puts these keys, and no others, into a set without intervals.
void replace_elements(Batch& batch, std::string_view table, std::string_view name, const std::vector<std::string>& keys);
/// As they are: with their table's name, a set with its elements.
void add_chain_object(Batch& batch, nftnl_chain* chain);
void add_set_objects(Batch& batch, const std::vector<SetObject>& sets);
void add_rule_object(Batch& batch, nftnl_rule* rule, const std::string& label);

/// Requests that read.
NetlinkMessage ask_generation();
NetlinkMessage ask_tables();
NetlinkMessage ask_chains();
NetlinkMessage ask_rules(std::string_view table);
/// Of all tables.
NetlinkMessage ask_all_rules();
NetlinkMessage ask_sets(std::string_view table);
NetlinkMessage ask_elements(std::string_view table, std::string_view set);

/// The rule's expressions in one canonical text, the same for what we build and for what the kernel answers. `elements`: the text
/// of the anonymous set that a lookup names (by number where we built it, by name where the kernel did).
using ElementsOf = std::function<std::string(std::string_view name, std::uint32_t number)>;
std::string canonical(nftnl_rule* rule, const ElementsOf& elements);
/// Elements in ascending order.
std::string canonical(nftnl_set* set);
/// Canonical text of a rule that we would build.
std::string canonical(const Rule& rule);

}  // namespace weir::nft
