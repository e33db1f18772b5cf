// SPDX-License-Identifier: Apache-2.0
// The other end for grpc_interop.py: our gRPC client or server on a loopback port, one connection.
//   grpc_peer serve           prints the port, answers /test.Echo/Talk
//   grpc_peer call PORT PATH  sends "one", 300,000 times "x", "fail" if PATH ends in it; prints what comes back
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/unique_fd.h"
#include "http/grpc.h"

using namespace weir::http;

namespace {

struct Echo : GrpcHandler {
  explicit Echo(GrpcServerStream& stream_) : stream(stream_) {}
  GrpcServerStream& stream;
  void on_message(std::string_view message) override {
    if (message == "fail") return stream.finish({GrpcCode::not_found, "no such thing: \xc3\xa9 100%"});
    stream.send(message);
  }
  void on_half_close() override { stream.finish({}); }
  void on_closed() override { std::printf("closed\n"); }
};

struct Printer : GrpcClientStream::Events {
  GrpcClientStream* client = nullptr;
  int messages = 0;
  void on_message(std::string_view message) override {
    std::printf("message of %zu\n", message.size());
    if (++messages == 2) client->finish();
  }
  void on_status(const GrpcStatus& status) override { std::printf("%s\n", status.to_text().c_str()); }
};

/// Moves bytes until one side is done or nothing happens for ten seconds.
template <class End>
int serve_socket(int fd, End& end) {
  std::string out;
  for (;;) {
    end.take(out);
    if (out.empty() && end.is_finished()) return 0;
    pollfd wait{fd, static_cast<short>(out.empty() ? POLLIN : POLLIN | POLLOUT), 0};
    if (poll(&wait, 1, 10'000) <= 0) return 3;
    if ((wait.revents & POLLOUT) != 0) {
      ssize_t sent = send(fd, out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent > 0) out.erase(0, static_cast<std::size_t>(sent));
    }
    if ((wait.revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
    char bytes[16384];
    ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got <= 0) {
      end.on_eof();
      return 0;
    }
    if (auto fed = end.feed({bytes, static_cast<std::size_t>(got)}); !fed)
      std::printf("error %s\n", fed.error().to_text().c_str());
  }
}

int serve() {
  weir::UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), generic, size) != 0 || listen(listener.get(), 1) != 0) return 2;
  getsockname(listener.get(), generic, &size);
  std::printf("%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  weir::UniqueFd accepted(accept(listener.get(), nullptr, nullptr));
  GrpcMethods methods{{"/test.Echo/Talk", [](GrpcServerStream& stream) { return std::make_unique<Echo>(stream); }}};
  GrpcServerConnection connection({}, methods);
  return serve_socket(accepted.get(), connection);
}

int call(int port, std::string path) {
  weir::UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 2;
  Printer events;
  bool fails = path.ends_with("fail");
  if (fails) path.resize(path.size() - 4);
  GrpcClientStream client({.path = path, .authority = "localhost"}, events);
  events.client = &client;
  client.send("one");
  client.send(fails ? "fail" : std::string(300'000, 'x'));
  return serve_socket(fd.get(), client);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "serve") return serve();
  if (argc == 4 && std::string_view(argv[1]) == "call") return call(std::atoi(argv[2]), argv[3]);
  return 1;
}
