// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/domain_sets.h"

#include <algorithm>
#include <cstring>

#include <netinet/in.h>
#include <linux/netfilter.h>
#include <libnftnl/set.h>

#include "iptables-rules/messages.h"
#include "iptables-rules/snapshot.h"

namespace weir::nft {

namespace {

void take_address(const void* key, std::uint32_t size, std::vector<IpAddr>& into) {
  if (size == sizeof(in_addr)) {
    in_addr address;
    std::memcpy(&address, key, sizeof address);
    into.push_back(IpAddr::from(address));
  } else if (size == sizeof(in6_addr)) {
    in6_addr address;
    std::memcpy(&address, key, sizeof address);
    into.push_back(IpAddr::from(address));
  }
}

}  // namespace

Result<std::optional<std::vector<IpAddr>>> excluded_addresses(kernel::Netlink& netlink) {
  auto snapshot = take_snapshot(netlink);
  if (!snapshot) return pass(snapshot.error());
  if (!snapshot->is_ours() || !snapshot->has_domain_sets) return std::nullopt;
  std::vector<IpAddr> found;
  for (Family family : kBothFamilies) {
    auto answers = netlink.ask(kernel::NetlinkBus::netfilter, ask_elements(kTable, domain_set(family)));
    if (!answers && answers.error().sys_errno() == ENOENT) return std::nullopt;
    if (!answers) return pass(answers.error(), "reading the addresses of excluded domains");
    const SetObject set(nftnl_set_alloc());
    for (const NetlinkMessage& message : *answers)
      nftnl_set_elems_nlmsg_parse(reinterpret_cast<const nlmsghdr*>(message.data()), set.get());
    nftnl_set_elem_foreach(
        set.get(),
        [](nftnl_set_elem* element, void* into) {
          std::uint32_t size = 0;
          const void* key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &size);
          take_address(key, size, *static_cast<std::vector<IpAddr>*>(into));
          return 0;
        },
        &found);
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<> set_excluded_addresses(kernel::Netlink& netlink, const std::vector<IpAddr>& addresses) {
  Batch batch;
  for (Family family : kBothFamilies) {
    std::vector<std::string> keys;
    for (const IpAddr& address : addresses)
      if (address.family() == family) keys.emplace_back(address.bytes());
    replace_elements(batch, kTable, domain_set(family), keys);
  }
  std::vector<NetlinkMessage> messages;
  for (const Labelled& part : batch) messages.push_back(part.message);
  auto refusal = netlink.transact(messages, std::nullopt);
  if (!refusal) return pass(refusal.error(), "keeping the addresses of excluded domains");
  if (!*refusal) return {};
  if ((*refusal)->sys_errno == ENOENT)
    return fail(ErrorCode::environment,
                "the sets of excluded domains are not there: run weir-init apply --exclude-domains first");
  return pass(explain_refusal((*refusal)->sys_errno, "keeping the addresses of excluded domains"));
}

}  // namespace weir::nft
