// SPDX-License-Identifier: Apache-2.0
// Which addresses names have now: resolved again as their time to live says, kept where that fails. No clock, no sockets.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernel/resolver.h"

namespace weir::init {

class DomainWatch {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Resolve = std::function<Result<std::vector<kernel::Resolved>>(const std::string& name, Family family)>;

  DomainWatch(const std::vector<std::string>& names, Resolve resolve);

  struct Round {
    std::vector<IpAddr> addresses;   ///< all that count now, sorted; no two alike
    std::vector<std::string> lines;  ///< for people: what changed, what fails and what is done about it
    TimePoint next;                  ///< when to look again
    bool is_complete = true;         ///< each name could be resolved at least once; else more addresses may count than these
  };
  /// Resolves what is due. An address counts for its time to live, at least a minute, after it was last seen: servers that hand
  /// out a part of a name's addresses each time would else exclude only that part. A name that cannot be resolved keeps the
  /// addresses that it had.
  Round refresh(TimePoint now);

 private:
  struct Lookup {
    std::string name;
    Family family = Family::v4;
    std::map<IpAddr, TimePoint> until = {};
    TimePoint due = {};
    bool is_failing = false, is_known = false;
  };
  void resolve(Lookup& lookup, TimePoint now, std::vector<std::string>& lines);

  Resolve resolve_;
  std::vector<Lookup> lookups_;
};

}  // namespace weir::init
