// SPDX-License-Identifier: Apache-2.0
#include "kernel/background.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <random>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::kernel {

namespace {

constexpr Nanoseconds kNamePause = std::chrono::milliseconds(5);

void close_between(unsigned first, unsigned last) {
  if (first > last || ::close_range(first, last, 0) == 0) return;
  for (unsigned fd = first; fd <= std::min(last, 4095U); ++fd) ::close(static_cast<int>(fd));
}

/// The process that stays: nothing of its parent's but the descriptor.
void leave_everything(const std::string& title, FdRef kept) {
  ::prctl(PR_SET_NAME, title.c_str());
  if (::chdir("/") != 0) return;  // only so that no mount is held
  const int null = ::open("/dev/null", O_RDWR);
  for (int fd : {0, 1, 2}) null >= 0 ? ::dup2(null, fd) : ::close(fd);
  if (!kept) return close_between(3, ~0U);
  const auto number = static_cast<unsigned>(kept.get());
  close_between(3, number - 1);
  close_between(number + 1, ~0U);
}

}  // namespace

Nanoseconds since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + Nanoseconds(now.tv_nsec);
}

void pause_for(Nanoseconds duration) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(std::max(duration, Nanoseconds::zero()));
  timespec left{.tv_sec = seconds.count(), .tv_nsec = static_cast<long>((duration - seconds).count() % 1'000'000'000)};
  while (left.tv_nsec >= 0 && ::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

std::string random_digits(std::size_t digits) {
  std::random_device random;
  std::uniform_int_distribution<std::size_t> digit(0, 15);
  std::string text;
  while (text.size() < digits) text += "0123456789abcdef"[digit(random)];
  return text;
}

Result<UniqueFd> claim_name(const std::string& name) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "opening a unix socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() + 1 > sizeof address.sun_path) return fail(ErrorCode::internal, "the name {} is too long", name);
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return fail_errno(errno, "taking the name {}", name);
  return fd;
}

Result<UniqueFd> wait_for_name(const std::string& name, Nanoseconds limit) {
  const Nanoseconds end = since_boot() + limit;
  for (;;) {
    auto claimed = claim_name(name);
    if (claimed || claimed.error().sys_errno() != EADDRINUSE || since_boot() >= end) return claimed;
    pause_for(kNamePause);
  }
}

Result<> run_in_background(const std::string& title, FdRef kept, const std::function<void()>& work) {
  if (::getpid() == 1)
    return fail(ErrorCode::environment, "process 1 of a container cannot leave a process behind: the container ends with it");
  const pid_t first = ::fork();
  if (first < 0) return fail_errno(errno, "starting a process in the background");
  if (first == 0) {
    // Twice, so that whoever waits for children, now or in a long life, never meets it.
    ::setsid();
    const pid_t second = ::fork();
    if (second != 0) ::_exit(second < 0 ? 1 : 0);
    leave_everything(title, kept);
    work();
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(first, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return fail(ErrorCode::environment, "starting a process in the background failed");
}

}  // namespace weir::kernel
