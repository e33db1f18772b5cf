// SPDX-License-Identifier: Apache-2.0
// Counts what a peer sends beside requests and bodies. Private to this room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::http {

/// Walks the frame headers of an incoming byte stream (no library version's own limits are relied on). Frames that carry nothing
/// cost one; frames that carry something, and what we send, pay back, since WINDOW_UPDATE and PING follow traffic.
class FloodGuard {
 public:
  /// `preface_bytes`: 24 for a server.
  FloodGuard(std::uint32_t burst, std::size_t preface_bytes) : burst_(burst), left_(preface_bytes) {}
  /// False: the burst is exceeded, somewhere in these bytes or before.
  bool feed(std::string_view bytes);
  /// A DATA frame was sent.
  void sent_data() { pay(4); }
  void forgive() { cost_ /= 2; }

 private:
  void account(std::uint8_t type, std::uint32_t length, std::uint8_t flags);
  void pay(std::uint32_t amount) { cost_ -= amount < cost_ ? amount : cost_; }

  std::uint32_t burst_;
  std::uint32_t cost_ = 0;
  bool exceeded_ = false;
  std::size_t left_;  // payload bytes to skip
  std::uint8_t header_[9] = {};
  std::size_t header_bytes_ = 0;
};

}  // namespace weir::http
