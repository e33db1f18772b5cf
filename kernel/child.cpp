// SPDX-License-Identifier: Apache-2.0
#include "kernel/child.h"

#include <algorithm>
#include <chrono>
#include <fcntl.h>
#include <poll.h>
#include <csignal>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "base/scope_exit.h"

extern char** environ;

namespace weir::kernel {

namespace {

constexpr std::size_t kOutputLimit = 16U << 20;

std::vector<std::string> environment_with(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!extra.contains(text.substr(0, text.find('=')))) all.push_back(text);
  }
  for (const auto& [name, value] : extra) all.push_back(fmt::format("{}={}", name, value));
  return all;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));  // exec does not write to them
  list.push_back(nullptr);
  return list;
}

ChildEnd end_of(int status) { return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)}; }

struct Pipe {
  UniqueFd reader, writer;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "making a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// Takes what is there; false at the end.
bool take(UniqueFd& from, std::string& into) {
  char buffer[16384];
  ssize_t size = ::read(from.get(), buffer, sizeof buffer);
  if (size < 0 && errno == EINTR) return true;
  if (size <= 0) return false;
  into.append(buffer, std::min<std::size_t>(static_cast<std::size_t>(size), kOutputLimit - std::min(into.size(), kOutputLimit)));
  return true;
}

using Clock = std::chrono::steady_clock;

/// Milliseconds for poll(2), rounded up; -1: no limit.
int left_until(const std::optional<Clock::time_point>& end) {
  if (!end) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*end - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
}

/// Feeds and collects until the child has closed both of its outputs; false if the time is over before.
bool pump(UniqueFd& in, const std::string& input, UniqueFd& out, UniqueFd& err, Output& output,
          const std::optional<Clock::time_point>& end) {
  std::size_t fed = 0;
  ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
  while (out || err) {
    if (in && fed == input.size()) in.reset();
    pollfd fds[] = {{in.get(), POLLOUT, 0}, {out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}};
    if (end && Clock::now() >= *end) return false;
    if (::poll(fds, 3, left_until(end)) < 0) continue;
    if (in && fds[0].revents != 0) {
      ssize_t size = ::write(in.get(), input.data() + fed, input.size() - fed);
      if (size > 0)
        fed += static_cast<std::size_t>(size);
      else if (errno != EAGAIN && errno != EINTR)
        in.reset();
    }
    if (out && fds[1].revents != 0 && !take(out, output.out)) out.reset();
    if (err && fds[2].revents != 0 && !take(err, output.err)) err.reset();
  }
  return true;
}

}  // namespace

Result<Child> Child::start(const ChildOptions& options) {
  if (options.arguments.empty()) return fail(ErrorCode::internal, "a child process without a program");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  ScopeExit destroy([&] {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  });
  for (auto [from, to] : {std::pair{options.in, 0}, std::pair{options.out, 1}, std::pair{options.err, 2}})
    if (from) posix_spawn_file_actions_adddup2(&actions, from.get(), to);
  // What this process blocks or ignores must not become the child's.
  sigset_t none, standard;
  sigemptyset(&none);
  sigemptyset(&standard);
  sigaddset(&standard, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &standard);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  const std::vector<std::string> environment = environment_with(options.extra_environment);
  pid_t pid = -1;
  int error = ::posix_spawnp(&pid, options.arguments[0].c_str(), &actions, &attributes, pointers(options.arguments).data(),
                             pointers(environment).data());
  if (error == ENOENT)
    return tl::unexpected(
        Error(ErrorCode::environment, fmt::format("no program {}: is it installed?", options.arguments[0]), error));
  if (error != 0) return fail_errno(error, "starting {}", options.arguments[0]);
  return Child(pid);
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    Child ended(std::move(*this));
    pid_ = std::exchange(other.pid_, -1);
  }
  return *this;
}

Child::~Child() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Child::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

Result<ChildEnd> Child::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0)
    if (errno != EINTR) return fail_errno(errno, "waiting for process {}", pid_);
  pid_ = -1;
  return end_of(status);
}

Result<std::optional<ChildEnd>> Child::poll() {
  int status = 0;
  pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended < 0) return fail_errno(errno, "looking after process {}", pid_);
  if (ended == 0) return std::nullopt;
  pid_ = -1;
  return end_of(status);
}

Error replace_process(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& extra_environment) {
  const std::vector<std::string> environment = environment_with(extra_environment);
  ::execvpe(arguments.at(0).c_str(), pointers(arguments).data(), pointers(environment).data());
  return {ErrorCode::environment, fmt::format("starting {}: {}", arguments[0], errno_text(errno)), errno};
}

Result<Output> run(const std::vector<std::string>& arguments, const std::string& input, std::optional<Nanoseconds> limit,
                   const std::map<std::string, std::string>& extra_environment) {
  auto in = make_pipe(), out = make_pipe(), err = make_pipe();
  for (const auto* made : {&in, &out, &err})
    if (!*made) return pass(made->error());
  auto child = Child::start({.arguments = arguments,
                             .extra_environment = extra_environment,
                             .in = in->reader.ref(),
                             .out = out->writer.ref(),
                             .err = err->writer.ref()});
  if (!child) return pass(child.error());
  in->reader.reset();
  out->writer.reset();
  err->writer.reset();
  Output output;
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  std::optional<Clock::time_point> deadline;
  if (limit) deadline = Clock::now() + *limit;
  const bool in_time = pump(in->writer, input, out->reader, err->reader, output, deadline);
  ::sigaction(SIGPIPE, &before, nullptr);
  if (!in_time) {
    child->signal(SIGKILL);
    if (auto killed = child->wait(); !killed) return pass(killed.error());
    return pass(Error(ErrorCode::environment,
                      fmt::format("{} did not end within {}, so it was killed", arguments[0], to_text(*limit)), ETIMEDOUT));
  }
  auto end = child->wait();
  if (!end) return pass(end.error());
  output.exit_code = end->exit_code;
  return output;
}

}  // namespace weir::kernel
