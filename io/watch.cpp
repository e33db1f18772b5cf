// SPDX-License-Identifier: Apache-2.0
// Readiness. The watched descriptors stand in an epoll set of our own, each put there once and edge-triggered; Asio watches that
// set. Asio itself would ask the kernel anew (epoll_ctl) for every single wait.
#include <algorithm>
#include <sys/epoll.h>

#include "base/log.h"
#include "io/executor_impl.h"

namespace weir::io {

struct Watch::State {
  State(Executor::Impl& executor, FdRef fd_, ReadyHandler& handler_) : impl(executor), handler(&handler_), fd(fd_) {}

  void control(int what, std::uint32_t events);
  void ask_anew();
  void want(bool& wish, std::uint32_t event, bool sure);

  Executor::Impl& impl;
  ReadyHandler* handler;
  FdRef fd;
  std::uint32_t interest = 0;  ///< as the kernel has it; 0: not registered
  bool read_wanted = false, write_wanted = false;
  bool read_seen = false;  ///< told of by the kernel when nobody wanted to know
  bool hung_up = false;    ///< stays true, and brings no further edge
};

namespace {
constexpr std::uint32_t kAlways = EPOLLET | EPOLLRDHUP;
}

void Watch::State::control(int what, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = this;
  if (::epoll_ctl(impl.ready.native_handle(), what, fd.get(), &event) == 0)
    interest = events;
  else
    log::error("cannot watch descriptor {}: {}", fd.get(), errno_text(errno));
}

/// The kernel looks again, and tells of what is ready now, not only of what changes. That writing is possible is no news to who
/// does not want to know.
void Watch::State::ask_anew() { control(EPOLL_CTL_MOD, write_wanted ? interest : interest & ~std::uint32_t{EPOLLOUT}); }

/// `sure`: the kernel's next edge will tell; else it is asked.
void Watch::State::want(bool& wish, std::uint32_t event, bool sure) {
  if (wish) return;
  wish = true;
  if (interest == 0) return control(EPOLL_CTL_ADD, kAlways | EPOLLIN | event);
  if ((interest & event) == 0) return control(EPOLL_CTL_MOD, interest | event);
  if (!sure) ask_anew();
}

void Executor::Impl::arm_ready() {
  ready.async_wait(boost::asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    run_ready();
    arm_ready();
  });
}

void Executor::Impl::run_ready() {
  ready_end = std::max(0, ::epoll_wait(ready.native_handle(), ready_events.data(), static_cast<int>(ready_events.size()), 0));
  for (ready_next = 0; ready_next < ready_end;) {
    const epoll_event& event = ready_events[static_cast<std::size_t>(ready_next++)];
    if (event.data.ptr != nullptr) Watch::dispatch(*static_cast<Watch::State*>(event.data.ptr), event.events);
  }
  ready_end = ready_next = 0;
}

/// Nothing more comes for a watch that has gone, not even what was fetched with its batch already.
void Executor::Impl::forget_ready(const void* state) {
  if (dispatching == state) dispatching = nullptr;
  for (int i = ready_next; i < ready_end; ++i)
    if (auto& event = ready_events[static_cast<std::size_t>(i)]; event.data.ptr == state) event.data.ptr = nullptr;
}

void Watch::dispatch(State& state, std::uint32_t events) {
  Executor::Impl& impl = state.impl;
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  const bool readable = broken || (events & (EPOLLIN | EPOLLRDHUP)) != 0;
  const bool writable = broken || (events & EPOLLOUT) != 0;
  if (broken || (events & EPOLLRDHUP) != 0) state.hung_up = true;
  const bool tell_read = readable && state.read_wanted;
  if (readable) {
    state.read_wanted = false;
    state.read_seen = !tell_read;
  }
  impl.dispatching = &state;
  if (tell_read) {
    impl.begin_event();
    state.handler->on_readable();
  }
  // Its first handler may have ended it.
  if (impl.dispatching == &state && writable && state.write_wanted) {
    state.write_wanted = false;
    impl.begin_event();
    state.handler->on_writable();
  }
  impl.dispatching = nullptr;
}

Watch::Watch(Executor& executor, FdRef fd, ReadyHandler& handler)
    : state_(std::make_unique<State>(*executor.impl_, fd, handler)) {}
Watch::Watch() = default;
Watch::Watch(Watch&&) noexcept = default;

Watch& Watch::operator=(Watch&& other) noexcept {
  if (this != &other) {
    reset();
    state_ = std::move(other.state_);
  }
  return *this;
}

Watch::~Watch() { reset(); }

void Watch::want_read() {
  if (state_) state_->want(state_->read_wanted, EPOLLIN, false);
}
void Watch::want_more() {
  if (state_) state_->want(state_->read_wanted, EPOLLIN, !state_->read_seen && !state_->hung_up);
}
void Watch::want_write() {
  if (state_) state_->want(state_->write_wanted, EPOLLOUT, false);
}

void Watch::close(UniqueFd fd) {
  if (state_) state_->impl.forget_ready(state_.get());
  state_.reset();
  fd.reset();  // the kernel takes it out of the set
}

void Watch::reset() {
  if (!state_) return;
  state_->impl.forget_ready(state_.get());
  if (state_->interest != 0) state_->control(EPOLL_CTL_DEL, 0);
  state_.reset();
}

}  // namespace weir::io
