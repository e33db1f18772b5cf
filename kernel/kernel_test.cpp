// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <csignal>

#include "kernel/accounts.h"
#include "kernel/child.h"
#include "kernel/netns.h"

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

}  // namespace
}  // namespace weir::kernel
