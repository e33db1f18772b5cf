// SPDX-License-Identifier: Apache-2.0
#include "kernel/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <thread>

namespace weir::kernel {

Result<Netns> Netns::adopt(UniqueFd fd, const std::string& path) {
  struct statfs filesystem {};
  struct stat info {};
  if (::fstatfs(fd.get(), &filesystem) != 0 || ::fstat(fd.get(), &info) != 0) return fail_errno(errno, "looking at {}", path);
  if (filesystem.f_type != NSFS_MAGIC)
    return fail(ErrorCode::environment, "{} is not a network namespace: its mount may be gone; see: ip netns list", path);
  return Netns(std::move(fd), {info.st_dev, info.st_ino});
}

Result<Netns> Netns::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    int error = errno;
    if (error == ENOENT)
      return tl::unexpected(
          Error(ErrorCode::environment, fmt::format("no network namespace at {}: has its process ended?", path), error));
    return fail_errno(error, "opening the network namespace {}", path);
  }
  return adopt(std::move(fd), path);
}

Result<Netns> Netns::current() { return open("/proc/thread-self/ns/net"); }
Result<Netns> Netns::of_process(pid_t pid) { return open(fmt::format("/proc/{}/ns/net", pid)); }

Result<> run_in(const Netns& netns, const std::function<Result<>()>& work) {
  Result<> result;
  std::thread worker([&] {
    if (::setns(netns.fd().get(), CLONE_NEWNET) != 0)
      result = fail_errno(errno, "entering the network namespace {}", netns.id().inode);
    else
      result = work();
  });
  worker.join();
  return result;
}

Result<> run_in_new(const std::function<Result<>()>& work) {
  Result<> result;
  std::thread worker([&] {
    if (::unshare(CLONE_NEWNET) != 0)
      result = fail_errno(errno, "making a network namespace");
    else
      result = work();
  });
  worker.join();
  return result;
}

}  // namespace weir::kernel
