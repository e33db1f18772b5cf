// SPDX-License-Identifier: Apache-2.0
// Packets that exist to be looked at: sent in another uid's name, or as if from outside.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ip.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "kernel/netlink.h"

namespace weir::kernel {

struct ProbePacket {
  bool is_tcp = true;  ///< a connection attempt, else a datagram
  std::uint32_t uid = 0, gid = 0;
  std::optional<IpAddr> source;
  Port source_port = 0;
  SocketAddr to;
};
/// Bytes of a probe datagram's payload: by them it is told from other datagrams.
inline constexpr std::size_t kProbePayload = 33;

/// What a probe's socket came to at once; packets that are dropped on their way say nothing.
struct ProbeSent {
  UniqueFd fd;  ///< closing it ends the attempt, without another packet if no answer came
  bool was_refused = false;
};
/// Sends it from a socket that belongs to that uid and gid (setfsuid(2), which concerns the calling thread only; needs CAP_SETUID
/// and CAP_SETGID unless they are the caller's own). Errors: EPERM, may not be that uid; EADDRINUSE, the source port is taken;
/// ENETUNREACH, no route; …
Result<ProbeSent> send_probe(const ProbePacket& packet);
/// True if it has been refused since.
bool was_refused(const ProbeSent& sent);

/// Whether a TCP socket of this network namespace listens on the port. nullopt: /proc does not tell.
std::optional<bool> listens(Port port);

/// By which interface a packet goes there, and from which address, without sending it. Error ENETUNREACH: no route.
struct Egress {
  std::string interface;
  IpAddr source;
};
Result<Egress> egress(Netlink& netlink, const IpAddr& destination);

/// A veth pair of this namespace, both ends of it in it: what is sent into one end comes in by the other as from another machine.
/// It is named weir-probe0 (where packets come in, with addresses) and weir-probe1; the destructor deletes it, and a pair that a
/// killed process left is replaced. Needs CAP_NET_ADMIN, and CAP_NET_RAW to send.
class ProbeLink {
 public:
  static Result<ProbeLink> make(Netlink& netlink);
  ProbeLink(ProbeLink&& other) noexcept;
  ProbeLink& operator=(ProbeLink&&) = delete;
  ~ProbeLink();

  static constexpr const char* kName = "weir-probe0";
  static IpAddr inside(Family family);   ///< of kName
  static IpAddr outside(Family family);  ///< of nobody
  bool has(Family family) const { return family == Family::v4 || has_v6_; }
  /// `packet.uid`, `gid` and `source` mean nothing here. `is_stray`: not a connection's first packet but its end.
  Result<> send(const ProbePacket& packet, bool is_stray = false);

 private:
  ProbeLink(Netlink& netlink, UniqueFd fd) : netlink_(&netlink), fd_(std::move(fd)) {}
  Netlink* netlink_;
  UniqueFd fd_;  // AF_PACKET
  unsigned outside_index_ = 0;
  bool has_v6_ = false;
};

}  // namespace weir::kernel
