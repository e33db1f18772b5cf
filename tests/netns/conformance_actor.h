// SPDX-License-Identifier: Apache-2.0
// A process of the lab: it has a uid, a gid and a network namespace, and does what it is told by lines on its standard input.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "kernel/child.h"

namespace weir::conformance {

/// What runs in the process itself:
///   serve LABEL=PORT …          listens on both families; who connects is told "LABEL od=… la=… peer=…", then echoed to
///   serve-transparent LABEL=PORT … the same with IP_TRANSPARENT and IPV6_TRANSPARENT, as a proxy of mode TPROXY; before serve
///   serve-udp LABEL=PORT …      answers each datagram with "LABEL peer=…"
///   serve-local-udp LABEL=PORT … the same, bound to 127.0.0.1 and ::1: answers by the wildcard would leave from another address
///   tcp ADDRESS PORT SOURCE MS  connects ("-": any source) and answers what it was told; "RST"; "TIMEOUT"
///   udp ADDRESS PORT SOURCE MS  the same with a datagram; adds "from=…"; "REFUSED" if it could not be sent; SOURCE may be
///   "port=N"
///                               SOURCE of tcp may be "borrowed/ADDRESS" or "borrowed/ADDRESS/MARK" (needs CAP_NET_ADMIN),
///                               "mark=N" (SO_MARK), or "at/ADDRESS/PORT", a port that may have been used just now
///   fin ADDRESS PORT SOURCE MS  sends the end of a TCP connection that never was, which connection tracking calls invalid;
///                               "ANSWERED" if a reset comes back; "TIMEOUT"
///   open ADDRESS PORT           connects and keeps the connection; ping TEXT: sends a line through it, answers what came
///                               back; close
/// Each line is answered by one line.
int run_actor(unsigned uid, unsigned gid, bool keeps_net_admin);

class Actor {
 public:
  /// `own_namespace`: in a new network namespace, else in that of the calling process. uid or gid 1337, the proxy's, keeps
  /// CAP_NET_ADMIN.
  static std::unique_ptr<Actor> start(unsigned uid, unsigned gid, bool own_namespace = false);

  /// One line there, one line back; "GONE" if the process has ended.
  std::string ask(const std::string& line);
  /// The two halves, for what takes time.
  void tell(const std::string& line);
  std::string hear();
  pid_t pid() const { return child_.pid(); }

 private:
  Actor(kernel::Child child, UniqueFd in, UniqueFd out) : child_(std::move(child)), in_(std::move(in)), out_(std::move(out)) {}
  kernel::Child child_;
  UniqueFd in_, out_;
  std::string unread_;
};

}  // namespace weir::conformance
