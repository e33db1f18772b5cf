// SPDX-License-Identifier: Apache-2.0
// The nftables backend: one table `inet weir`, programmed in one netlink transaction.
#pragma once

#include <memory>

#include "capture/redirector.h"
#include "kernel/netlink.h"

namespace weir::nft {

/// IFA_PROTO of the ::6/128 that we add to lo (Linux 5.18): by it remove() knows that it was we who added it. On older kernels
/// the table's comment says so. Mode TPROXY's rule and route bear the same number.
inline constexpr unsigned char kAddressProtocol = 119;

struct NftOptions {
  bool force = false;  ///< apply even if the kernel already has the plan
};

/// `netlink` decides which network namespace. It must outlive nothing: it is owned.
std::unique_ptr<capture::Redirector> make_nft_redirector(std::unique_ptr<kernel::Netlink> netlink,
                                                         const NftOptions& options = {});

}  // namespace weir::nft
