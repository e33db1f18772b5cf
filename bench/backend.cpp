// SPDX-License-Identifier: Apache-2.0
// The server behind every candidate, one thread. backend HTTP_IP:PORT TCP_IP:PORT
// HTTP/1.1: GET /N answers 200 with N bytes. TCP: a message of 64 bytes, whose first 8 digits are N, is answered by its own 64
// bytes and N - 64 more.
#include <charconv>
#include <memory>
#include <string>
#include <vector>

#include "bench/poller.h"
#include "kernel/socket.h"

namespace weir::bench {
namespace {

constexpr std::size_t kMessage = 64;
constexpr std::size_t kLongest = std::size_t{1} << 24;

struct Connection {
  UniqueFd fd;
  bool is_http = false;
  std::string in, out;
  std::size_t sent = 0;  ///< of out
  bool stuck = false;    ///< waits for room to send
  bool closing = false;  ///< after what is in out
};

/// N, if the digits at the start of `text` are one that we serve.
std::size_t parse_size(std::string_view text) {
  std::size_t size = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  return error == std::errc() && size <= kLongest ? size : 0;
}

/// Takes one request from `in` and appends its answer to `out`; false: not whole yet.
bool answer_http(Connection& connection) {
  const std::size_t end = connection.in.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const std::string_view head(connection.in.data(), end);
  const std::size_t size = head.starts_with("GET /") ? parse_size(head.substr(5)) : 0;
  connection.closing = head.find("\r\nConnection: close") != head.npos || head.find("\r\nconnection: close") != head.npos;
  connection.out += "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(size) +
                    (connection.closing ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n");
  connection.out.append(size, 'x');
  connection.in.erase(0, end + 4);
  return true;
}

bool answer_tcp(Connection& connection) {
  if (connection.in.size() < kMessage) return false;
  const std::size_t size = parse_size(std::string_view(connection.in).substr(0, 8));
  connection.out.append(connection.in, 0, kMessage);
  if (size > kMessage) connection.out.append(size - kMessage, 'x');
  connection.in.erase(0, kMessage);
  return true;
}

class Backend {
 public:
  Backend(SocketAddr http, SocketAddr tcp) : http_(must(kernel::listen_tcp(http))), tcp_(must(kernel::listen_tcp(tcp))) {
    poller_.add(http_.ref(), EPOLLIN, &http_);
    poller_.add(tcp_.ref(), EPOLLIN, &tcp_);
  }

  [[noreturn]] void run() {
    for (;;)
      for (const epoll_event& event : poller_.wait(std::chrono::hours(1))) {
        if (event.data.ptr == &http_ || event.data.ptr == &tcp_) {
          accept_all(event.data.ptr == &http_);
        } else if (auto* connection = static_cast<Connection*>(event.data.ptr); !turn(*connection)) {
          delete connection;
        }
      }
  }

 private:
  void accept_all(bool is_http) {
    while (auto accepted = must(kernel::accept((is_http ? http_ : tcp_).ref()))) {
      (void)kernel::set_nodelay(accepted->fd.ref());
      auto* connection = new Connection{std::move(accepted->fd), is_http, {}, {}};
      poller_.add(connection->fd.ref(), EPOLLIN, connection);
    }
  }

  /// False: the connection is at its end.
  bool turn(Connection& connection) {
    if (connection.out.empty()) {
      const auto got = kernel::receive(connection.fd.ref(), buffer_);
      if (got.eof || got.error != 0) return false;
      connection.in.append(buffer_.data(), got.bytes);
      while (!connection.closing && (connection.is_http ? answer_http(connection) : answer_tcp(connection))) {
      }
      if (connection.out.empty()) return true;
    }
    const auto sent = kernel::send(connection.fd.ref(), std::string_view(connection.out).substr(connection.sent));
    if (sent.error != 0) return false;
    connection.sent += sent.bytes;
    const bool is_stuck = connection.sent < connection.out.size();
    if (is_stuck != connection.stuck) poller_.change(connection.fd.ref(), is_stuck ? EPOLLOUT : EPOLLIN, &connection);
    connection.stuck = is_stuck;
    if (is_stuck) return true;
    connection.out.clear();
    connection.sent = 0;
    return !connection.closing;
  }

  UniqueFd http_, tcp_;
  Poller poller_;
  std::array<char, 65536> buffer_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  using namespace weir;
  if (argc != 3) {
    std::fprintf(stderr, "usage: backend HTTP_IP:PORT TCP_IP:PORT\n");
    return 1;
  }
  std::make_unique<bench::Backend>(bench::must(SocketAddr::parse(argv[1])), bench::must(SocketAddr::parse(argv[2])))->run();
}
