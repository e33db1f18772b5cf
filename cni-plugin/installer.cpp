// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/installer.h"

#include <algorithm>
#include <csignal>
#include <cstdio>

namespace weir::cni {

namespace {

constexpr Nanoseconds kLook = std::chrono::seconds(1), kLookWhenFought = std::chrono::seconds(5);
/// So many changes of others, one after the other, are no accident.
constexpr int kFought = 5;
/// Looks without a change after which a fight is over.
constexpr int kPeace = 12;

/// Tells a line when it is another than the last.
class Teller {
 public:
  explicit Teller(const std::function<void(const std::string&)>& tell) : tell_(tell) {}
  void operator()(const std::string& line) {
    if (line == last_) return;
    last_ = line;
    if (!line.empty()) tell_(line);
  }

 private:
  const std::function<void(const std::string&)>& tell_;
  std::string last_;
};

/// Whether others undo our work.
class Fight {
 public:
  /// After each look: did it have to put something right? True once, when it becomes a fight.
  bool note(bool changed) {
    quiet_ = changed ? 0 : quiet_ + 1;
    if (changed) ++changes_;
    if (quiet_ >= kPeace) changes_ = 0;
    return changed && changes_ == kFought;
  }
  bool is_on() const { return changes_ >= kFought; }

 private:
  int changes_ = 0, quiet_ = 0;
};

std::string what_to_do(const Place& place) {
  return fmt::format(
      "somebody writes over {} again and again: let its owner keep other plugins (Cilium: cni.exclusive=false), name a file that "
      "is yours (--cni-conf-name), or use --drop-in",
      place.net_dir);
}

/// nullopt: told to end before it was free.
Result<std::optional<UniqueFd>> take_node(const InstallerWorld& world, const Place& place) {
  Teller tell(world.tell);
  for (;;) {
    auto lock = world.lock(place.bin_dir);
    if (!lock) return weir::pass(lock.error());
    if (*lock) return lock;
    tell("another weir-cni install keeps this node; waiting for its end");
    if (world.wait(kLook)) return std::nullopt;
  }
}

}  // namespace

Result<> keep_installed(const InstallerWorld& world, const Place& place, std::string_view binary, std::string_view entry) {
  const auto node = take_node(world, place);
  if (!node) return weir::pass(node.error());
  if (!*node) return {};
  Teller tell_error(world.tell), tell_waiting(world.tell);
  std::vector<std::string> notes;
  Fight fight;
  std::string seen;
  bool is_first = true;
  for (;;) {
    const auto net = world.state(place.net_dir), bin = world.state(place.bin_dir);
    const std::string now = net && bin ? *net + "\n" + *bin : "";
    if (now.empty() || now != seen) {
      auto done = install(world.files, place, binary, entry);
      tell_error(done ? "" : done.error().to_text());
      if (done) {
        for (const std::string& line : done->done) world.tell(line);
        tell_waiting(done->waiting.empty() ? "" : "waiting for " + done->waiting);
        for (const std::string& note : done->notes)
          if (std::find(notes.begin(), notes.end(), note) == notes.end()) world.tell("passed over " + note);
        notes = done->notes;
        if (is_first && done->is_whole()) world.tell("all is in place already");
        is_first = false;
        if (fight.note(!done->done.empty())) world.tell(what_to_do(place));
      }
      // What we changed ourselves is looked at once more: it costs little, and nothing that came between is missed.
      seen = done && done->done.empty() ? now : "";
    } else {
      fight.note(false);
    }
    if (world.wait(fight.is_on() ? kLookWhenFought : kLook)) return {};
  }
}

Result<Pass> uninstall_alone(const InstallerWorld& world, const Place& place) {
  auto lock = world.lock(place.bin_dir);
  if (!lock && lock.error().sys_errno() != ENOENT) return weir::pass(lock.error());
  if (lock && !*lock)
    return fail(ErrorCode::environment, "a weir-cni install keeps this node and would put all back; end it first");
  return uninstall(world.files, place);
}

InstallerWorld installer_world() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  InstallerWorld world;
  world.wait = [signals](Nanoseconds time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    const timespec limit{.tv_sec = seconds.count(), .tv_nsec = (time - seconds).count()};
    return ::sigtimedwait(&signals, nullptr, &limit) > 0;
  };
  world.tell = [](const std::string& line) { std::fprintf(stderr, "weir-cni: %s\n", line.c_str()); };
  return world;
}

}  // namespace weir::cni
