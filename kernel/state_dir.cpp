// SPDX-License-Identifier: Apache-2.0
#include "kernel/state_dir.h"

#include <algorithm>
#include <cstddef>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope_exit.h"
#include "base/unique_fd.h"

namespace weir::kernel {

namespace {

constexpr std::size_t kMaxFile = 512U << 20;

Result<std::string> read_all(FdRef fd, const std::string& path) {
  std::string bytes;
  char buffer[64 * 1024];
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "reading {}", path);
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(got));
    if (bytes.size() > kMaxFile) return fail(ErrorCode::environment, "{} has more than {} bytes", path, kMaxFile);
  }
}

Result<> write_all(FdRef fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd.get(), bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail_errno(errno, "writing {}", path);
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace

Result<StateDir> StateDir::open(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno(errno, "making the state directory {}", path);
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return fail_errno(errno, "state directory {}", path);
  if (!S_ISDIR(info.st_mode)) return fail(ErrorCode::environment, "state directory {}: is no directory", path);
  if (info.st_uid != ::geteuid())
    return fail(ErrorCode::environment, "state directory {} belongs to uid {}, this program runs as uid {}; chown it", path,
                info.st_uid, ::geteuid());
  if ((info.st_mode & 0077) != 0)
    return fail(ErrorCode::environment, "state directory {} has mode {:04o}, others may enter it; chmod 0700 {}", path,
                info.st_mode & 07777, path);
  return StateDir(std::move(path));
}

Result<std::optional<std::string>> StateDir::load(std::string_view name) const {
  const std::string path = file(name);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd) return fail_errno(errno, "opening {}", path);
  auto bytes = read_all(fd.ref(), path);
  if (!bytes) return pass(bytes.error());
  return std::optional(std::move(*bytes));
}

Result<> StateDir::save(std::string_view name, std::string_view bytes) const {
  const std::string path = file(name);
  const std::string temporary = path + ".new";
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(errno, "making {}", temporary);
  ScopeExit remove([&] { ::unlink(temporary.c_str()); });
  if (auto written = write_all(fd.ref(), bytes, temporary); !written) return written;
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "fsync {}", temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(errno, "renaming {} to {}", temporary, path);
  remove.release();
  return {};
}

Result<bool> StateDir::remove(std::string_view name) const {
  const std::string path = file(name);
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  return fail_errno(errno, "removing {}", path);
}

Result<std::vector<std::string>> StateDir::names() const {
  DIR* directory = ::opendir(path_.c_str());
  if (directory == nullptr) return fail_errno(errno, "reading the state directory {}", path_);
  ScopeExit close([&] { ::closedir(directory); });
  std::vector<std::string> found;
  errno = 0;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") found.push_back(name);
  }
  if (errno != 0) return fail_errno(errno, "reading the state directory {}", path_);
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace weir::kernel
