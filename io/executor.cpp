// SPDX-License-Identifier: Apache-2.0
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/basic_waitable_timer.hpp>

#include "base/log.h"
#include "io/executor_impl.h"

namespace weir::io {

namespace asio = boost::asio;

namespace {
void adopt(Descriptor& into, int fd, const char* what) {
  boost::system::error_code failed;
  into.assign(fd, failed);
  if (fd >= 0 && !failed) return;
  log::error("no {} for an event loop: {}; is the limit of open files (ulimit -n) reached?", what, errno_text(errno));
  std::abort();  // nothing can work without it, and a constructor has no way to say so
}
}  // namespace

Executor::Impl::Impl()
    : wakeup(context.get_executor()), ready(context.get_executor()), driver(context.get_executor()), epoch(Clock::now()) {
  adopt(wakeup, ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
  adopt(ready, ::epoll_create1(EPOLL_CLOEXEC), "epoll set");
}

void Executor::Impl::arm_wakeup() {
  wakeup.async_wait(asio::posix::descriptor_base::wait_read, [this](const boost::system::error_code& error) {
    if (error) return;
    begin_event();
    run_posted();
    arm_wakeup();
  });
}

void Executor::Impl::run_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] ssize_t n = ::read(wakeup.native_handle(), &count, sizeof count);
  {
    std::lock_guard lock(mutex);
    running.swap(posted);
  }
  for (auto& task : running) task();
  running.clear();
}

TimePoint Executor::Impl::time() {
  if (!now_known) {
    now_value = Clock::now();
    now_known = true;
  }
  return now_value;
}

void Executor::Impl::wait_for_signal() {
  signals->async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    begin_event();
    on_signal(signal);
    wait_for_signal();
  });
}

Executor::Executor() : impl_(std::make_unique<Impl>()) {}
Executor::~Executor() = default;

void Executor::run() {
  impl_->arm_wakeup();
  impl_->arm_ready();
  auto guard = asio::make_work_guard(impl_->context);
  impl_->context.run();
}

void Executor::stop() {
  post([impl = impl_.get()] { impl->context.stop(); });
}

void Executor::post(std::function<void()> task) {
  bool first;
  {
    std::lock_guard lock(impl_->mutex);
    first = impl_->posted.empty();
    impl_->posted.push_back(std::move(task));
  }
  std::uint64_t one = 1;
  if (first) [[maybe_unused]]
    ssize_t n = ::write(impl_->wakeup.native_handle(), &one, sizeof one);
}

Result<> Executor::on_signals(std::initializer_list<int> signals, std::function<void(int)> handler) {
  auto set = std::make_unique<asio::signal_set>(impl_->context);
  for (int signal : signals) {
    boost::system::error_code failed;
    set->add(signal, failed);
    if (failed) return fail(ErrorCode::internal, "cannot handle signal {}: {}", signal, failed.message());
  }
  impl_->signals = std::move(set);
  impl_->on_signal = std::move(handler);
  impl_->wait_for_signal();
  return {};
}

TimePoint Executor::now() const { return impl_->time(); }

}  // namespace weir::io
