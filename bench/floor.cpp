// SPDX-License-Identifier: Apache-2.0
// The floor: what any proxy pays. A bare relay of bytes, one thread, epoll, one upstream connection for each it accepts.
// floor LISTEN TARGET, both IP:PORT.
#include <memory>
#include <string>
#include <vector>

#include "bench/poller.h"
#include "kernel/socket.h"

namespace weir::bench {
namespace {

constexpr std::uint32_t kInterest = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

struct Pair;

struct Side {
  Pair* pair = nullptr;
  Side* other = nullptr;
  UniqueFd fd;
  std::string unsent;  ///< taken from the other side, not yet taken by this socket
  bool hung_up = false, eof = false;
};

struct Pair {
  Side client, server;
  bool dead = false;
};

class Relay {
 public:
  Relay(SocketAddr listen, SocketAddr target) : target_(target), listener_(must(kernel::listen_tcp(listen))) {
    poller_.add(listener_.ref(), EPOLLIN, nullptr);
  }

  [[noreturn]] void run() {
    for (;;) {
      for (const epoll_event& event : poller_.wait(std::chrono::hours(1))) {
        if (event.data.ptr == nullptr) {
          accept_all();
        } else {
          turn(*static_cast<Side*>(event.data.ptr), event.events);
        }
      }
      for (Pair* pair : dead_) delete pair;
      dead_.clear();
    }
  }

 private:
  void accept_all() {
    while (auto accepted = must(kernel::accept(listener_.ref()))) {
      auto upstream = kernel::connect_tcp(target_);
      if (!upstream) continue;
      auto* pair = new Pair;
      pair->client = {pair, &pair->server, std::move(accepted->fd), {}};
      pair->server = {pair, &pair->client, std::move(*upstream), {}};
      for (Side* side : {&pair->client, &pair->server}) {
        (void)kernel::set_nodelay(side->fd.ref());
        poller_.add(side->fd.ref(), kInterest, side);
      }
    }
  }

  void turn(Side& side, std::uint32_t events) {
    Pair& pair = *side.pair;
    if (pair.dead) return;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side.hung_up = true;
    const bool ok = ((events & EPOLLOUT) == 0 || side.unsent.empty() || (flush(side) && pump(*side.other))) && pump(side);
    if (ok && !(pair.client.eof && pair.server.eof)) return;
    pair.dead = true;
    pair.client.fd.reset();
    pair.server.fd.reset();
    dead_.push_back(&pair);
  }

  bool flush(Side& to) {
    const auto sent = kernel::send(to.fd.ref(), to.unsent);
    if (sent.error != 0) return false;
    to.unsent.erase(0, sent.bytes);
    if (to.unsent.empty() && to.other->eof) kernel::shutdown_write(to.fd.ref());
    return true;
  }

  /// Moves what `from` has to the other side until one of them would block. False: the pair is broken.
  bool pump(Side& from) {
    Side& to = *from.other;
    while (!from.eof && to.unsent.empty()) {
      const auto got = kernel::receive(from.fd.ref(), buffer_);
      if (got.would_block) return true;
      if (got.error != 0) return false;
      if (got.eof) {
        from.eof = true;
        kernel::shutdown_write(to.fd.ref());
        return true;
      }
      const std::span<const char> bytes(buffer_.data(), got.bytes);
      const auto sent = kernel::send(to.fd.ref(), bytes);
      if (sent.error != 0) return false;
      to.unsent.assign(bytes.data() + sent.bytes, got.bytes - sent.bytes);
      if (got.bytes < buffer_.size() && !from.hung_up) return true;  // a short read emptied the socket
    }
    return true;
  }

  SocketAddr target_;
  UniqueFd listener_;
  Poller poller_;
  std::vector<Pair*> dead_;  // freed after the batch of events that may still name them
  std::array<char, 65536> buffer_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  using namespace weir;
  if (argc != 3) {
    std::fprintf(stderr, "usage: floor LISTEN_IP:PORT TARGET_IP:PORT\n");
    return 1;
  }
  std::make_unique<bench::Relay>(bench::must(SocketAddr::parse(argv[1])), bench::must(SocketAddr::parse(argv[2])))->run();
}
