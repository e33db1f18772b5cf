// SPDX-License-Identifier: Apache-2.0
// What a request is, and whether its answer is right: status and length, byte by byte counted, and nothing after it.
#pragma once

#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>

namespace weir::bench {

inline constexpr std::size_t kTcpMessage = 64;

/// One answer while it arrives.
class Answer {
 public:
  enum class State { partial, whole, wrong };

  Answer() = default;

  void expect_http(std::size_t body) { *this = Answer(true, body, {}); }
  /// `sent` is what the answer starts with.
  void expect_tcp(std::string_view sent, std::size_t size) { *this = Answer(false, size, sent); }

  /// Takes what arrived; `wrong` is final, why() says why.
  State take(std::string_view bytes) {
    if (!in_body_) {
      head_ += bytes;
      if (!(is_http_ ? read_http_head() : read_tcp_head())) return why_.empty() ? State::partial : State::wrong;
    } else {
      body_ += bytes.size();
    }
    if (body_ > size_) return wrong("more bytes than announced");
    return body_ == size_ ? State::whole : State::partial;
  }

  const std::string& why() const { return why_; }
  /// How far it came, for a message about an early end.
  std::size_t bytes() const { return in_body_ ? body_ : head_.size(); }

 private:
  Answer(bool is_http, std::size_t size, std::string_view sent) : is_http_(is_http), size_(size), sent_(sent) {}

  State wrong(std::string why) {
    why_ = std::move(why);
    return State::wrong;
  }

  bool read_tcp_head() {
    if (head_.size() < kTcpMessage) return false;
    in_body_ = true;
    body_ = head_.size();
    if (std::string_view(head_).substr(0, kTcpMessage) == sent_) return true;
    why_ = "the answer is to another message";
    in_body_ = false;
    return false;
  }

  bool read_http_head() {
    const std::size_t end = head_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::string_view head = std::string_view(head_).substr(0, end + 2);
    if (!head.starts_with("HTTP/1.1 200 ")) {
      why_ = "status is " + std::string(head.substr(0, head.find('\r')));
      return false;
    }
    if (content_length(head) != size_) {
      why_ = "Content-Length is not " + std::to_string(size_);
      return false;
    }
    in_body_ = true;
    body_ = head_.size() - end - 4;
    return true;
  }

  static std::size_t content_length(std::string_view head) {
    for (std::string_view name : {"\r\nContent-Length: ", "\r\ncontent-length: "}) {
      const std::size_t at = head.find(name);
      if (at == head.npos) continue;
      std::size_t value = 0;
      std::from_chars(head.data() + at + name.size(), head.data() + head.size(), value);
      return value;
    }
    return SIZE_MAX;
  }

  bool is_http_ = false, in_body_ = false;
  std::size_t size_ = 0, body_ = 0;
  std::string sent_, head_, why_;
};

}  // namespace weir::bench
