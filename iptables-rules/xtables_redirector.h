// SPDX-License-Identifier: Apache-2.0
// The iptables backend, for machines where nftables by netlink cannot be had: chains WEIR_… in the tables raw, mangle, filter and
// nat of both families, programmed by iptables-restore.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "capture/redirector.h"
#include "iptables-rules/xtables_gate.h"
#include "iptables-rules/xtables_programs.h"
#include "kernel/netlink.h"

namespace weir::xtables {

struct XtablesOptions {
  bool force = false;  ///< apply even if the kernel already has the plan
  Runner run = limited_runner();
  std::chrono::seconds lock_wait{10};                  ///< for iptables' lock
  std::string gate_folder = std::string(kGateFolder);  ///< where xt_recent shows its lists
};

/// For the network namespace of the calling thread; `netlink` (for ::6 on lo) must belong to the same.
std::unique_ptr<capture::Redirector> make_xtables_redirector(Variant variant, std::unique_ptr<kernel::Netlink> netlink,
                                                             XtablesOptions options = {});

}  // namespace weir::xtables
