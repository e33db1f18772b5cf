// SPDX-License-Identifier: Apache-2.0
#include "agent/rule_source.h"

#include <algorithm>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

namespace weir::agent {

namespace {

constexpr std::size_t kMaxFileBytes = 8U * 1024 * 1024;
constexpr auto kPatience = std::chrono::seconds(1);  // with a writer that does not close its file
constexpr int kLongestBurst = 5;                     // times `coalesce`
constexpr std::uint32_t kInteresting = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB;

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string parent_of(const std::string& path) {
  std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

bool is_rule_file(std::string_view name) {
  if (name.empty() || name.front() == '.' || name.front() == '#' || name.back() == '~') return false;
  return ends_with(name, ".yaml") || ends_with(name, ".yml") || ends_with(name, ".json");
}

Result<std::string> read_rule_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return fail_errno(errno, "cannot read {}", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(errno, "cannot read {}", path);
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::usage, "{} is not a regular file", path);
  std::string text;
  char buffer[65536];
  for (;;) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "cannot read {}", path);
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > kMaxFileBytes)
      return fail(ErrorCode::usage, "{} is larger than {} MiB; split it into several files", path, kMaxFileBytes >> 20U);
  }
}

Result<RuleTexts> read_directory(const std::string& directory) {
  struct Closer {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  std::unique_ptr<DIR, Closer> dir(::opendir(directory.c_str()));
  if (!dir) {
    int error = errno;
    return pass(Error(ErrorCode::environment,
                      fmt::format("cannot read the rules directory {}: {}; --rules must name an existing directory", directory,
                                  errno_text(error)),
                      error));
  }
  RuleTexts texts;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (!is_rule_file(entry->d_name)) continue;
    std::string path = directory + "/" + entry->d_name;
    auto text = read_rule_file(path);
    // Deleted between listing and reading: it is not there any more, which is no mistake of anybody.
    if (!text && text.error().sys_errno() == ENOENT) {
      struct stat link {};
      if (::lstat(path.c_str(), &link) != 0) continue;
    }
    texts.emplace(path, std::move(text));
  }
  return texts;
}

Result<std::unique_ptr<RuleWatch>> RuleWatch::create(io::Executor& executor, std::string directory,
                                                     std::vector<std::string> files, std::chrono::milliseconds coalesce,
                                                     std::function<void()> on_change) {
  UniqueFd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) return fail_errno(errno, "cannot watch {} (see /proc/sys/fs/inotify/max_user_instances)", directory);
  return std::unique_ptr<RuleWatch>(
      new RuleWatch(executor, std::move(directory), std::move(files), coalesce, std::move(on_change), std::move(inotify)));
}

RuleWatch::RuleWatch(io::Executor& executor, std::string directory, std::vector<std::string> files,
                     std::chrono::milliseconds coalesce, std::function<void()> on_change, UniqueFd inotify)
    : directory_(std::move(directory)),
      files_(std::move(files)),
      coalesce_(coalesce),
      on_change_(std::move(on_change)),
      inotify_(std::move(inotify)),
      watch_(executor, inotify_.ref(), *this),
      settle_(executor, [this] { on_change_(); }),
      patience_(executor,
                [this] {
                  unfinished_.clear();
                  on_change_();
                }),
      retry_(executor, [this] {
        add_watches();
        if (directory_watch_ >= 0) on_change_();
      }) {
  add_watches();
  watch_.want_read();
}

RuleWatch::~RuleWatch() = default;

void RuleWatch::add_watches() {
  directory_watch_ = ::inotify_add_watch(inotify_.get(), directory_.c_str(),
                                         kInteresting | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
  file_watches_.clear();
  for (const std::string& file : files_) {
    int parent = ::inotify_add_watch(inotify_.get(), parent_of(file).c_str(), kInteresting | IN_MASK_ADD | IN_ONLYDIR);
    if (parent >= 0) file_watches_[parent].push_back(name_of(file));
  }
  if (directory_watch_ < 0) retry_.expires_after(std::chrono::seconds(1));
}

void RuleWatch::on_readable() {
  if (read_events()) settle();
  watch_.want_read();
}

bool RuleWatch::catch_up() {
  bool changed = read_events();
  if (changed) settle();
  return changed;
}

/// Waits until it has been quiet, but not for ever.
void RuleWatch::settle() {
  auto now = io::Clock::now();
  if (!settle_.armed()) settle_limit_ = now + coalesce_ * kLongestBurst;
  settle_.expires_after(std::clamp<io::Duration>(settle_limit_ - now, io::Duration(0), coalesce_));
}

/// Does this event of a rule file mean that there is something new to read?
bool RuleWatch::matters(std::uint32_t mask, const std::string& name) {
  bool writing = (mask & IN_MODIFY) != 0;
  if ((mask & IN_CREATE) != 0) {
    // A new file is about to be written, a link is not.
    struct stat info {};
    writing = ::lstat((directory_ + "/" + name).c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 1;
  }
  if (!writing) {
    if ((mask & IN_ATTRIB) == 0) unfinished_.erase(name);
    return true;
  }
  unfinished_.insert(name);
  if (!patience_.armed()) patience_.expires_after(kPatience);
  return false;
}

bool RuleWatch::read_events() {
  alignas(inotify_event) char buffer[16384];
  bool changed = false;
  bool lost = false;
  for (;;) {
    ssize_t n = ::read(inotify_.get(), buffer, sizeof buffer);
    if (n <= 0) break;
    for (const char* at = buffer; at < buffer + n;) {
      inotify_event event{};
      std::memcpy(&event, at, sizeof event);
      std::string name = event.len > 0 ? at + sizeof event : "";
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        unfinished_.clear();
        changed = true;
      }
      if (event.wd == directory_watch_) {
        if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0) lost = true;
        // A ConfigMap volume changes by renaming its hidden "..data" link.
        if (name == "..data" || (is_rule_file(name) && matters(event.mask, name))) changed = true;
      }
      if (auto it = file_watches_.find(event.wd); it != file_watches_.end() && (event.mask & IN_MODIFY) == 0)
        changed = changed || name == "..data" || std::find(it->second.begin(), it->second.end(), name) != it->second.end();
    }
  }
  if (unfinished_.empty()) patience_.cancel();
  if (lost) {
    directory_watch_ = -1;
    unfinished_.clear();
    changed = true;
    retry_.expires_after(std::chrono::seconds(1));
  }
  return changed;
}

}  // namespace weir::agent
