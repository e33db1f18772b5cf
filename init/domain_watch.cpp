// SPDX-License-Identifier: Apache-2.0
#include "init/domain_watch.h"

#include <algorithm>
#include <set>

namespace weir::init {

namespace {

using std::chrono::seconds;

/// However short or long a name's time to live is.
constexpr seconds kSoonest(5), kLatest(300);
constexpr seconds kAgainAfterFailure(10);
constexpr seconds kCountsAtLeast(60);

}  // namespace

DomainWatch::DomainWatch(const std::vector<std::string>& names, Resolve resolve) : resolve_(std::move(resolve)) {
  for (const std::string& name : names)
    for (Family family : kBothFamilies) lookups_.push_back({.name = name, .family = family});
}

void DomainWatch::resolve(Lookup& lookup, TimePoint now, std::vector<std::string>& lines) {
  auto found = resolve_(lookup.name, lookup.family);
  if (!found) {
    // Told once, not each ten seconds.
    if (!lookup.is_failing)
      lines.push_back(fmt::format("{}; {} it had before still count", found.error().to_text(),
                                  lookup.until.empty() ? "no addresses" : "the addresses"));
    lookup.is_failing = true;
    lookup.due = now + kAgainAfterFailure;
    return;
  }
  if (lookup.is_failing) lines.push_back(fmt::format("{} can be resolved to {} again", lookup.name, to_text(lookup.family)));
  lookup.is_failing = false;
  lookup.is_known = true;
  seconds ttl = kLatest;
  for (const kernel::Resolved& each : *found) {
    const bool is_new = lookup.until.insert_or_assign(each.address, now + std::max(each.ttl, kCountsAtLeast)).second;
    if (is_new) lines.push_back(fmt::format("{} is {}", lookup.name, each.address.to_text()));
    ttl = std::min(ttl, each.ttl);
  }
  std::erase_if(lookup.until, [&](const auto& entry) {
    if (entry.second > now) return false;
    lines.push_back(fmt::format("{} is no longer {}", lookup.name, entry.first.to_text()));
    return true;
  });
  lookup.due = now + std::clamp(ttl, kSoonest, kLatest);
}

DomainWatch::Round DomainWatch::refresh(TimePoint now) {
  Round round{.addresses = {}, .lines = {}, .next = now + kLatest};
  std::set<IpAddr> addresses;
  for (Lookup& lookup : lookups_) {
    if (lookup.due <= now) resolve(lookup, now, round.lines);
    for (const auto& [address, until] : lookup.until) addresses.insert(address);
    round.next = std::min(round.next, lookup.due);
    round.is_complete &= lookup.is_known;
  }
  round.addresses.assign(addresses.begin(), addresses.end());
  return round;
}

}  // namespace weir::init
