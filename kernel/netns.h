// SPDX-License-Identifier: Apache-2.0
// Network namespaces: the only room that calls setns(2).
#pragma once

#include <functional>
#include <string>
#include <sys/types.h>

#include "base/result.h"
#include "base/unique_fd.h"

namespace weir::kernel {

/// Which namespace it is: two handles are the same namespace if device and inode are (namespaces(7)).
struct NetnsId {
  dev_t device = 0;
  ino_t inode = 0;
  friend bool operator==(const NetnsId&, const NetnsId&) = default;
};

/// An open network namespace. Lives as long as somebody holds it open, even without a process in it. Move-only.
class Netns {
 public:
  /// The calling thread's.
  static Result<Netns> current();
  /// "/run/netns/NAME", "/proc/PID/ns/net". Errors (environment) guess why the path is not a network namespace.
  static Result<Netns> open(const std::string& path);
  static Result<Netns> of_process(pid_t pid);

  const NetnsId& id() const { return id_; }
  FdRef fd() const { return fd_.ref(); }
  friend bool operator==(const Netns& a, const Netns& b) { return a.id_ == b.id_; }

 private:
  Netns(UniqueFd fd, NetnsId id) : fd_(std::move(fd)), id_(id) {}
  static Result<Netns> adopt(UniqueFd fd, const std::string& path);
  UniqueFd fd_;
  NetnsId id_;
};

/// Runs `work` on a fresh thread that has entered `netns`, and waits for it; the caller's own thread never changes namespace.
/// Sockets that `work` opens stay in that namespace. Needs CAP_SYS_ADMIN there unless it is the current one.
Result<> run_in(const Netns& netns, const std::function<Result<>()>& work);

/// The same in a network namespace made for it, which goes with it: nobody sees what is done there. Needs CAP_SYS_ADMIN.
Result<> run_in_new(const std::function<Result<>()>& work);

}  // namespace weir::kernel
