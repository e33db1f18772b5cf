// SPDX-License-Identifier: Apache-2.0
// The process around an invocation: standard input, the time limit, one document on standard output, one line in the log.
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <poll.h>
#include <random>
#include <thread>
#include <unistd.h>

#include "cni-plugin/install_command.h"
#include "cni-plugin/node.h"
#include "cni-plugin/program.h"
#include "cni-plugin/verbs.h"

namespace weir::cni {

namespace {

using Environment = std::map<std::string, std::string>;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxInput = 16U << 20;
/// VERSION needs none, and some runtimes give none and leave it open.
constexpr int kVersionInputWaitMs = 200;

Environment environment() {
  Environment found;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (auto equals = text.find('='); equals != std::string::npos) found.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return found;
}

std::string random_trace() {
  std::random_device source;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", source(), source(), source(), source());
}

Result<std::string> read_input(bool may_be_missing) {
  std::string input;
  char buffer[64 * 1024];
  while (input.size() <= kMaxInput) {
    pollfd ready{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (may_be_missing && ::poll(&ready, 1, kVersionInputWaitMs) <= 0) return input;
    const auto got = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "reading standard input");
    if (got == 0) return input;
    input.append(buffer, static_cast<std::size_t>(got));
  }
  return fail(ErrorCode::io, "standard input has more than {} bytes", kMaxInput);
}

/// Gives exactly one answer: the one that comes first of the work's and the time limit's.
class Invocation {
 public:
  int run() {
    std::thread watch([this] { watch_time(); });
    const auto input = read_input(variable("CNI_COMMAND") == "VERSION");
    Answer answer;
    if (input) {
      set_limit(*input);
      answer = serve(environment_, *input, *node_, trace_);
    } else {
      answer = failed(environment_, "{}", {Code::io, "standard input cannot be read", input.error().to_text()}, trace_);
    }
    while (!claim()) ::pause();  // too late: the watch ends the process
    const int exit_code = give(std::move(answer));
    {
      const std::lock_guard lock(mutex_);
      is_done_ = true;
    }
    changed_.notify_all();
    watch.join();
    return exit_code;
  }

 private:
  std::string variable(const std::string& name) const {
    auto found = environment_.find(name);
    return found == environment_.end() ? "" : found->second;
  }

  void set_limit(const std::string& input) {
    const auto request = parse_request(environment_, input);
    const std::lock_guard lock(mutex_);
    input_ = input;
    limit_ = (request ? *request : request.error().request).config.timeout;
    changed_.notify_all();
  }

  void watch_time() {
    std::unique_lock lock(mutex_);
    while (!is_done_ && Clock::now() < start_ + limit_) changed_.wait_until(lock, start_ + limit_);
    if (is_done_ || !claim()) return;
    const Failure late{Code::try_again, fmt::format("not done within {}", to_text(limit_)),
                       "DEL takes away what may have been done"};
    const int exit_code = give(failed(environment_, input_, late, trace_));
    std::fflush(nullptr);
    ::_exit(exit_code);  // whatever the work waits for
  }

  /// Whoever gets it answers.
  bool claim() { return !is_answered_.exchange(true); }

  int give(Answer answer) {
    answer.entry.time = std::chrono::system_clock::now();
    answer.entry.took = Clock::now() - start_;
    std::fputs(answer.out.c_str(), stdout);
    std::fflush(stdout);
    if (answer.log_level == log::Level::debug) std::fprintf(stderr, "%s\n", to_json(answer.entry).c_str());
    if (auto written = write_log(answer.entry, answer.log, answer.log_level); !written)
      std::fprintf(stderr, "weir-cni: %s\n", written.error().to_text().c_str());
    return answer.exit_code;
  }

  const Clock::time_point start_ = Clock::now();
  const Environment environment_ = environment();
  const std::string trace_ = random_trace();
  const std::unique_ptr<Node> node_ = this_node();
  std::atomic<bool> is_answered_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_done_ = false;
  std::string input_ = "{}";
  Nanoseconds limit_ = NetConfig{}.timeout;
};

/// What is installed is this program itself.
Printed install_by(const std::vector<std::string>& arguments) {
  auto self = kernel::read_whole("/proc/self/exe");
  if (!self || !*self) return {2, "", "weir-cni: cannot read itself: is /proc mounted?\n"};
  return run_install(arguments, environment(), installer_world(), (*self)->bytes);
}

}  // namespace

int run_here(const std::vector<std::string>& arguments) {
  std::signal(SIGPIPE, SIG_IGN);
  if (const char* command = std::getenv("CNI_COMMAND"); command == nullptr || *command == '\0') {
    const Printed printed = !arguments.empty() && is_install_word(arguments.front()) ? install_by(arguments) : talk(arguments);
    std::fputs(printed.out.c_str(), stdout);
    std::fputs(printed.err.c_str(), stderr);
    return printed.exit_code;
  }
  return Invocation().run();
}

}  // namespace weir::cni
