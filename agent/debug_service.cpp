// SPDX-License-Identifier: Apache-2.0
#include "agent/debug_service.h"

#include <algorithm>
#include <list>

#include "base/text.h"
#include "http/h1.h"
#include "kernel/socket.h"

namespace weir::agent {
namespace {

constexpr std::size_t kMaxConnections = 64, kMaxHead = 8192;
constexpr auto kLimit = std::chrono::seconds(10);
constexpr auto kAcceptPause = std::chrono::milliseconds(500);

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = to_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string parameter(std::string_view query, std::string_view name) {
  for (std::string_view part : split(query, '&'))
    if (part.size() > name.size() && part.starts_with(name) && part[name.size()] == '=')
      return decode(part.substr(name.size() + 1));
  return {};
}

bool is_local_host(std::string_view authority) {
  std::string_view host =
      authority.starts_with('[') ? authority.substr(1, authority.find(']') - 1) : authority.substr(0, authority.find(':'));
  if (host.empty() || equals_ignore_case(host, "localhost")) return true;
  auto ip = IpAddr::parse(host);
  return ip && ip->is_loopback();
}

}  // namespace

struct DebugService::Impl {
  struct Connection final : private io::ReadyHandler {
    Connection(Impl& service, UniqueFd socket, bool is_unix)
        : owner(service),
          fd(std::move(socket)),
          local(is_unix),
          watch(service.executor, fd.ref(), *this),
          timer(service.executor, [this] { end(); }) {
      timer.expires_after(kLimit);
      watch.want_read();
    }

    void on_readable() override {
      char buffer[4096];
      for (;;) {
        kernel::IoResult got = kernel::receive(fd.ref(), buffer);
        if (got.would_block) return watch.want_read();
        if (!got.ok()) return end();
        in.append(buffer, got.bytes);
        http::RequestHead head;
        std::size_t resume = 0;
        const http::ParseResult parsed = http::parse_request_head(in, {.head_bytes = kMaxHead}, resume, head);
        if (parsed.state == http::ParseResult::State::need_more) continue;
        if (parsed.state == http::ParseResult::State::error)
          return respond({parsed.error.status, fmt::format("{}\n", parsed.error.detail)}, true);
        return respond(answer(head), head.method != "HEAD");
      }
    }
    void on_writable() override { write(); }

    DebugAnswer answer(const http::RequestHead& head) const {
      if (!local && !is_local_host(head.authority)) return {403, "this is answered under loopback names only\n"};
      if (head.method != "GET" && head.method != "HEAD") return {405, "only GET and HEAD: nothing can be changed here\n"};
      const std::size_t mark = head.path.find('?');
      const std::string_view query = mark == std::string_view::npos ? std::string_view() : head.path.substr(mark + 1);
      return owner.page(head.path.substr(0, mark), parameter(query, "proxyID"));
    }

    void respond(const DebugAnswer& given, bool with_body) {
      http::HeaderMap headers;
      headers.append("content-type", given.content_type);
      headers.append("content-length", std::to_string(given.body.size()));
      headers.append("connection", "close");
      http::write_response_head(out, given.status, http::reason_phrase(given.status), http::Version::http11, headers);
      if (with_body) out += given.body;
      write();
    }

    void write() {
      while (sent < out.size()) {
        kernel::IoResult result = kernel::send(fd.ref(), std::span<const char>(out).subspan(sent));
        if (result.would_block) return watch.want_write();
        if (!result.ok()) break;
        sent += result.bytes;
      }
      end();
    }

    /// Destroyed later: the connection is still on the stack.
    void end() {
      watch.reset();
      timer.cancel();
      auto it = std::find_if(owner.connections.begin(), owner.connections.end(), [&](const auto& c) { return c.get() == this; });
      if (it == owner.connections.end()) return;
      std::shared_ptr<Connection> dying = std::move(*it);
      owner.connections.erase(it);
      owner.executor.post([dying] {});
    }

    Impl& owner;
    UniqueFd fd;
    bool local;
    io::Watch watch;
    io::Timer timer;
    std::string in, out;
    std::size_t sent = 0;
  };

  struct Acceptor final : private io::ReadyHandler {
    Acceptor(Impl& service, UniqueFd listener, bool is_unix)
        : owner(service),
          fd(std::move(listener)),
          local(is_unix),
          watch(service.executor, fd.ref(), *this),
          pause(service.executor, [this] { watch.want_read(); }) {
      watch.want_read();
    }
    void on_readable() override {
      for (;;) {
        auto accepted = kernel::accept(fd.ref());
        if (!accepted) return pause.expires_after(kAcceptPause);  // no descriptors left: don't spin on it
        if (!*accepted) break;
        if (owner.connections.size() >= kMaxConnections) continue;  // closes the newcomer
        owner.connections.push_back(std::make_unique<Connection>(owner, std::move((*accepted)->fd), local));
      }
      watch.want_read();
    }
    void on_writable() override {}
    Impl& owner;
    UniqueFd fd;
    bool local;
    io::Watch watch;
    io::Timer pause;
  };

  Impl(io::Executor& executor_in, Page page_in) : executor(executor_in), page(std::move(page_in)) {}

  io::Executor& executor;
  Page page;
  std::list<std::unique_ptr<Connection>> connections;
  std::list<Acceptor> acceptors;
};

DebugService::DebugService(io::Executor& executor, Page page) : impl_(std::make_unique<Impl>(executor, std::move(page))) {}
DebugService::~DebugService() = default;

Result<> DebugService::listen_unix(const std::string& path, mode_t mode) {
  auto fd = kernel::listen_unix(path, mode);
  if (!fd) return pass(fd.error());
  impl_->acceptors.emplace_back(*impl_, std::move(*fd), true);
  return {};
}

Result<> DebugService::listen_tcp(const SocketAddr& address) {
  auto fd = kernel::listen_tcp(address, 64);
  if (!fd) return pass(fd.error());
  impl_->acceptors.emplace_back(*impl_, std::move(*fd), false);
  return {};
}

}  // namespace weir::agent
