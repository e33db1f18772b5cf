// SPDX-License-Identifier: Apache-2.0
// Watches what the kernel does to probe packets, by nftables' own trace: which rules each meets, and where it ends. Probes are
// known by their source port; they are dropped at the end of their way, so that none is delivered or leaves the namespace, and
// connection tracking never keeps them. Works for every backend that the packets pass, but names rules of nftables only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/port_set.h"
#include "iptables-rules/snapshot.h"
#include "kernel/netlink.h"
#include "kernel/netlink_listener.h"

namespace weir::nft {

/// A rule that matched the packet.
struct RuleHit {
  std::uint8_t family = 0;  ///< NFPROTO_INET, NFPROTO_IPV4, …
  std::string table, chain;
  std::uint64_t handle = 0;
};

/// What became of one probe.
struct Sighting {
  std::vector<RuleHit> hits;
  bool was_dropped = false;           ///< by a rule; else it arrived, or nothing is known
  std::optional<SocketAddr> arrived;  ///< to this address and port, as the packet then bore them
  bool left = false;                  ///< it arrived at the end of the way out of the namespace, else at a process
  bool is_decided() const { return was_dropped || arrived.has_value(); }
};

/// The rules of our own table among them, as Redirector::rules_of writes them; those that are not of the plan, and those of
/// others, by table, chain and handle.
std::vector<std::string> name_hits(const std::vector<RuleHit>& hits, const Snapshot& snapshot, const capture::CapturePlan& plan);
/// True while the start gate holds.
Result<bool> gate_holds(kernel::Netlink& netlink);

/// Lives as long as the watched packets do. The temporary table belongs to its netlink socket, so that it ends with the process
/// even if that is killed (NFT_TABLE_F_OWNER, Linux 5.12).
class PacketTrace {
 public:
  /// `ports`: the source ports of all probes. `in_interface`: from it also packets that are no first packet of a connection.
  /// Errors (environment): a kernel without nftables' trace, no CAP_NET_ADMIN.
  static Result<std::unique_ptr<PacketTrace>> begin(PortRange ports, const std::string& in_interface);
  ~PacketTrace();

  /// Reads until the probe from that port is decided, or `limit` is over.
  Result<Sighting> watch(Port source_port, Nanoseconds limit);
  /// Forgets what came so far.
  Result<> skip();

 private:
  PacketTrace(std::unique_ptr<kernel::Netlink> netlink, kernel::NetlinkListener listener)
      : netlink_(std::move(netlink)), listener_(std::move(listener)) {}
  void note(const kernel::NetlinkMessage& message, Port source_port, Sighting& sighting);

  std::unique_ptr<kernel::Netlink> netlink_;  // owns the table
  kernel::NetlinkListener listener_;
  std::optional<std::uint32_t> current_;  // the kernel's number of the packet that is being told of
};

}  // namespace weir::nft
