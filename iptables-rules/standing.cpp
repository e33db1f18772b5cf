// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/standing.h"

#include <algorithm>
#include <fstream>

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <libnftnl/chain.h>

#include "iptables-rules/messages.h"
#include "iptables-rules/snapshot.h"
#include "iptables-rules/xtables_save.h"

namespace weir::nft {

namespace {

/// iptables-nft keeps its chains in tables of the families ip and ip6.
bool has_iptables_nft(kernel::Netlink& netlink) {
  kernel::NetlinkMessage request = ask_chains();
  request[sizeof(nlmsghdr)] = NFPROTO_UNSPEC;
  auto answers = netlink.ask(kernel::NetlinkBus::netfilter, request);
  if (!answers) return false;
  return std::any_of(answers->begin(), answers->end(), [](const kernel::NetlinkMessage& message) {
    if (message.size() <= sizeof(nlmsghdr) + sizeof(nfgenmsg)) return false;
    const auto family = static_cast<unsigned char>(message[sizeof(nlmsghdr)]);
    if (family != NFPROTO_IPV4 && family != NFPROTO_IPV6) return false;
    std::unique_ptr<nftnl_chain, void (*)(const nftnl_chain*)> chain(nftnl_chain_alloc(), nftnl_chain_free);
    if (nftnl_chain_nlmsg_parse(reinterpret_cast<const nlmsghdr*>(message.data()), chain.get()) < 0) return false;
    const char* name = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME);
    return name != nullptr && std::string_view(name).starts_with(xtables::kChainPrefix);
  });
}

/// The kernel names the tables that this namespace has had a use for; in most there are none.
bool has_legacy_tables(const char* file) {
  std::ifstream names(file);
  for (std::string name; std::getline(names, name);)
    if (name == "nat" || name == "filter" || name == "mangle" || name == "raw") return true;
  return false;
}

bool has_iptables_legacy(const xtables::Runner& run) {
  for (const auto& [file, program] : {std::pair{"/proc/thread-self/net/ip_tables_names", "iptables-legacy-save"},
                                      std::pair{"/proc/thread-self/net/ip6_tables_names", "ip6tables-legacy-save"}}) {
    if (!has_legacy_tables(file)) continue;
    auto saved = run({program}, "", {});
    if (!saved || saved->exit_code != 0) continue;
    auto tables = xtables::read_save(saved->out);
    if (!tables || !tables->empty()) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> standing_backends(kernel::Netlink& netlink, const xtables::Runner& run) {
  std::vector<std::string> found;
  if (auto snapshot = take_snapshot(netlink); snapshot && snapshot->is_ours()) found.emplace_back("nft");
  if (has_iptables_nft(netlink)) found.emplace_back(xtables::name(xtables::Variant::nft));
  if (has_iptables_legacy(run)) found.emplace_back(xtables::name(xtables::Variant::legacy));
  return found;
}

}  // namespace weir::nft
