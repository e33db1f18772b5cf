// SPDX-License-Identifier: Apache-2.0
// What the kernel tells to whoever listens: messages of a netlink multicast group.
#pragma once

#include <vector>

#include "base/duration.h"
#include "base/unique_fd.h"
#include "kernel/netlink.h"

namespace weir::kernel {

/// Belongs to the network namespace of the thread that opened it. Move-only, not thread-safe.
class NetlinkListener {
 public:
  /// `group`: NFNLGRP_NFTRACE, … Error EPERM where CAP_NET_ADMIN is missing.
  static Result<NetlinkListener> open(NetlinkBus bus, unsigned group);

  /// What has come, waiting up to `limit` for something; empty: nothing came. Messages that did not fit the socket's buffer are
  /// lost, which the error ENOBUFS tells once.
  Result<std::vector<NetlinkMessage>> receive(Nanoseconds limit);

 private:
  explicit NetlinkListener(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace weir::kernel
