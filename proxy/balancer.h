// SPDX-License-Identifier: Apache-2.0
// Which endpoint is next: priorities by health (Envoy's overprovisioning factor 1.4, panic threshold 0), then the policy within
// the priority. Pure: randomness and loads are arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "proxy/config.h"

namespace weir::proxy {

/// Maps 64 random bits to [0, n) (Lemire); n > 0.
inline std::uint64_t scale(std::uint64_t random, std::uint64_t n) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(random) * n) >> 64);
}

class Balancer {
 public:
  /// Indices refer to `endpoints`. `random` decides where round robin begins.
  void rebuild(const std::vector<Endpoint>& endpoints, LbPolicy policy, std::uint64_t random);

  /// Nullopt: no endpoint is healthy. `random()` gives 64 bits; `load(i)` is endpoint i's open requests.
  template <class RandomBits, class Load>
  std::optional<std::size_t> choose(RandomBits random, Load load) {
    Level* level = level_for(static_cast<std::uint32_t>(random() >> 32) % 100);
    if (level == nullptr) return std::nullopt;
    switch (policy_) {
      case LbPolicy::round_robin: return next_in_turn(*level);
      case LbPolicy::random: return by_weight(*level, random());
      case LbPolicy::least_request: break;
    }
    std::size_t a = by_weight(*level, random()), b = by_weight(*level, random());
    return load(b) < load(a) ? b : a;
  }
  std::size_t healthy() const { return healthy_; }
  /// Share of the traffic in percent that each priority gets.
  std::vector<std::uint32_t> shares() const;

 private:
  struct Level {
    std::uint32_t share = 0;
    bool equal_weights = true;
    std::vector<std::size_t> members;  // healthy ones
    std::vector<std::uint64_t> until;  // running sum of weights
    std::vector<std::uint64_t> weights;
    std::vector<std::int64_t> turn;  // smooth weighted round robin
    std::size_t next = 0;
  };
  Level* level_for(std::uint32_t percent);
  static std::size_t next_in_turn(Level& level);
  static std::size_t by_weight(const Level& level, std::uint64_t random);

  LbPolicy policy_ = LbPolicy::least_request;
  std::vector<Level> levels_;
  std::size_t healthy_ = 0;
};

}  // namespace weir::proxy
