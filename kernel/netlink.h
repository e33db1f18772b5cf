// SPDX-License-Identifier: Apache-2.0
// Netlink as an interface, so that a fake can record what it was asked and fail at the message of its choice.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace weir::kernel {

enum class NetlinkBus : std::uint8_t { route, netfilter };  ///< NETLINK_ROUTE, NETLINK_NETFILTER

/// One whole message: header and payload, in the kernel's own layout. Sequence numbers are set when it is sent.
using NetlinkMessage = std::string;

/// The kernel refused one message of a batch; nothing of the batch was done.
struct BatchRefusal {
  std::size_t index = 0;  ///< of the refused message in the batch; the size of the batch if the kernel blamed the whole
  int sys_errno = 0;
};

/// One end of a netlink conversation. Not thread-safe. Implementations keep errno values as Error::sys_errno().
class Netlink {
 public:
  virtual ~Netlink() = default;

  /// Sends one request, which must be acknowledged (NLM_F_ACK is added). The kernel's refusal is the error.
  virtual Result<> act(NetlinkBus bus, const NetlinkMessage& request) = 0;
  /// Sends one request and collects its answers until NLMSG_DONE or the acknowledgement. A dump that the kernel marked as
  /// inconsistent (NLM_F_DUMP_INTR) fails with EINTR: ask again.
  virtual Result<std::vector<NetlinkMessage>> ask(NetlinkBus bus, const NetlinkMessage& request) = 0;
  /// One nfnetlink transaction: all messages or none. `generation`: of the ruleset that was read before (NFNL_BATCH_GENID);
  /// if it changed since, the refusal has errno ERESTART. nullopt: done.
  virtual Result<std::optional<BatchRefusal>> transact(const std::vector<NetlinkMessage>& batch,
                                                       std::optional<std::uint32_t> generation) = 0;
};

/// Talks to the kernel of the calling thread's network namespace (sockets are opened at first use, and stay in it).
std::unique_ptr<Netlink> open_netlink();

}  // namespace weir::kernel
