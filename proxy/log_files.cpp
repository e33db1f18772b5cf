// SPDX-License-Identifier: Apache-2.0
// The process's log files and the thread that writes them.
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <map>
#include <thread>

#include "proxy/access_log.h"
#include "proxy/log_file.h"

namespace weir::proxy {

namespace {

constexpr int kRetry = 20;  // ms: how long a full pipe may keep the writer from the other files
constexpr std::chrono::seconds kLastWrites{1};

}  // namespace

struct LogFiles::Impl {
  explicit Impl(std::function<void(const Error&)> report) : on_failure(std::move(report)) {}

  /// The writer's thread.
  void run();
  void wait_for_work(bool has_left_over);
  /// False if a file is full; then it has waited a little for it.
  bool drain_all(const std::vector<std::shared_ptr<LogFile>>& list);
  void reopen_all(const std::vector<std::shared_ptr<LogFile>>& list);

  const std::shared_ptr<LogShared> shared_state = std::make_shared<LogShared>();
  LogShared& shared = *shared_state;  // its mutex guards the three below too
  std::map<std::string, std::shared_ptr<LogFile>> files;
  bool must_stop = false;
  bool must_reopen = false;
  std::function<void(const Error&)> on_failure;
  std::thread thread;
};

void LogFiles::Impl::reopen_all(const std::vector<std::shared_ptr<LogFile>>& list) {
  for (const auto& file : list) {
    if (auto opened = file->open(); !opened && on_failure) on_failure(opened.error());
  }
}

void LogFiles::Impl::wait_for_work(bool has_left_over) {
  std::unique_lock lock(shared.mutex);
  if (!has_left_over) shared.wake.wait(lock, [&] { return shared.has_work || must_stop || must_reopen; });
  shared.has_work = false;
}

bool LogFiles::Impl::drain_all(const std::vector<std::shared_ptr<LogFile>>& list) {
  std::vector<pollfd> full;
  for (const auto& file : list) {
    if (!file->drain(on_failure)) full.push_back({.fd = file->fd().get(), .events = POLLOUT, .revents = 0});
  }
  if (full.empty()) return true;
  poll(full.data(), full.size(), kRetry);
  return false;
}

void LogFiles::Impl::run() {
  sigset_t everything;  // signals are the main thread's; a closed pipe answers EPIPE here
  sigfillset(&everything);
  pthread_sigmask(SIG_BLOCK, &everything, nullptr);
  bool is_drained = true;
  auto give_up = std::chrono::steady_clock::time_point::max();
  for (;;) {
    wait_for_work(!is_drained);
    std::vector<std::shared_ptr<LogFile>> list;
    bool stops = false, reopens = false;
    {
      std::lock_guard lock(shared.mutex);
      stops = must_stop;
      reopens = std::exchange(must_reopen, false);
      for (const auto& [path, file] : files) list.push_back(file);
    }
    if (reopens) reopen_all(list);
    is_drained = drain_all(list);
    if (!stops) continue;
    auto now = std::chrono::steady_clock::now();
    if (give_up == std::chrono::steady_clock::time_point::max()) give_up = now + kLastWrites;
    if (!is_drained && now < give_up) continue;
    for (const auto& file : list) file->abandon();
    return;
  }
}

LogFiles::LogFiles(std::function<void(const Error&)> on_failure) : impl_(std::make_unique<Impl>(std::move(on_failure))) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

LogFiles::~LogFiles() {
  {
    std::lock_guard lock(impl_->shared.mutex);
    impl_->must_stop = true;
    impl_->shared.wake.notify_one();
  }
  impl_->thread.join();
}

Result<std::shared_ptr<LogFile>> LogFiles::open(const std::string& path) {
  std::lock_guard lock(impl_->shared.mutex);
  if (auto it = impl_->files.find(path); it != impl_->files.end()) return it->second;
  auto file = std::make_shared<LogFile>(path, impl_->shared_state);
  if (auto opened = file->open(); !opened) return tl::unexpected(opened.error());
  impl_->files.emplace(path, file);
  return file;
}

void LogFiles::reopen() {
  std::lock_guard lock(impl_->shared.mutex);
  impl_->must_reopen = true;
  impl_->shared.wake.notify_one();
}

LogFiles::Counters LogFiles::counters() const {
  const LogShared& shared = impl_->shared;
  return {shared.lines, shared.written, shared.dropped, shared.failed_writes};
}

}  // namespace weir::proxy
