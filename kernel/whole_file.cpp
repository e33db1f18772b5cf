// SPDX-License-Identifier: Apache-2.0
#include "kernel/whole_file.h"

#include <algorithm>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scope_exit.h"

namespace weir::kernel {

namespace {

constexpr std::size_t kMaxFile = 64U << 20;

constexpr std::string_view kBegin = ".weir-", kEnd = ".new";

std::string temporary_of(const std::string& path) {
  const std::size_t slash = path.rfind('/') + 1;  // npos + 1 is 0
  return path.substr(0, slash) + std::string(kBegin) + path.substr(slash) + std::string(kEnd);
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

/// The rename itself must outlive a crash too.
Result<> sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(errno, "fsync {}", directory);
  return {};
}

}  // namespace

Result<std::optional<WholeFile>> read_whole(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == ENOENT) return std::nullopt;
  if (!fd) return fail_errno(errno, "opening {}", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail_errno(errno, "stat {}", path);
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::environment, "{} is no regular file", path);
  WholeFile file{.bytes = {}, .mode = info.st_mode & 07777};
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(errno, "reading {}", path);
    if (got == 0) return file;
    file.bytes.append(buffer, static_cast<std::size_t>(got));
    if (file.bytes.size() > kMaxFile) return fail(ErrorCode::environment, "{} has more than {} bytes", path, kMaxFile);
  }
}

Result<> replace_whole(const std::string& path, std::string_view bytes, mode_t mode) {
  const std::string temporary = temporary_of(path);
  ::unlink(temporary.c_str());  // with its owner and mode
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_errno(errno, "making {}", temporary);
  ScopeExit remove([&] { ::unlink(temporary.c_str()); });
  if (auto written = write_all(fd.ref(), bytes, temporary); !written) return written;
  if (::fchmod(fd.get(), mode) != 0) return fail_errno(errno, "chmod {}", temporary);
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "fsync {}", temporary);
  fd = UniqueFd();  // a file that is open for writing cannot be executed
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(errno, "renaming {} to {}", temporary, path);
  remove.release();
  return sync_directory_of(path);
}

Result<bool> remove_whole(const std::string& path) {
  if (::unlink(path.c_str()) == 0) return true;
  if (errno == ENOENT || errno == ENOTDIR) return false;
  return fail_errno(errno, "removing {}", path);
}

Result<std::optional<std::vector<std::string>>> list_directory(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory && errno == ENOENT) return std::nullopt;
  if (!directory) return fail_errno(errno, "reading the directory {}", path);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return fail_errno(errno, "reading the directory {}", path);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> directory_state(const std::string& path) {
  auto names = list_directory(path);
  if (!names) return pass(names.error());
  std::string state;
  for (const std::string& name : names->value_or(std::vector<std::string>())) {
    const std::string file = path + "/" + name;
    struct stat info {};
    if (::stat(file.c_str(), &info) != 0) continue;  // it has gone meanwhile
    state += fmt::format("{}/{} {} {} {}.{:09} {}.{:09}\n", file, info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec,
                         info.st_mtim.tv_nsec, info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
    if (!S_ISDIR(info.st_mode)) continue;
    auto below = list_directory(file);
    if (!below) continue;
    for (const std::string& inner : below->value_or(std::vector<std::string>()))
      if (struct stat found{}; ::stat((file + "/" + inner).c_str(), &found) == 0)
        state += fmt::format("{}/{} {} {} {}.{:09}\n", file, inner, found.st_ino, found.st_size, found.st_ctim.tv_sec,
                             found.st_ctim.tv_nsec);
  }
  return state;
}

Result<> remove_temporary(const std::string& directory) {
  auto names = list_directory(directory);
  if (!names) return pass(names.error());
  for (const std::string& name : names->value_or(std::vector<std::string>()))
    if (name.starts_with(kBegin) && name.ends_with(kEnd) && ::unlink((directory + "/" + name).c_str()) != 0 && errno != ENOENT)
      return fail_errno(errno, "removing {}/{}", directory, name);
  return {};
}

Result<> make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return {};
  return fail_errno(errno, "making the directory {}", path);
}

bool remove_empty_directory(const std::string& path) { return ::rmdir(path.c_str()) == 0; }

Result<std::optional<UniqueFd>> try_lock_directory(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "opening the directory {}", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno == EWOULDBLOCK) return std::nullopt;
  return fail_errno(errno, "locking the directory {}", path);
}

}  // namespace weir::kernel
