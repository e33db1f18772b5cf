// SPDX-License-Identifier: Apache-2.0
#include "iptables-rules/excluded_addresses.h"

#include "iptables-rules/domain_sets.h"
#include "iptables-rules/standing.h"
#include "iptables-rules/xtables_domains.h"

namespace weir::nft {

namespace {

constexpr std::chrono::seconds kLockWait(10);
constexpr xtables::Variant kVariants[] = {xtables::Variant::nft, xtables::Variant::legacy};

xtables::Programs programs_of(xtables::Variant variant) { return {variant, xtables::limited_runner(), kLockWait}; }

}  // namespace

Result<std::optional<Excluded>> find_excluded(kernel::Netlink& netlink) {
  auto of_nft = excluded_addresses(netlink);
  if (!of_nft) return pass(of_nft.error());
  if (*of_nft) return Excluded{.backend = "nft", .addresses = std::move(**of_nft)};
  for (const std::string& backend : standing_backends(netlink))
    for (xtables::Variant variant : kVariants) {
      if (backend != xtables::name(variant)) continue;
      auto found = xtables::excluded_addresses(programs_of(variant));
      if (!found) return pass(found.error());
      if (*found) return Excluded{.backend = backend, .addresses = std::move(**found)};
    }
  return std::nullopt;
}

Result<> set_excluded(kernel::Netlink& netlink, const Excluded& wanted) {
  for (xtables::Variant variant : kVariants)
    if (wanted.backend == xtables::name(variant)) return xtables::set_excluded_addresses(programs_of(variant), wanted.addresses);
  return set_excluded_addresses(netlink, wanted.addresses);
}

}  // namespace weir::nft
