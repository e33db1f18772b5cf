// SPDX-License-Identifier: Apache-2.0
// The directory that rules come from: read, watched (inotify), coalesced. The only place that touches inotify.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "io/executor.h"

namespace weir::agent {

/// What stands in the directory now: file name as shown in problems → text, or why it could not be read.
using RuleTexts = std::map<std::string, Result<std::string>>;

/// *.yaml, *.yml and *.json; hidden files and editors' copies (".x.swp", "x~", "#x#") are not rules.
bool is_rule_file(std::string_view name);

/// Reads every rule file of `directory`, symbolic links followed (a mounted ConfigMap), not recursive. Names are
/// `directory` + "/" + file. Files over 8 MiB are reported, not read. Errors (environment): no such directory, no permission.
Result<RuleTexts> read_directory(const std::string& directory);
/// One file, at most 8 MiB.
Result<std::string> read_rule_file(const std::string& path);

/// Tells when the directory or one of the single files may have changed. Events within `coalesce` of each other are one change,
/// which is told after five times that at the latest. If the directory goes away, looks for its return once a second. Executor's
/// thread.
class RuleWatch final : private io::ReadyHandler {
 public:
  static Result<std::unique_ptr<RuleWatch>> create(io::Executor& executor, std::string directory, std::vector<std::string> files,
                                                   std::chrono::milliseconds coalesce, std::function<void()> on_change);
  ~RuleWatch();

  /// Looks for events that nobody has told of yet; true if something changed (on_change will come). Ask after reading: what was
  /// read may then be half old, half new.
  bool catch_up();
  /// Names of rule files in the directory that somebody has opened for writing and not closed: what they hold is half a file.
  /// Left out after a second.
  std::set<std::string> unfinished() const { return unfinished_; }

 private:
  RuleWatch(io::Executor& executor, std::string directory, std::vector<std::string> files, std::chrono::milliseconds coalesce,
            std::function<void()> on_change, UniqueFd inotify);
  void on_readable() override;
  void on_writable() override {}
  void add_watches();
  bool read_events();
  bool matters(std::uint32_t mask, const std::string& name);
  void settle();

  std::string directory_;
  std::vector<std::string> files_;
  std::chrono::milliseconds coalesce_;
  std::function<void()> on_change_;
  UniqueFd inotify_;
  io::Watch watch_;
  io::Timer settle_;
  io::TimePoint settle_limit_;
  std::set<std::string> unfinished_;
  io::Timer patience_;
  io::Timer retry_;
  int directory_watch_ = -1;
  std::map<int, std::vector<std::string>> file_watches_;  // watched parent directory → names of interest in it
};

}  // namespace weir::agent
