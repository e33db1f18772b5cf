// SPDX-License-Identifier: Apache-2.0
#include "init/watch.h"

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "init/domain_watch.h"
#include "iptables-rules/domain_sets.h"

namespace weir::init {

namespace {

using Clock = std::chrono::steady_clock;

/// How often it is looked whether the sets still hold what they should.
constexpr std::chrono::seconds kLook(10);

void tell(const std::string& line) { std::fprintf(stderr, "weir-init: %s\n", line.c_str()); }

/// True if told to end meanwhile.
bool wait_until(Clock::time_point time, const sigset_t& signals) {
  const auto left = std::max(time - Clock::now(), Clock::duration::zero());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  const timespec limit{.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(left - seconds).count()};
  return ::sigtimedwait(&signals, nullptr, &limit) > 0;
}

/// The sets hold these addresses, or are not there (false). What an earlier watch left stays as long as a name is not known.
Result<bool> keep(kernel::Netlink& netlink, const DomainWatch::Round& round) {
  auto standing = nft::excluded_addresses(netlink);
  if (!standing) return pass(standing.error());
  if (!*standing) return false;
  std::vector<IpAddr> addresses = round.addresses;
  if (!round.is_complete) {
    addresses.insert(addresses.end(), (*standing)->begin(), (*standing)->end());
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  }
  if (**standing == addresses) return true;
  if (auto set = nft::set_excluded_addresses(netlink, addresses); !set) return pass(set.error());
  return true;
}

}  // namespace

Result<> watch_domains(const std::vector<std::string>& names) {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  auto netlink = kernel::open_netlink();
  auto there = nft::excluded_addresses(*netlink);
  if (!there) return pass(there.error());
  if (!*there)
    return fail(
        ErrorCode::environment,
        "there are no sets of excluded domains in this network namespace: run weir-init apply --exclude-domains=NAMES first");
  DomainWatch watch(names, kernel::resolve);
  bool stands = true;
  for (;;) {
    const DomainWatch::Round round = watch.refresh(Clock::now());
    for (const std::string& line : round.lines) tell(line);
    auto kept = keep(*netlink, round);
    if (!kept) tell(kept.error().to_text());
    if (kept && *kept != stands)
      tell(*kept ? "the sets of excluded domains are there again" : "the sets of excluded domains have gone; waiting for them");
    if (kept) stands = *kept;
    if (wait_until(std::min(round.next, Clock::now() + kLook), signals)) return {};
  }
}

}  // namespace weir::init
