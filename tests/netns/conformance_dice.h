// SPDX-License-Identifier: Apache-2.0
// Random policies and packets for the lab, each from one seed.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "capture/matrix.h"
#include "capture/redirector.h"

namespace weir::conformance {

/// What --exclude-domains has an address for, by one of matrix::address' names.
inline constexpr const char* kExcludedDomain = "api.example.com";
inline constexpr const char* kExcludedDomainAt = "REM2";
/// Who has this gid lives in the cgroup CgroupWith::own("/app"), if there are cgroups.
inline constexpr std::uint32_t kCgroupGid = 5;

/// All choices of one policy and its packets.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  /// A sound policy, of what this backend can express. `cgroup`: the one that there is (its path and number), if any.
  capture::CapturePolicy policy(const capture::Redirector& backend, const std::optional<capture::Cgroup>& cgroup);
  /// One that opens a connection, a datagram, or the end of a connection that never was.
  capture::matrix::Row packet(const capture::CapturePolicy& policy);
  std::size_t below(std::size_t limit) { return random_() % limit; }
  bool once_in(std::size_t n) { return below(n) == 0; }

 private:
  template <class T>
  const T& one_of(const std::vector<T>& list) {
    return list[below(list.size())];
  }
  template <class T>
  std::vector<T> some_of(const std::vector<T>& list, std::size_t most) {
    std::vector<T> chosen;
    for (std::size_t n = below(most + 1); n > 0; --n) {
      const T& item = one_of(list);
      if (std::find(chosen.begin(), chosen.end(), item) == chosen.end()) chosen.push_back(item);
    }
    return chosen;
  }
  /// What istio-iptables has too.
  capture::CapturePolicy base();
  void as_datagram(capture::matrix::Row& row);
  void as_lost_end(capture::matrix::Row& row);
  PortSet ports(bool at_least_one = false);
  std::vector<Cidr> cidrs();
  std::vector<capture::Exclusion> exclusions(const std::vector<std::string>& texts);

  std::mt19937_64 random_;
};

/// The number after "mark=" in the row's source; 0 without.
std::uint32_t mark_of(const capture::matrix::Row& row);

}  // namespace weir::conformance
