// SPDX-License-Identifier: Apache-2.0
// Socket calls by name. All descriptors are non-blocking and close-on-exec. Callable from any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/ip.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace weir::kernel {

/// Listens on an address. Port 0 lets the kernel choose: see local_address(). IPv6 sockets are v6-only, so that both families
/// bind alike. Errors guess the human cause ("another process listens on …; see ss -ltnp").
Result<UniqueFd> listen_tcp(const SocketAddr& address, int backlog = 4096, bool reuse_port = false);
/// A unix stream listener; a stale socket file (nobody accepts) is replaced, a live one is an error. Mode of the file in octal.
Result<UniqueFd> listen_unix(const std::string& path, mode_t mode = 0600);

struct Accepted {
  UniqueFd fd;
  SocketAddr peer;  ///< 0.0.0.0:0 for a unix socket
};
/// nullopt: nobody waits (EAGAIN) or the peer has already gone; try again when readable.
Result<std::optional<Accepted>> accept(FdRef listener);

struct ConnectOptions {
  std::optional<IpAddr>
      source;  ///< bound with IP_BIND_ADDRESS_NO_PORT, so that one source serves 28,000 ports per destination, not in all
  std::optional<std::uint32_t> mark;  ///< SO_MARK; needs CAP_NET_ADMIN
  /// The source is somebody else's address (IP_TRANSPARENT; needs CAP_NET_ADMIN). Then the port is chosen by bind(), which takes
  /// odd ones first, where that somebody's own connect() took an even one: the connection must not have the same four numbers as
  /// the one that came from there, or its SYN would be taken for a part of it.
  bool transparent = false;
};
/// Starts to connect; writable means decided: ask connect_error().
Result<UniqueFd> connect_tcp(const SocketAddr& address, const ConnectOptions& options = {});
Result<UniqueFd> connect_unix(const std::string& path);
/// How a started connect() stands, asked without waiting: nullopt while under way, 0 when connected, else its errno. To a peer on
/// the same machine it is mostly decided at once.
std::optional<int> connect_progress(FdRef fd, const SocketAddr& address);
/// 0 when connected, else the errno of the attempt (SO_ERROR).
int connect_error(FdRef fd);

/// Where the connection was going before REDIRECT (SO_ORIGINAL_DST, netfilter's nf_conntrack_proto; IPv6: IP6T_SO_ORIGINAL_DST).
/// Without conntrack in the namespace (ENOENT) the local address is the answer: the connection was not redirected.
Result<SocketAddr> original_dst(FdRef fd);
/// True if the address belongs to this network namespace (tried by binding a datagram socket to it).
bool is_local_address(const IpAddr& address);
Result<SocketAddr> local_address(FdRef fd);
Result<SocketAddr> peer_address(FdRef fd);

Result<> set_nodelay(FdRef fd);
/// TCP keep-alive so that dead peers are noticed: idle, interval (whole seconds), probes.
Result<> set_keepalive(FdRef fd, std::chrono::seconds idle, std::chrono::seconds interval, int probes);
/// Close sends RST instead of FIN.
Result<> set_reset_on_close(FdRef fd);
/// SO_MARK of all that the socket sends; needs CAP_NET_ADMIN.
Result<> set_mark(FdRef fd, std::uint32_t mark);
/// The socket takes connections that are addressed to others, when a TPROXY rule hands them over, and may be bound to addresses
/// that are not ours (IP_TRANSPARENT, IPV6_TRANSPARENT). Sockets accepted from it are so too. Needs CAP_NET_ADMIN.
Result<> set_transparent(FdRef fd, Family family);
/// True if this process may set SO_MARK and IP_TRANSPARENT (tried on a throw-away socket; settled decision 5).
bool can_be_transparent();

/// Outcome of one non-blocking transfer: bytes > 0; or eof; or would_block; or an errno.
struct IoResult {
  std::size_t bytes = 0;
  bool eof = false;
  bool would_block = false;
  int error = 0;
  bool ok() const { return error == 0 && !eof && !would_block; }
};
IoResult receive(FdRef fd, std::span<char> into);
/// Looks without taking (MSG_PEEK).
IoResult peek(FdRef fd, std::span<char> into);
/// MSG_NOSIGNAL; may be partial.
IoResult send(FdRef fd, std::span<const char> bytes, bool more = false);
IoResult send(FdRef fd, std::span<const iovec> pieces, bool more = false);
/// Half-close: no more will be sent.
void shutdown_write(FdRef fd);

}  // namespace weir::kernel
