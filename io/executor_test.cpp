// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include "io/executor.h"
#include "kernel/socket.h"

using namespace weir;
using namespace std::chrono_literals;

namespace {

struct Pair {
  Pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    a = UniqueFd(fds[0]);
    b = UniqueFd(fds[1]);
  }
  UniqueFd a, b;
};

struct Recorder final : io::ReadyHandler {
  void on_readable() override {
    ++readable;
    if (then) then();
  }
  void on_writable() override {
    ++writable;
    if (then) then();
  }
  int readable = 0, writable = 0;
  std::function<void()> then;
};

void write_byte(FdRef fd) { REQUIRE(kernel::send(fd, std::span<const char>("x", 1)).bytes == 1); }

}  // namespace

TEST_CASE("readiness is told once for each wish") {
  io::Executor executor;
  Pair pair;
  Recorder recorder;
  io::Watch watch(executor, pair.a.ref(), recorder);
  write_byte(pair.b.ref());
  recorder.then = [&] {
    if (recorder.readable == 1) {
      watch.want_read();  // still readable: told again, although nothing new came
    } else {
      executor.stop();
    }
  };
  watch.want_read();
  watch.want_read();
  executor.run();
  CHECK(recorder.readable == 2);
  CHECK(recorder.writable == 0);
}

TEST_CASE("writable is told; a closed peer makes readable") {
  io::Executor executor;
  Pair pair;
  Recorder recorder;
  io::Watch watch(executor, pair.a.ref(), recorder);
  recorder.then = [&] {
    if (recorder.writable == 1 && recorder.readable == 0) {
      pair.b.reset();
      watch.want_read();
    } else {
      executor.stop();
    }
  };
  watch.want_write();
  executor.run();
  CHECK(recorder.writable == 1);
  CHECK(recorder.readable == 1);
}

TEST_CASE("a watch that was reset tells nobody, even if the event was queued already") {
  io::Executor executor;
  Pair one, two;
  Recorder first, second;
  io::Watch watch_one(executor, one.a.ref(), first), watch_two(executor, two.a.ref(), second);
  first.then = [&] { watch_two.reset(); };
  second.then = [&] { watch_one.reset(); };
  write_byte(one.b.ref());
  write_byte(two.b.ref());
  watch_one.want_read();
  watch_two.want_read();
  io::Timer end(executor, [&] { executor.stop(); });
  end.expires_after(20ms);
  executor.run();
  CHECK(first.readable + second.readable == 1);
  CHECK(kernel::send(one.a.ref(), std::span<const char>("y", 1)).bytes == 1);  // the descriptor is still open
}

TEST_CASE("timers fire in the order of their times and not before") {
  io::Executor executor;
  std::string order;
  auto start = io::Clock::now();
  io::Timer late(executor, [&] {
    order += "late";
    executor.stop();
  });
  io::Timer early(executor, [&] {
    order += "early ";
    CHECK(io::Clock::now() - start >= 5ms);
  });
  io::Timer never(executor, [&] { order += "never "; });
  late.expires_after(30ms);
  early.expires_after(5ms);
  never.expires_after(1ms);
  never.cancel();
  CHECK_FALSE(never.armed());
  executor.run();
  CHECK(order == "early late");
}

TEST_CASE("posts from other threads run here, in order") {
  io::Executor executor;
  std::vector<int> seen;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) executor.post([&seen, i] { seen.push_back(i); });
    executor.post([&] { executor.stop(); });
  });
  executor.run();
  other.join();
  REQUIRE(seen.size() == 1000);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
}

TEST_CASE("signals reach their handler") {
  io::Executor executor;
  int got = 0;
  REQUIRE(executor.on_signals({SIGUSR2}, [&](int signal) {
    got = signal;
    executor.stop();
  }));
  ::raise(SIGUSR2);
  executor.run();
  CHECK(got == SIGUSR2);
}
