// SPDX-License-Identifier: Apache-2.0
// Counts against a cluster's circuit limits. A limit is the whole proxy's, so workers share these; where there is no limit
// nothing is counted, so that the shared line of memory is touched only for clusters that ask for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace weir::proxy {

inline constexpr std::uint32_t kNoLimit = UINT32_MAX;

struct CircuitCounts {
  std::atomic<std::uint32_t> connections{0}, pending{0}, requests{0}, retries{0};
};

/// Counts by cluster name, as long as somebody holds them. Any thread.
class CircuitRegistry {
 public:
  std::shared_ptr<CircuitCounts> counts(const std::string& cluster) {
    std::lock_guard lock(mutex_);
    std::erase_if(counts_, [](const auto& entry) { return entry.second.expired(); });
    auto& known = counts_[cluster];
    auto counts = known.lock();
    if (!counts) known = counts = std::make_shared<CircuitCounts>();
    return counts;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<CircuitCounts>> counts_;
};

/// One that counts, until destroyed or reset.
class Held {
 public:
  Held() = default;
  /// Counts beyond the limit too.
  Held(std::atomic<std::uint32_t>& count, std::uint32_t limit) : count_(limit == kNoLimit ? nullptr : &count) {
    if (count_ != nullptr) count_->fetch_add(1, std::memory_order_relaxed);
  }
  Held(Held&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Held& operator=(Held&& other) noexcept {
    std::swap(count_, other.count_);
    return *this;
  }
  ~Held() { reset(); }
  void reset() {
    if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_relaxed);
    count_ = nullptr;
  }
  /// True if it holds already, or the limit allows one more (then it holds it).
  bool take(std::atomic<std::uint32_t>& count, std::uint32_t limit) {
    if (count_ != nullptr || limit == kNoLimit) return true;
    if (count.fetch_add(1, std::memory_order_relaxed) >= limit) {
      count.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    count_ = &count;
    return true;
  }

 private:
  std::atomic<std::uint32_t>* count_ = nullptr;
};

}  // namespace weir::proxy
