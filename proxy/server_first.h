// SPDX-License-Identifier: Apache-2.0
// Which destinations speak before their clients: those that did lately, and the ports of protocols that always do.
#pragma once

#include <cstddef>
#include <list>
#include <unordered_map>

#include "base/ip.h"

namespace weir::proxy {

/// Remembers a bounded number of destinations, the least recently used are forgotten. Pure; one per worker.
class ServerFirst {
 public:
  explicit ServerFirst(std::size_t most = 1024) : most_(most) {}
  bool expected(const SocketAddr& destination) {
    if (is_known_port(destination.port)) return true;
    auto it = index_.find(destination);
    if (it == index_.end()) return false;
    order_.splice(order_.begin(), order_, it->second);
    return true;
  }
  void learn(const SocketAddr& destination) {
    if (is_known_port(destination.port) || index_.contains(destination)) return;
    order_.push_front(destination);
    index_[destination] = order_.begin();
    if (index_.size() <= most_) return;
    index_.erase(order_.back());
    order_.pop_back();
  }
  /// The client spoke first after all.
  void forget(const SocketAddr& destination) {
    auto it = index_.find(destination);
    if (it == index_.end()) return;
    order_.erase(it->second);
    index_.erase(it);
  }
  std::size_t size() const { return index_.size(); }

  /// FTP, SSH, Telnet, SMTP, POP3, NNTP, IMAP, submission, MySQL, RFB (VNC).
  static bool is_known_port(Port port) {
    switch (port) {
      case 21:
      case 22:
      case 23:
      case 25:
      case 110:
      case 119:
      case 143:
      case 587:
      case 3306:
      case 5900: return true;
      default: return false;
    }
  }

 private:
  std::size_t most_;
  std::list<SocketAddr> order_;
  std::unordered_map<SocketAddr, std::list<SocketAddr>::iterator> index_;
};

}  // namespace weir::proxy
