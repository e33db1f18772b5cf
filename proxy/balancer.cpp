// SPDX-License-Identifier: Apache-2.0
#include "proxy/balancer.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace weir::proxy {

void Balancer::rebuild(const std::vector<Endpoint>& endpoints, LbPolicy policy, std::uint64_t random) {
  policy_ = policy;
  levels_.clear();
  healthy_ = 0;
  std::map<std::uint32_t, std::pair<std::vector<std::size_t>, std::size_t>> by_priority;  // healthy ones, all
  for (std::size_t i = 0; i < endpoints.size(); ++i) {
    auto& [members, all] = by_priority[endpoints[i].priority];
    ++all;
    if (endpoints[i].health == Health::healthy) members.push_back(i);
  }
  std::uint32_t left = 100, availability = 0;
  std::vector<std::uint32_t> health;
  for (const auto& [priority, level] : by_priority)
    health.push_back(static_cast<std::uint32_t>(std::min<std::size_t>(100, level.first.size() * 140 / level.second)));
  availability = std::min(100U, std::accumulate(health.begin(), health.end(), 0U));
  std::size_t index = 0;
  for (auto& [priority, found] : by_priority) {
    Level level;
    // Where even all priorities together are not healthy enough, what there is shares the traffic in proportion.
    if (availability > 0) level.share = std::min(left, health[index] * 100 / availability);
    ++index;
    left -= level.share;
    level.members = std::move(found.first);
    std::uint64_t sum = 0;
    for (std::size_t member : level.members) {
      std::uint64_t weight = std::max<std::uint32_t>(endpoints[member].weight, 1);
      level.weights.push_back(weight);
      level.until.push_back(sum += weight);
      level.equal_weights = level.equal_weights && weight == level.weights.front();
    }
    level.turn.assign(level.members.size(), 0);
    if (!level.members.empty()) level.next = random % level.members.size();
    healthy_ += level.members.size();
    levels_.push_back(std::move(level));
  }
  // What rounding left over goes to the first priority that has anyone.
  for (Level& level : levels_) {
    if (level.members.empty()) continue;
    level.share += left;
    break;
  }
}

Balancer::Level* Balancer::level_for(std::uint32_t percent) {
  if (healthy_ == 0) return nullptr;
  for (Level& level : levels_) {
    if (percent < level.share && !level.members.empty()) return &level;
    percent -= std::min(percent, level.share);
  }
  for (Level& level : levels_)
    if (!level.members.empty()) return &level;
  return nullptr;
}

std::size_t Balancer::next_in_turn(Level& level) {
  if (level.equal_weights) {
    std::size_t member = level.members[level.next];
    level.next = level.next + 1 == level.members.size() ? 0 : level.next + 1;
    return member;
  }
  // Smooth weighted round robin: everyone gains its weight, the richest is taken and pays the sum.
  std::size_t best = 0;
  for (std::size_t i = 0; i < level.members.size(); ++i) {
    level.turn[i] += static_cast<std::int64_t>(level.weights[i]);
    if (level.turn[i] > level.turn[best]) best = i;
  }
  level.turn[best] -= static_cast<std::int64_t>(level.until.back());
  return level.members[best];
}

std::size_t Balancer::by_weight(const Level& level, std::uint64_t random) {
  if (level.equal_weights) return level.members[scale(random, level.members.size())];
  auto it = std::upper_bound(level.until.begin(), level.until.end(), scale(random, level.until.back()));
  return level.members[static_cast<std::size_t>(it - level.until.begin())];
}

std::vector<std::uint32_t> Balancer::shares() const {
  std::vector<std::uint32_t> result;
  for (const Level& level : levels_) result.push_back(level.share);
  return result;
}

}  // namespace weir::proxy
