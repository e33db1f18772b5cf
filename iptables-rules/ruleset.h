// SPDX-License-Identifier: Apache-2.0
// A capture plan in nftables' terms, before it becomes text or netlink: both are made from this, so they cannot differ.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/plan.h"

namespace weir::nft {

/// What a term looks at.
enum class Field : std::uint8_t {
  l4proto,
  iifname,
  oifname,
  saddr,
  daddr,
  tcp_syn,
  dport,
  daddr_is_local,
  saddr_is_local,
  mark,
  ct_mark,
  skuid,
  skgid,
  ct_invalid,
  sport,
  udp_sport,
  udp_dport,
  cgroup,
  excluded_domain,
  holding,
  alive
};

/// A range of keys: bytes as they stand in the register (network order; uids in the machine's). Both ends included.
struct KeyRange {
  std::string first, last;
  friend bool operator==(const KeyRange&, const KeyRange&) = default;
};

struct Term {
  Field field;
  bool is_negated = false;
  std::vector<KeyRange> keys;  ///< sorted and disjoint; more than one key becomes an anonymous set. Empty for fields without
  std::string mask = {};       ///< of a mark: what of it is compared; empty: all
  std::string path = {};       ///< of a cgroup
  unsigned level = 0;          ///< of a cgroup: how deep below the root its path leads
};

struct Action {
  enum class Kind : std::uint8_t {
    accept,
    jump,
    redirect,
    reset,
    drop,
    open_gate,
    zone,
    transparent,
    mark,
    mark_connection,
    proxy_lives,
    refuse
  };
  Kind kind = Kind::accept;
  std::string_view chain;  ///< of a jump
  Port port = 0;           ///< of a redirect, or of a transparent socket
  std::uint16_t zone = 0;
  std::uint32_t mark = 0;
  std::uint64_t timeout = 0;  ///< of proxy_lives, in ms
};

struct Rule {
  capture::Chain chain;
  std::optional<Family> family;  ///< set if a term looks at addresses
  std::vector<Term> terms;       ///< in the order in which nft(8) would write them
  Action action;
  std::string comment;   ///< the step's why
  std::size_t step = 0;  ///< index in the plan
};

/// All of the plan's rules in order. A step that names addresses of both families becomes two rules.
std::vector<Rule> compile(const capture::CapturePlan& plan);

/// Where a base chain hangs; plain chains have none.
struct Hook {
  std::string_view type;     ///< "filter", "nat"
  std::string_view point;    ///< "prerouting", "output"
  std::uint32_t number = 0;  ///< NF_INET_PRE_ROUTING, NF_INET_LOCAL_OUT
  int priority = 0;
};
std::optional<Hook> hook_of(capture::Chain chain);

inline constexpr std::string_view kTable = "weir";
/// Sets with at most the key 0, which times out: the start gate holds, the proxy lives.
inline constexpr std::string_view kHoldingSet = "holding", kAliveSet = "alive";
/// Sets of the addresses that excluded domains have now, by family.
constexpr std::string_view domain_set(Family family) { return family == Family::v4 ? "domains4" : "domains6"; }
/// More than one: an element whose time is over keeps its place for a while.
inline constexpr std::uint32_t kAliveSize = 16;
/// What stands in the table's comment: by it we recognise our own table.
inline constexpr std::string_view kOwnerMark = "owner: weir";

/// Text that `nft -f` accepts; it replaces an earlier table of ours in one transaction.
std::string ruleset_text(const capture::CapturePlan& plan);
/// One rule without its comment: `oifname "lo" ip daddr != 127.0.0.1 accept`.
std::string to_text(const Rule& rule);

/// The rule and where it stands: `inet weir outbound: meta skuid 1337 accept comment "--proxy-uid 1337"`.
std::string listing(const Rule& rule);

/// Milliseconds, as the kernel keeps timeouts; at least 1.
std::uint64_t gate_timeout(Nanoseconds duration);

}  // namespace weir::nft
