// SPDX-License-Identifier: Apache-2.0
#include "io/executor.h"

#include <atomic>
#include <csignal>
#include <doctest/doctest.h>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

using namespace weir;
using namespace weir::io;
using namespace std::chrono_literals;

namespace {

struct Pair {
  UniqueFd near, far;
  Pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    near = UniqueFd(fds[0]);
    far = UniqueFd(fds[1]);
  }
};

struct Recorder final : ReadyHandler {
  std::function<void()> readable = [] {}, writable = [] {};
  int reads = 0, writes = 0;
  void on_readable() override {
    ++reads;
    readable();
  }
  void on_writable() override {
    ++writes;
    writable();
  }
};

/// Runs until stopped; a test that hangs is ended with a failure.
void run(Executor& executor) {
  Timer limit(executor, [&] {
    FAIL_CHECK("nothing happened within 10 s");
    executor.stop();
  });
  limit.expires_after(10s);
  executor.run();
}

void put(const UniqueFd& fd) { REQUIRE(::send(fd.get(), "x", 1, 0) == 1); }

}  // namespace

TEST_CASE("tasks run in the order of posting, also from other threads") {
  Executor executor;
  std::vector<int> seen;
  executor.post([&] { seen.push_back(1); });
  std::thread other([&] {
    for (int i = 2; i <= 1000; ++i) executor.post([&, i] { seen.push_back(i); });
    executor.stop();
  });
  run(executor);
  other.join();
  REQUIRE(seen.size() == 1000);
  for (int i = 0; i < 1000; ++i) CHECK(seen[static_cast<std::size_t>(i)] == i + 1);
}

TEST_CASE("a descriptor that is ready is told once for each wish") {
  Executor executor;
  Pair pair;
  Recorder handler;
  Watch watch(executor, pair.near.ref(), handler);
  put(pair.far);
  watch.want_read();
  watch.want_read();
  handler.readable = [&] {
    if (handler.reads < 3)
      watch.want_read();  // still unread: told again
    else
      executor.post([&] { executor.stop(); });
  };
  run(executor);
  CHECK(handler.reads == 3);
  CHECK(handler.writes == 0);
}

TEST_CASE("who has emptied a descriptor is told of what comes after, and of what came meanwhile") {
  Executor executor;
  Pair pair;
  Recorder handler;
  Watch watch(executor, pair.near.ref(), handler);
  const auto empty = [&] {
    char byte[8];
    REQUIRE(::recv(pair.near.get(), byte, sizeof byte, 0) == 1);
  };
  handler.readable = [&] {
    if (handler.reads < 4) empty();
    if (handler.reads == 6) return executor.stop();
    if (handler.reads == 2) {  // the next byte comes while nobody wishes
      put(pair.far);
      executor.post([&] { executor.post([&] { watch.want_more(); }); });
      return;
    }
    if (handler.reads == 3) pair.far.reset();  // told as often as asked
    watch.want_more();
    if (handler.reads == 1) executor.post([&] { put(pair.far); });  // after the wish
  };
  put(pair.far);
  watch.want_more();
  run(executor);
  CHECK(handler.reads == 6);
}

TEST_CASE("a wish to read is not woken by room to write that was wanted once") {
  Executor executor;
  Pair pair;
  Recorder handler;
  Watch watch(executor, pair.near.ref(), handler);
  handler.writable = [&] {
    watch.want_read();
    executor.post([&] { put(pair.far); });
  };
  handler.readable = [&] { executor.stop(); };
  watch.want_write();
  run(executor);
  CHECK(handler.reads == 1);
  CHECK(handler.writes == 1);
}

TEST_CASE("writing is told, and a hang-up counts as readable and writable") {
  Executor executor;
  Pair pair;
  Recorder handler;
  Watch watch(executor, pair.near.ref(), handler);
  handler.writable = [&] {
    if (handler.writes > 1) return;
    pair.far.reset();
    watch.want_read();
    watch.want_write();
  };
  handler.readable = [&] { executor.stop(); };
  watch.want_write();
  run(executor);
  CHECK(handler.reads == 1);
  CHECK(handler.writes == 2);
}

TEST_CASE("after reset no call comes, not even one that was queued") {
  Executor executor;
  Pair one, two;
  Recorder first, second;
  std::optional<Watch> a(std::in_place, executor, one.near.ref(), first);
  std::optional<Watch> b(std::in_place, executor, two.near.ref(), second);
  put(one.far);
  put(two.far);
  // Both are ready in the same round; whoever is called first destroys both.
  auto destroy = [&] {
    a.reset();
    b.reset();
    executor.stop();
  };
  first.readable = second.readable = destroy;
  a->want_read();
  a->want_write();
  b->want_read();
  b->want_write();
  first.writable = second.writable = destroy;
  run(executor);
  CHECK(first.reads + first.writes + second.reads + second.writes == 1);
}

TEST_CASE("a watch may be destroyed while its executor no longer runs") {
  Pair pair;
  Recorder handler;
  Executor executor;
  Watch watch(executor, pair.near.ref(), handler);
  watch.want_read();
  watch.want_write();
  executor.stop();
  run(executor);
}

TEST_CASE("timers fire in order, at or after their time, and not when cancelled") {
  Executor executor;
  std::vector<int> seen;
  auto start = Clock::now();
  TimePoint at[3];
  Timer first(executor, [&] { seen.push_back(1), at[0] = Clock::now(); });
  Timer second(executor, [&] { seen.push_back(2), at[1] = Clock::now(); });
  Timer never(executor, [&] { seen.push_back(9); });
  Timer third(executor, [&] { seen.push_back(3), at[2] = Clock::now(), executor.stop(); });
  third.expires_after(30ms);
  never.expires_after(20ms);
  second.expires_after(10ms);
  first.expires_after(1h);
  CHECK(first.armed());
  first.expires_after(0ms);
  never.cancel();
  CHECK(!never.armed());
  run(executor);
  CHECK(seen == std::vector<int>{1, 2, 3});
  CHECK(at[1] - start >= 10ms);
  CHECK(at[2] - start >= 30ms);
  CHECK(!third.armed());
}

TEST_CASE("a timer may be set anew or destroyed by its own expiry") {
  Executor executor;
  int count = 0;
  std::optional<Timer> timer;
  timer.emplace(executor, [&] {
    if (++count < 3) {
      timer->expires_after(1ms);
    } else {
      timer.reset();
      executor.stop();
    }
  });
  timer->expires_after(1ms);
  run(executor);
  CHECK(count == 3);
}

TEST_CASE("a signal is handed to the handler") {
  Executor executor;
  int got = 0;
  REQUIRE(executor.on_signals({SIGUSR1, SIGUSR2}, [&](int signal) {
    got = signal;
    executor.stop();
  }));
  executor.post([] { ::raise(SIGUSR2); });
  run(executor);
  CHECK(got == SIGUSR2);
}
