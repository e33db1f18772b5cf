// SPDX-License-Identifier: Apache-2.0
// Child processes: the only room that starts any.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/duration.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace weir::kernel {

struct ChildOptions {
  std::vector<std::string> arguments;                    ///< arguments[0] is the program, looked up in PATH if without slash
  std::map<std::string, std::string> extra_environment;  ///< added to, or replacing, what the parent has
  FdRef in, out, err;                                    ///< what becomes 0, 1, 2; none: inherited
};

/// How a child ended.
struct ChildEnd {
  int exit_code = 0;  ///< 128 + signal if killed
  bool ok() const { return exit_code == 0; }
};

/// One child process; destroying it kills (SIGKILL) and reaps a child that still runs. Move-only.
class Child {
 public:
  /// posix_spawn(3). Errors (environment) name the program.
  static Result<Child> start(const ChildOptions& options);
  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  /// Waits until it ends.
  Result<ChildEnd> wait();
  /// nullopt: still running.
  Result<std::optional<ChildEnd>> poll();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
};

struct Output {
  int exit_code = 0;
  std::string out, err;
};

/// Runs a program to its end, feeding `input`, collecting what it prints (at most 16 MiB each). With a `limit`, a program that
/// runs longer is killed: code environment, errno ETIMEDOUT.
Result<Output> run(const std::vector<std::string>& arguments, const std::string& input = {},
                   std::optional<Nanoseconds> limit = std::nullopt,
                   const std::map<std::string, std::string>& extra_environment = {});

/// Becomes another program in this process (exec); returns only if that fails.
Error replace_process(const std::vector<std::string>& arguments,
                      const std::map<std::string, std::string>& extra_environment = {});

}  // namespace weir::kernel
