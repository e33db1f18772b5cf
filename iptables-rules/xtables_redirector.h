// SPDX-License-Identifier: Apache-2.0
// The iptables backend, for machines where nftables by netlink cannot be had: chains WEIR_… in the tables filter and nat of both
// families, programmed by iptables-restore.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "capture/redirector.h"
#include "kernel/child.h"
#include "kernel/netlink.h"

namespace weir::xtables {

/// Which of iptables' two implementations; the kernel keeps their rules apart.
enum class Variant : std::uint8_t { legacy, nft };
/// "iptables-legacy", "iptables-nft": the backend's name, and what its programs' names begin with.
std::string_view name(Variant variant);

/// Runs a program to its end with an input, or kills it if it takes too long.
using Runner = std::function<Result<kernel::Output>(const std::vector<std::string>& arguments, const std::string& input)>;
/// kernel::run with a limit, which is longer than iptables waits for its lock.
Runner limited_runner();

struct XtablesOptions {
  bool force = false;  ///< apply even if the kernel already has the plan
  Runner run = limited_runner();
};

/// For the network namespace of the calling thread; `netlink` (for ::6 on lo) must belong to the same.
std::unique_ptr<capture::Redirector> make_xtables_redirector(Variant variant, std::unique_ptr<kernel::Netlink> netlink,
                                                             XtablesOptions options = {});

}  // namespace weir::xtables
