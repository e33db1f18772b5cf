// SPDX-License-Identifier: Apache-2.0
// What bench/capture starts in a network namespace of its own, once for each sample. Prints the elapsed time, and the user's and
// the kernel's part of the CPU time, in microseconds:
//
//   bench-capture enrol FLAGS…               apply and check by the nft backend, in this process, as weir-init does
//   bench-capture apply FLAGS…               apply alone
//   bench-capture run COMMAND… [+ COMMAND…]  whole processes, one after the other; their output is discarded
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>

#include "capture/options.h"
#include "capture/plan.h"
#include "init/enrolment.h"
#include "iptables-rules/nft_redirector.h"
#include "kernel/child.h"

namespace {

using namespace weir;
using Arguments = std::vector<std::string>;

[[noreturn]] void give_up(const std::string& why) {
  fmt::print(stderr, "bench-capture: {}\n", why);
  std::exit(2);
}

std::int64_t microseconds(const timeval& time) { return time.tv_sec * 1'000'000L + time.tv_usec; }

/// Times what happens while it lives.
class Meter {
 public:
  explicit Meter(int who) : who_(who) { ::getrusage(who, &before_); }
  void print() const {
    const auto elapsed = std::chrono::steady_clock::now() - begin_;
    rusage now{};
    ::getrusage(who_, &now);
    fmt::print("{:.1f} {} {}\n", std::chrono::duration<double, std::micro>(elapsed).count(),
               microseconds(now.ru_utime) - microseconds(before_.ru_utime),
               microseconds(now.ru_stime) - microseconds(before_.ru_stime));
  }

 private:
  int who_;
  rusage before_{};
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// "-i", "*", "-d", "15090": only the short and long names with a value each.
capture::CapturePlan plan_of(const Arguments& flags) {
  std::map<std::string, std::string> values;
  for (std::size_t i = 0; i + 1 < flags.size(); i += 2) {
    for (const capture::Option& option : capture::options())
      if (flags[i] == fmt::format("--{}", option.long_name) ||
          (option.short_name != 0 && flags[i] == fmt::format("-{}", option.short_name)))
        values[std::string(option.long_name)] = flags[i + 1];
  }
  capture::ParseOutcome outcome = capture::parse_options(values, {}, {});
  if (has_errors(outcome.problems) || values.size() != flags.size() / 2) give_up("the flags are not understood");
  return capture::plan(outcome.parsed.policy);
}

void enrol(const Arguments& flags, bool only_apply) {
  const capture::CapturePlan plan = plan_of(flags);
  const Meter meter(RUSAGE_SELF);
  auto backend = nft::make_nft_redirector(kernel::open_netlink());
  auto done = only_apply ? backend->apply(plan) : init::enrol(*backend, plan);
  if (!done) give_up(done.error().to_text());
  meter.print();
}

void run(const Arguments& words) {
  const UniqueFd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const Meter meter(RUSAGE_CHILDREN);
  for (auto begin = words.begin(); begin != words.end();) {
    const auto end = std::find(begin, words.end(), "+");
    auto child = kernel::Child::start(
        {.arguments = {begin, end}, .extra_environment = {}, .in = nowhere.ref(), .out = nowhere.ref(), .err = {}});
    if (!child) give_up(child.error().to_text());
    auto ended = child->wait();
    if (!ended || !ended->ok()) give_up(fmt::format("{} failed", *begin));
    begin = end == words.end() ? end : end + 1;
  }
  meter.print();
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argv + 1, argv + argc);
  if (arguments.size() < 2) give_up("want enrol, apply or run, and what");
  const Arguments rest(arguments.begin() + 1, arguments.end());
  if (arguments[0] == "run")
    run(rest);
  else
    enrol(rest, arguments[0] == "apply");
  return 0;
}
