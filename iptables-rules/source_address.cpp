// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/source_address.h"

#include "base/well_known.h"
#include "iptables-rules/nft_redirector.h"
#include "iptables-rules/snapshot.h"
#include "kernel/address.h"

namespace weir::nft {

namespace {

const Cidr& source6() {
  static const Cidr cidr = *Cidr::parse(well_known::kInboundSource6);
  return cidr;
}

}  // namespace

Result<SourceAddress> look_at_source(kernel::Netlink& netlink) {
  auto found = kernel::addresses(netlink, Family::v6);
  if (!found) return pass(found.error());
  auto lo = kernel::interface_index("lo");
  if (!lo) return pass(lo.error());
  SourceAddress source;
  for (const kernel::InterfaceAddress& address : *found) {
    source.has_v6 = true;
    source.has_v6_on_lo |= address.interface_index == *lo;
    const bool is_source = address.interface_index == *lo && address.address == source6().address();
    if (is_source) {
      source.is_there = true;
      source.is_ours = address.protocol == kAddressProtocol;
    }
    source.has_v6_traffic |= address.interface_index != *lo && !address.is_link_scope;
  }
  return source;
}

Result<Ensured> ensure_source(kernel::Netlink& netlink, bool may_be_missing) {
  auto before = look_at_source(netlink);
  if (!before) return pass(before.error());
  if (before->is_there) return Ensured{.was_added = false, .is_marked = before->is_ours, .note = {}};
  auto lo = kernel::interface_index("lo");
  if (!lo) return pass(lo.error());
  auto added = kernel::add_address(netlink, *lo, source6(), kAddressProtocol);
  if (!added && added.error().sys_errno() == EEXIST) return Ensured{};
  if (!added) {
    // The answer may be lost and the deed done.
    if (auto now = look_at_source(netlink); now && now->is_there)
      if (auto removed = remove_source(netlink); !removed) {
        ErrorList errors;
        errors.add(added.error());
        errors.add(removed.error());
        return pass(errors.to_result().error());
      }
    const int error = added.error().sys_errno();
    if (error == EPERM) return pass(explain_refusal(error, "adding the address ::6 to lo"));
    const std::string reason = fmt::format(
        "the sandbox has IPv6 addresses, but ::6/128 cannot be added to lo ({}); is IPv6 off for lo? See: sysctl "
        "net.ipv6.conf.lo.disable_ipv6",
        errno_text(error));
    if (before->has_v6_traffic && may_be_missing) return Ensured{.is_missing = true, .note = "IPv6 is blocked: " + reason};
    if (before->has_v6_traffic)
      return pass(Error(ErrorCode::environment, reason + "; --on-missing-family=block would cut IPv6 off instead", error));
    return Ensured{
        .was_added = false, .is_marked = false, .note = "IPv6 is off in this network namespace; its rules stand ready"};
  }
  auto after = look_at_source(netlink);
  return Ensured{.was_added = true, .is_marked = after && after->is_ours, .note = {}};
}

Result<> remove_source(kernel::Netlink& netlink) {
  auto lo = kernel::interface_index("lo");
  if (!lo) return pass(lo.error());
  auto removed = kernel::remove_address(netlink, *lo, source6());
  if (removed || removed.error().sys_errno() == EADDRNOTAVAIL) return {};
  if (auto now = look_at_source(netlink); now && !now->is_there) return {};  // done, and the answer was lost
  return removed;
}

}  // namespace weir::nft
