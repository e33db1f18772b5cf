// SPDX-License-Identifier: Apache-2.0
// Access logs: compiled specifications, a buffer per worker, and one thread that alone waits for disks and pipes.
//
// Invariants: (1) a worker never blocks on a log: it hands whole lines over, and if the writer is behind by more than a bound,
// lines are dropped and counted. (2) Each write(2) holds whole lines (O_APPEND; at most PIPE_BUF into a pipe), so that workers
// and processes may share a file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/format.h"
#include "routing/listener_table.h"

namespace weir::proxy {

class LogFile;  // one open path

/// All log files of the process and the thread that writes them.
class LogFiles {
 public:
  struct Counters {
    std::uint64_t lines = 0;    ///< taken from workers
    std::uint64_t written = 0;  ///< bytes
    std::uint64_t dropped = 0;  ///< lines lost: writer too far behind, or the write failed
    std::uint64_t failed_writes = 0;
  };

  /// `on_failure` is told of the first failure of a file, and again only after it has worked in between; called on the writer's
  /// thread.
  explicit LogFiles(std::function<void(const Error&)> on_failure);
  /// Writes what is there (for at most a second) and ends the thread.
  ~LogFiles();
  LogFiles(const LogFiles&) = delete;
  LogFiles& operator=(const LogFiles&) = delete;

  /// The file of that path; the same one for the same path. "/dev/stdout" and "/dev/stderr" are the process's own descriptors.
  /// Files are created with mode 0644. Any thread.
  Result<std::shared_ptr<LogFile>> open(const std::string& path);
  /// Closes and opens every path anew, before the next write (after a rotation). Any thread.
  void reopen();
  Counters counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A worker's side: one per thread, used only by it.
class LogBuffers {
 public:
  LogBuffers();
  ~LogBuffers();  ///< flushes
  LogBuffers(const LogBuffers&) = delete;
  LogBuffers& operator=(const LogBuffers&) = delete;
  /// Hands everything over to the writer. Call it once a second from a timer; a full buffer (16 KiB) is handed over by itself.
  void flush();

 private:
  friend class AccessLog;
  struct Buffer;
  std::vector<Buffer> buffers_;
  TimeCache time_;
};

/// The loggers of one filter chain or listener. Immutable, shared between threads.
class AccessLog {
 public:
  /// All problems at once; a format's error names the operator and its place.
  static Result<AccessLog> compile(const std::vector<routing::AccessLogSpec>& specs, LogFiles& files);

  AccessLog(AccessLog&&) noexcept;
  AccessLog& operator=(AccessLog&&) noexcept;
  ~AccessLog();

  bool empty() const { return entries_.empty(); }
  /// One line to each of the logs whose filter lets it through. No allocation in the steady state.
  void log(LogBuffers& buffers, const FormatInput& input) const;

 private:
  struct Entry;
  AccessLog();
  std::vector<Entry> entries_;
};

/// The access logs of a whole listener table, equal specifications shared. Immutable.
class AccessLogTable {
 public:
  /// All problems at once, each with its listener's name.
  static Result<std::shared_ptr<const AccessLogTable>> compile(const routing::ListenerTable& listeners, LogFiles& files);
  /// `specs` is the member of an HttpManager, TcpManager or Listener of that table. Null if it logs nothing.
  const AccessLog* find(const std::vector<routing::AccessLogSpec>& specs) const;

 private:
  std::map<const void*, std::shared_ptr<const AccessLog>> logs_;
};

}  // namespace weir::proxy
