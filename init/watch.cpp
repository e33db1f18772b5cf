// SPDX-License-Identifier: Apache-2.0
#include "init/watch.h"

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "init/domain_watch.h"
#include "init/enrolment.h"
#include "iptables-rules/excluded_addresses.h"

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

/// The rules hold these addresses, or have no room for them (false). What an earlier watch left stays as long as a name is not
/// known.
Result<bool> keep(kernel::Netlink& netlink, const DomainWatch::Round& round) {
  const auto lock = this_machine().lock();  // an apply may be between reading and writing
  auto standing = nft::find_excluded(netlink);
  if (!standing) return pass(standing.error());
  if (!*standing) return false;
  nft::Excluded wanted{.backend = (*standing)->backend, .addresses = round.addresses};
  const std::vector<IpAddr>& there = (*standing)->addresses;
  if (!round.is_complete) {
    wanted.addresses.insert(wanted.addresses.end(), there.begin(), there.end());
    std::sort(wanted.addresses.begin(), wanted.addresses.end());
    wanted.addresses.erase(std::unique(wanted.addresses.begin(), wanted.addresses.end()), wanted.addresses.end());
  }
  if (there == wanted.addresses) return true;
  if (auto set = nft::set_excluded(netlink, wanted); !set) return pass(set.error());
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
  auto there = nft::find_excluded(*netlink);
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
