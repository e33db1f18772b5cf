// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "kernel/accounts.h"
#include "kernel/child.h"
#include "kernel/netlink.h"
#include "kernel/netns.h"
#include "kernel/socket.h"
#include "kernel/state_dir.h"

namespace weir::kernel {
namespace {

TEST_CASE("an account is found by its exact name and lines that do not parse are passed over") {
  const char* text = "root:x:0:0::/:/bin/sh\nbroken\nproxy:x:NaN:1\nproxy:x:1337:1337::/:\nproxyy:x:9:9::/:";
  CHECK(find_account(text, "root") == 0);
  CHECK(find_account(text, "proxy") == 1337);
  CHECK(find_account(text, "prox") == std::nullopt);
  CHECK(find_account("", "") == std::nullopt);
  CHECK(uid_of("root", "/nowhere/passwd") == std::nullopt);
}

TEST_CASE("two handles of one namespace are equal, whichever way they were opened") {
  auto current = Netns::current();
  REQUIRE(current);
  auto by_pid = Netns::of_process(::getpid());
  REQUIRE(by_pid);
  CHECK(*current == *by_pid);
}

TEST_CASE("a path that is not a network namespace is named in the error") {
  auto missing = Netns::open("/nowhere/netns");
  REQUIRE(!missing);
  CHECK(missing.error().to_text() == "no network namespace at /nowhere/netns: has its process ended?");
  CHECK(missing.error().code() == ErrorCode::environment);
  auto file = Netns::open("/etc/passwd");
  REQUIRE(!file);
  CHECK(file.error().to_text() == "/etc/passwd is not a network namespace: its mount may be gone; see: ip netns list");
}

TEST_CASE("a child is fed, its outputs are collected and its exit code is kept") {
  auto output = run({"sh", "-c", "cat; echo wrong >&2; exit 3"}, std::string(200000, 'x'));
  REQUIRE(output);
  CHECK(output->out == std::string(200000, 'x'));
  CHECK(output->err == "wrong\n");
  CHECK(output->exit_code == 3);
}

TEST_CASE("a program that is not there is named") {
  auto output = run({"/nowhere/program"});
  REQUIRE(!output);
  CHECK(output.error().to_text() == "no program /nowhere/program: is it installed?");
}

TEST_CASE("a child that is let go of is killed and reaped") {
  pid_t pid = 0;
  {
    auto child = Child::start({.arguments = {"sleep", "1000"}});
    REQUIRE(child);
    pid = child->pid();
    auto state = child->poll();
    REQUIRE(state);
    CHECK(!*state);
  }
  CHECK(::kill(pid, 0) == -1);
}

TEST_CASE("a signal's death is 128 and its number") {
  auto child = Child::start({.arguments = {"sleep", "1000"}});
  REQUIRE(child);
  child->signal(SIGTERM);
  auto end = child->wait();
  REQUIRE(end);
  CHECK(end->exit_code == 128 + SIGTERM);
}

TEST_CASE("a program that may not be run, or is none, is named with the reason") {
  char name[] = "/tmp/weir-program-XXXXXX";
  const int fd = ::mkstemp(name);
  REQUIRE(fd >= 0);
  ::close(fd);
  ScopeExit remove([&] { ::unlink(name); });
  auto output = run({name});
  REQUIRE(!output);
  CHECK(output.error().to_text() == fmt::format("starting {}: Permission denied", name));
  ::chmod(name, 0700);
  std::ofstream(name) << "\x7f"
                         "ELF";
  output = run({name});
  REQUIRE(!output);
  CHECK(output.error().to_text() == fmt::format("starting {}: Exec format error", name));
}

/// No new descriptor can be made while it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    const int next = ::dup(0);
    ::close(next);
    none.rlim_cur = static_cast<rlim_t>(next);
    ::setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

/// UBSan reads an object's dynamic type through a pipe, and takes a pipe that cannot be had for a wrong type: no virtual call
/// then.
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
constexpr bool kLooksThroughAPipe = true;
#else
constexpr bool kLooksThroughAPipe = false;
#endif
#else
constexpr bool kLooksThroughAPipe = false;
#endif

TEST_CASE("without descriptors every call says so, and none is lost") {
  const SocketAddr loopback{IpAddr::loopback(Family::v4), 0};
  auto listener = listen_tcp(loopback);
  REQUIRE(listener);
  auto at = local_address(listener->ref());
  REQUIRE(at);
  auto waiting = connect_tcp(*at);
  REQUIRE(waiting);
  std::vector<std::string> told;
  {
    const NoDescriptors none;
    const auto tell = [&](const auto& result) { told.push_back(result ? "success" : result.error().to_text()); };
    tell(listen_tcp(loopback));
    tell(listen_unix("/nowhere/weir.sock"));
    tell(connect_tcp(loopback));
    tell(connect_unix("/nowhere/weir.sock"));
    tell(accept(listener->ref()));
    tell(run({"true"}));
    tell(Netns::current());
    if (!kLooksThroughAPipe) tell(open_netlink()->ask(NetlinkBus::route, std::string(16, '\0')));
    tell(StateDir::open("/tmp").and_then([](const StateDir& dir) { return dir.save("x", "y"); }));
  }
  for (const std::string& text : told) {
    CAPTURE(text);
    CHECK((text.find("Too many open files") != std::string::npos || text.find("state directory /tmp") == 0));
  }
  CHECK(told.size() == (kLooksThroughAPipe ? 8 : 9));
  // What waited is there once there is room again.
  auto accepted = accept(listener->ref());
  REQUIRE(accepted);
  CHECK(accepted->has_value());
}

TEST_CASE("an address that is in use is named with the remedy, and so is one that is not ours") {
  auto first = listen_tcp({IpAddr::loopback(Family::v4), 0});
  REQUIRE(first);
  auto at = local_address(first->ref());
  REQUIRE(at);
  auto second = listen_tcp(*at);
  REQUIRE(!second);
  CHECK(second.error().to_text().find(at->to_text()) != std::string::npos);
  CHECK(second.error().to_text().find("ss -ltnp") != std::string::npos);
  auto elsewhere = listen_tcp({*IpAddr::parse("192.0.2.1"), 80});
  REQUIRE(!elsewhere);
  CHECK(elsewhere.error().to_text() == "cannot listen on 192.0.2.1:80: the address is not on this machine; see: ip addr");
}

TEST_CASE("a program that takes longer than its limit is killed, also while it does not read its input") {
  for (const std::string& input : {std::string(), std::string(1U << 20, 'x')}) {
    auto output = run({"sh", "-c", "exec sleep 3600"}, input, std::chrono::milliseconds(50));
    REQUIRE(!output);
    CHECK(output.error().code() == ErrorCode::environment);
    CHECK(output.error().sys_errno() == ETIMEDOUT);
    CHECK(output.error().to_text().find("sh did not end within 50ms") == 0);
  }
  CHECK(run({"cat"}, "in time", std::chrono::seconds(60))->out == "in time");
}

}  // namespace
}  // namespace weir::kernel
