// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

namespace weir {

/// Undoes something at the end of the scope unless released at the very end (move- and copy-free on purpose).
template <class F>
class [[nodiscard]] ScopeExit {
 public:
  explicit ScopeExit(F undo) : undo_(std::move(undo)) {}
  ScopeExit(const ScopeExit&) = delete;
  ScopeExit& operator=(const ScopeExit&) = delete;
  ~ScopeExit() {
    if (armed_) undo_();
  }
  void release() { armed_ = false; }

 private:
  F undo_;
  bool armed_ = true;
};

}  // namespace weir
