// SPDX-License-Identifier: Apache-2.0
#include "proxy/http_server.h"

#include <array>
#include <set>

#include "base/text.h"
#include "http/h1.h"
#include "kernel/socket.h"

namespace weir::proxy {

namespace {

constexpr std::size_t kMaxConnections = 128;
constexpr std::size_t kMaxBody = 64 * 1024;
constexpr auto kIdleLimit = std::chrono::seconds(30);

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = to_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string host_of(std::string_view authority) {
  if (!authority.empty() && authority.front() == '[') return to_lower(authority.substr(1, authority.find(']') - 1));
  return to_lower(authority.substr(0, authority.find(':')));
}

}  // namespace

std::optional<std::string_view> HttpRequest::parameter(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name) return value;
  return std::nullopt;
}

void parse_target(std::string_view target, HttpRequest& into) {
  const std::size_t mark = target.find('?');
  into.path = target.substr(0, mark);
  if (mark == std::string_view::npos) return;
  for (std::string_view part : split(target.substr(mark + 1), '&')) {
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    into.query.emplace_back(decode(part.substr(0, equals)),
                            equals == std::string_view::npos ? "" : decode(part.substr(equals + 1)));
  }
}

class HttpServer::Impl {
 public:
  Impl(io::Executor& loop, Handler handle) : executor(loop), handler(std::move(handle)) {}

  class Connection;
  struct Listener final : io::ReadyHandler {
    Listener(Impl& owner, UniqueFd socket) : impl(owner), fd(std::move(socket)), watch(owner.executor, fd.ref(), *this) {
      watch.want_read();
    }
    void on_readable() override { impl.accept(*this); }
    void on_writable() override {}
    Impl& impl;
    UniqueFd fd;
    io::Watch watch;
  };
  void accept(Listener& listener);

  io::Executor& executor;
  Handler handler;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::set<std::shared_ptr<Connection>> connections;
};

class HttpServer::Impl::Connection final : public io::ReadyHandler, public std::enable_shared_from_this<Connection> {
 public:
  Connection(Impl& impl, kernel::Accepted accepted)
      : impl_(impl),
        fd_(std::move(accepted.fd)),
        peer_(accepted.peer),
        watch_(impl.executor, fd_.ref(), *this),
        timer_(impl.executor, [this] { close(); }) {
    timer_.expires_after(kIdleLimit);
    watch_.want_read();
  }

  void on_readable() override {
    auto self = shared_from_this();
    std::array<char, 16 * 1024> buffer;
    const kernel::IoResult got = kernel::receive(fd_.ref(), buffer);
    if (got.would_block) return watch_.want_read();
    if (!got.ok()) return close();
    in_.append(buffer.data(), got.bytes);
    timer_.expires_after(kIdleLimit);
    parse();
  }
  void on_writable() override {
    auto self = shared_from_this();
    write();
  }
  void close() {
    watch_.reset();
    timer_.cancel();
    fd_.reset();
    // May be the last reference: nothing is touched after this.
    impl_.connections.erase(shared_from_this());
  }

 private:
  void parse() {
    if (busy_) return;
    if (!in_body_) {
      const http::ParseResult head = http::parse_request_head(in_, limits_, resume_, head_);
      if (head.state == http::ParseResult::State::need_more) return watch_.want_read();
      if (head.state == http::ParseResult::State::error)
        return respond({.status = head.error.status, .body = fmt::format("{}\n", head.error.detail)}, false);
      take_request();
      in_.erase(0, head.consumed);
      body_ = http::BodyReader(head_.framing, head_.content_length, limits_);
      in_body_ = true;
      body_bytes_ = 0;
    }
    read_body();
  }

  void take_request() {
    request_ = {};
    request_.method = head_.method;
    request_.host = host_of(head_.authority);
    request_.peer = peer_;
    parse_target(head_.path, request_);
    keep_alive_ = head_.keep_alive;
  }

  void read_body() {
    while (!body_.done()) {
      const http::BodyReader::Step step = body_.next(in_);
      body_bytes_ += step.consumed;
      if (step.error || body_bytes_ > kMaxBody)
        return respond({.status = 413, .body = "the body is malformed or too large\n"}, false);
      in_.erase(0, step.consumed);
      if (step.done) break;
      if (step.consumed == 0) return watch_.want_read();
    }
    in_body_ = false;
    resume_ = 0;
    busy_ = true;
    auto weak = weak_from_this();
    impl_.handler(request_, [weak](HttpResponse response) {
      if (auto self = weak.lock(); self && self->fd_) self->respond(response, self->keep_alive_);
    });
  }

  void respond(const HttpResponse& response, bool keep_alive) {
    busy_ = true;
    keep_alive_ = keep_alive;
    http::HeaderMap headers;
    headers.append("content-type", response.content_type);
    headers.append("cache-control", "no-cache, max-age=0");
    headers.append("x-content-type-options", "nosniff");
    if (!response.allow.empty()) headers.append("allow", response.allow);
    headers.append("content-length", fmt::format("{}", response.body.size()));
    headers.append("connection", keep_alive ? "keep-alive" : "close");
    http::write_response_head(out_, response.status, http::reason_phrase(response.status), http::Version::http11, headers);
    if (request_.method != "HEAD") out_ += response.body;
    write();
  }

  void write() {
    while (!out_.empty()) {
      const kernel::IoResult sent = kernel::send(fd_.ref(), std::span<const char>(out_).subspan(written_));
      if (sent.would_block) return watch_.want_write();
      if (!sent.ok()) return close();
      timer_.expires_after(kIdleLimit);
      written_ += sent.bytes;
      if (written_ == out_.size()) {
        out_.clear();
        written_ = 0;
      }
    }
    if (!keep_alive_) return close();
    busy_ = false;
    parse();
  }

  Impl& impl_;
  UniqueFd fd_;
  SocketAddr peer_;
  io::Watch watch_;
  io::Timer timer_;
  http::Limits limits_;
  std::string in_, out_;
  std::size_t resume_ = 0, written_ = 0, body_bytes_ = 0;
  http::RequestHead head_;
  http::BodyReader body_;
  HttpRequest request_;
  bool in_body_ = false, busy_ = false, keep_alive_ = true;
};

void HttpServer::Impl::accept(Listener& listener) {
  while (true) {
    auto accepted = kernel::accept(listener.fd.ref());
    if (!accepted || !*accepted) break;
    if (connections.size() >= kMaxConnections) continue;  // closes the newcomer
    connections.insert(std::make_shared<Connection>(*this, std::move(**accepted)));
  }
  listener.watch.want_read();
}

HttpServer::HttpServer(io::Executor& executor, Handler handler) : impl_(std::make_unique<Impl>(executor, std::move(handler))) {}
HttpServer::~HttpServer() {
  while (!impl_->connections.empty()) (*impl_->connections.begin())->close();
}

Result<SocketAddr> HttpServer::listen(const SocketAddr& address) {
  auto fd = kernel::listen_tcp(address, 128);
  if (!fd) return pass(fd.error());
  auto bound = kernel::local_address(fd->ref());
  if (!bound) return pass(bound.error());
  impl_->listeners.push_back(std::make_unique<Impl::Listener>(*impl_, std::move(*fd)));
  return *bound;
}

}  // namespace weir::proxy
