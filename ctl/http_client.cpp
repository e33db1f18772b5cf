// SPDX-License-Identifier: Apache-2.0
#include "ctl/http_client.h"

#include "base/text.h"
#include "http/h1.h"
#include "io/executor.h"
#include "kernel/netns.h"
#include "kernel/socket.h"

namespace weir::ctl {

namespace {

constexpr auto kLimit = std::chrono::seconds(10);
constexpr std::size_t kMaxBytes = 256U * 1024 * 1024;

struct Target {
  std::string unix_path;
  SocketAddr address;
};

Result<Target> parse_target(const std::string& text) {
  if (text.starts_with("unix:") && text.size() > 5) return Target{text.substr(5), {}};
  std::string_view rest = text;
  if (rest.starts_with("http://")) rest.remove_prefix(7);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  std::string address(rest);
  if (address.starts_with("localhost:")) address.replace(0, 9, "127.0.0.1");
  auto parsed = SocketAddr::parse(address);
  if (!parsed)
    return fail(ErrorCode::usage,
                "\"{}\" is neither a unix socket nor an address with a port; write it like unix:/run/weir/debug.sock or "
                "http://127.0.0.1:15014",
                printable(text));
  return Target{"", *parsed};
}

/// Sends the request, reads to the end.
class Exchange final : private io::ReadyHandler {
 public:
  Exchange(UniqueFd fd, std::string request)
      : fd_(std::move(fd)),
        watch_(executor_, fd_.ref(), *this),
        timer_(executor_, [this] { end("no answer within 10 s"); }),
        out_(std::move(request)) {
    timer_.expires_after(kLimit);
    watch_.want_write();
    watch_.want_read();
  }
  Result<std::string> run() {
    executor_.run();
    if (!failure_.empty()) return fail(ErrorCode::environment, "{}", failure_);
    return std::move(in_);
  }

 private:
  void on_writable() override {
    while (sent_ < out_.size()) {
      kernel::IoResult result = kernel::send(fd_.ref(), std::span<const char>(out_).subspan(sent_));
      if (result.would_block) return watch_.want_write();
      if (!result.ok()) return end(errno_text(result.error));
      sent_ += result.bytes;
    }
  }
  void on_readable() override {
    char buffer[65536];
    for (;;) {
      kernel::IoResult got = kernel::receive(fd_.ref(), buffer);
      if (got.would_block) return watch_.want_read();
      if (got.eof) return end("");
      if (!got.ok()) return end(errno_text(got.error));
      in_.append(buffer, got.bytes);
      timer_.expires_after(kLimit);
      if (in_.size() > kMaxBytes) return end("the answer is too long");
    }
  }
  void end(std::string failure) {
    failure_ = std::move(failure);
    watch_.reset();
    timer_.cancel();
    executor_.stop();
  }

  io::Executor executor_;
  UniqueFd fd_;
  io::Watch watch_;
  io::Timer timer_;
  std::string out_, in_, failure_;
  std::size_t sent_ = 0;
};

Result<std::string> body_of(std::string_view answer) {
  http::ResponseHead head;
  std::size_t resume = 0;
  const http::ParseResult parsed = http::parse_response_head(answer, "GET", {}, resume, head);
  if (parsed.state != http::ParseResult::State::done) return fail(ErrorCode::protocol, "the answer is not HTTP");
  http::BodyReader reader(head.framing, head.content_length, {});
  std::string body;
  std::string_view rest = answer.substr(parsed.consumed);
  while (!reader.done()) {
    const http::BodyReader::Step step = reader.next(rest);
    body += step.payload;
    rest.remove_prefix(step.consumed);
    if (step.error || (step.consumed == 0 && !step.done)) break;
  }
  if (!reader.done() && !reader.on_eof()) return fail(ErrorCode::protocol, "the answer ends in the middle");
  if (head.status != 200) return fail(ErrorCode::io, "answers {}: {}", head.status, printable(trim(body), 2000));
  return body;
}

Result<std::string> ask(const Target& target, const std::string& path) {
  auto fd = target.unix_path.empty() ? kernel::connect_tcp(target.address) : kernel::connect_unix(target.unix_path);
  if (!fd) return pass(fd.error());
  Exchange exchange(std::move(*fd), fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path));
  auto answer = exchange.run();
  if (!answer) return answer;
  return body_of(*answer);
}

}  // namespace

Result<std::string> fetch(const std::string& target, const std::string& path, std::optional<int> pid) {
  auto parsed = parse_target(target);
  if (!parsed) return pass(parsed.error());
  Result<std::string> body = fail(ErrorCode::internal, "not asked");
  if (!pid) {
    body = ask(*parsed, path);
  } else {
    auto netns = kernel::Netns::of_process(*pid);
    if (!netns) return pass(netns.error());
    auto entered = kernel::run_in(*netns, [&]() -> Result<> {
      body = ask(*parsed, path);
      return {};
    });
    if (!entered) return pass(entered.error());
  }
  if (!body) return pass(body.error(), fmt::format("asking {} for {}", target, path));
  return body;
}

}  // namespace weir::ctl
