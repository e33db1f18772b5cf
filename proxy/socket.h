// SPDX-License-Identifier: Apache-2.0
// A non-blocking socket that remembers what it knows of its readiness: calls are tried before they are waited for, and not
// repeated where the last one said that there is no more.
#pragma once

#include "base/unique_fd.h"
#include "io/executor.h"
#include "proxy/buffer.h"
#include "proxy/outgoing.h"

namespace weir::proxy {

class SocketUser {
 public:
  /// Something may have become possible: try everything that is of interest.
  virtual void on_socket_event() = 0;

 protected:
  ~SocketUser() = default;
};

class Socket final : private io::ReadyHandler {
 public:
  Socket(io::Executor& executor, UniqueFd fd, SocketUser& user)
      : fd_(std::move(fd)), user_(&user), watch_(executor, fd_.ref(), *this) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { watch_.close(std::move(fd_)); }

  FdRef fd() const { return fd_.ref(); }
  void set_user(SocketUser& user) { user_ = &user; }

  bool readable() const { return readable_; }
  bool writable() const { return writable_; }
  kernel::IoResult receive_into(Buffer& buffer) {
    kernel::IoResult result = buffer.receive_from(fd_.ref());
    // A short read emptied the socket: another would only say so.
    readable_ = result.ok() && buffer.last_receive_filled();
    return result;
  }
  Outgoing::Flush flush(Outgoing& out, int& error) {
    Outgoing::Flush result = out.flush(fd_.ref(), error);
    if (result == Outgoing::Flush::blocked) writable_ = false;
    return result;
  }
  kernel::IoResult send(std::string_view bytes) {
    kernel::IoResult result = kernel::send(fd_.ref(), bytes);
    if (result.would_block || (result.ok() && result.bytes < bytes.size())) writable_ = false;
    return result;
  }
  /// A fresh connection has nothing to read yet: do not try before told.
  void expect_nothing() { readable_ = false; }
  /// The user is told when it may be worth to try again.
  void wait_readable() { readable_ ? watch_.want_read() : watch_.want_more(); }
  void wait_writable() { watch_.want_write(); }

 private:
  void on_readable() override {
    readable_ = true;
    user_->on_socket_event();
  }
  void on_writable() override {
    writable_ = true;
    user_->on_socket_event();
  }
  UniqueFd fd_;
  SocketUser* user_;
  io::Watch watch_;  // after fd_, so that it goes first
  bool readable_ = true, writable_ = true;
};

}  // namespace weir::proxy
