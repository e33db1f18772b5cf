// SPDX-License-Identifier: Apache-2.0
// Log files: shared, reopened, full, failing.
#include "proxy/access_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <doctest/doctest.h>

#include "base/unique_fd.h"

using namespace weir;
using namespace weir::proxy;
namespace fs = std::filesystem;

namespace {

/// A directory that goes with the test.
class TempDir {
 public:
  TempDir() {
    std::string name = (fs::temp_directory_path() / "weir-log-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempDir() { fs::remove_all(path_); }
  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Waits for a condition, at most ten seconds.
template <class Condition>
bool eventually(Condition&& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

AccessLog compiled(const std::vector<routing::AccessLogSpec>& specs, LogFiles& files) {
  auto log = AccessLog::compile(specs, files);
  REQUIRE_MESSAGE(log.has_value(), (log ? "" : log.error().to_text()));
  return std::move(*log);
}

void write_line(const AccessLog& log, LogBuffers& buffers, std::string_view method, bool no_route = false) {
  StreamInfo info;
  info.method = method;
  if (no_route) info.flags.add(ResponseFlag::no_route);
  log.log(buffers, {info, nullptr, nullptr, nullptr});
}

}  // namespace

TEST_CASE("a line is in the file after a flush") {
  TempDir dir;
  LogFiles files(nullptr);
  LogBuffers buffers;
  AccessLog log = compiled({{dir.file("a"), "%REQ(:METHOD)%\n", "", false}}, files);
  write_line(log, buffers, "GET");
  CHECK(read(dir.file("a")) == "");
  buffers.flush();
  CHECK(eventually([&] { return read(dir.file("a")) == "GET\n"; }));
  CHECK(files.counters().lines == 1);
}

TEST_CASE("a full buffer is handed over without a flush") {
  TempDir dir;
  LogFiles files(nullptr);
  LogBuffers buffers;
  AccessLog log = compiled({{dir.file("a"), "%REQ(:METHOD)%\n", "", false}}, files);
  std::string method(1000, 'x');
  for (int i = 0; i < 20; ++i) write_line(log, buffers, method);
  CHECK(eventually([&] { return fs::file_size(dir.file("a")) >= 16 * 1024; }));
}

TEST_CASE("a format without a newline still makes lines") {
  TempDir dir;
  LogFiles files(nullptr);
  LogBuffers buffers;
  AccessLog log = compiled({{dir.file("a"), "%REQ(:METHOD)%", "", false}}, files);
  write_line(log, buffers, "A");
  write_line(log, buffers, "B");
  buffers.flush();
  CHECK(eventually([&] { return read(dir.file("a")) == "A\nB\n"; }));
}

TEST_CASE("a log may have several files, and one for requests without a route only") {
  TempDir dir;
  LogFiles files(nullptr);
  LogBuffers buffers;
  AccessLog log =
      compiled({{dir.file("a"), "%REQ(:METHOD)%\n", "", false}, {dir.file("b"), "", R"({"m":"%REQ(:METHOD)%"})", true}}, files);
  write_line(log, buffers, "A");
  write_line(log, buffers, "B", true);
  buffers.flush();
  CHECK(eventually([&] { return read(dir.file("a")) == "A\nB\n" && read(dir.file("b")) == "{\"m\":\"B\"}\n"; }));
}

TEST_CASE("what is buffered when everything ends is written") {
  TempDir dir;
  {
    LogFiles files(nullptr);
    LogBuffers buffers;
    write_line(compiled({{dir.file("a"), "%REQ(:METHOD)%\n", "", false}}, files), buffers, "LAST");
  }
  CHECK(read(dir.file("a")) == "LAST\n");
}

TEST_CASE("workers share a file: every line is whole, none is lost") {
  TempDir dir;
  constexpr int kThreads = 4, kLines = 5000;
  {
    LogFiles files(nullptr);
    AccessLog log = compiled({{dir.file("a"), "%REQ(:METHOD)%\n", "", false}}, files);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&log, t] {
        LogBuffers buffers;
        std::string method = std::string(static_cast<std::size_t>(20 + t * 7), static_cast<char>('a' + t));
        for (int i = 0; i < kLines; ++i) write_line(log, buffers, method);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::istringstream lines(read(dir.file("a")));
  std::string line;
  int counts[kThreads] = {}, broken = 0;
  while (std::getline(lines, line)) {
    std::size_t t = line.empty() ? 99 : static_cast<std::size_t>(line[0] - 'a');
    bool is_whole = t < kThreads && line == std::string(20 + t * 7, static_cast<char>('a' + t));
    if (is_whole) ++counts[t];
    if (!is_whole) ++broken;
  }
  CHECK(broken == 0);
  for (int count : counts) CHECK(count == kLines);
}

TEST_CASE("after a rotation, reopen makes the path anew") {
  TempDir dir;
  LogFiles files(nullptr);
  LogBuffers buffers;
  AccessLog log = compiled({{dir.file("a"), "%REQ(:METHOD)%\n", "", false}}, files);
  write_line(log, buffers, "OLD");
  buffers.flush();
  REQUIRE(eventually([&] { return read(dir.file("a")) == "OLD\n"; }));
  fs::rename(dir.file("a"), dir.file("a.1"));
  files.reopen();
  REQUIRE(eventually([&] { return fs::exists(dir.file("a")); }));
  write_line(log, buffers, "NEW");
  buffers.flush();
  CHECK(eventually([&] { return read(dir.file("a")) == "NEW\n"; }));
  CHECK(read(dir.file("a.1")) == "OLD\n");
}

TEST_CASE("a path that cannot be opened, or a bad format, is an error that names it") {
  TempDir dir;
  LogFiles files(nullptr);
  auto log = AccessLog::compile({{dir.file("no/such/dir"), "%FOO%", "", false}}, files);
  REQUIRE(!log.has_value());
  std::string path = dir.file("no/such/dir");
  CHECK(log.error().to_text() == fmt::format("access log {0}: operator %FOO% at position 1 is not known\n"
                                             "access log {0}: access log {0}: No such file or directory",
                                             path));
}

TEST_CASE("a failing write is counted and reported once, and the worker goes on") {
  std::atomic<int> reports{0};
  LogFiles files([&](const Error& error) {
    ++reports;
    CHECK(error.sys_errno() == ENOSPC);
  });
  LogBuffers buffers;
  AccessLog log = compiled({{"/dev/full", "%REQ(:METHOD)%\n", "", false}}, files);
  for (int i = 1; i <= 3; ++i) {
    write_line(log, buffers, "GET");
    buffers.flush();
    REQUIRE(eventually([&] { return files.counters().dropped == static_cast<std::uint64_t>(i); }));
  }
  CHECK(reports == 1);
  CHECK(files.counters().failed_writes == 3);
}

TEST_CASE("a pipe that nobody reads blocks no worker: lines beyond the bound are dropped and counted; the rest comes whole") {
  TempDir dir;
  std::string path = dir.file("fifo");
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  UniqueFd reader(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  REQUIRE(reader);
  LogFiles files(nullptr);
  LogBuffers buffers;
  AccessLog log = compiled({{path, "%REQ(:METHOD)%\n", "", false}}, files);
  std::string method(999, 'y');
  std::uint64_t sent = 0;
  while (files.counters().dropped == 0 && sent < 20'000) {
    write_line(log, buffers, method);
    ++sent;
  }
  REQUIRE(files.counters().dropped > 0);
  buffers.flush();
  std::string got;
  char block[65536];
  CHECK(eventually([&] {
    for (ssize_t n; (n = read(reader.get(), block, sizeof block)) > 0;) got.append(block, static_cast<std::size_t>(n));
    return got.size() / 1000 + files.counters().dropped == sent;
  }));
  CHECK(got.size() % 1000 == 0);
  bool all_whole = true;
  for (std::size_t at = 0; at < got.size(); at += 1000) all_whole &= got.compare(at, 1000, method + "\n") == 0;
  CHECK(all_whole);
}

TEST_CASE("a table has the log of each chain and listener; equal ones are one") {
  TempDir dir;
  LogFiles files(nullptr);
  auto listener = std::make_shared<routing::Listener>();
  listener->name = "l";
  std::vector<routing::AccessLogSpec> specs{{dir.file("a"), "%PROTOCOL%\n", "", false}};
  routing::FilterChain with, without;
  routing::HttpManager http;
  http.access_logs = specs;
  with.manager = http;
  without.manager = routing::TcpManager{};
  listener->chains.push_back(with);
  listener->chains.push_back(without);
  listener->default_chain = with;
  listener->access_logs = {{dir.file("b"), "", "", true}};
  routing::ListenerTable listeners({listener});
  auto table = AccessLogTable::compile(listeners, files);
  REQUIRE(table.has_value());
  const AccessLog* first = (*table)->find(std::get<routing::HttpManager>(listener->chains[0].manager).access_logs);
  CHECK(first != nullptr);
  CHECK((*table)->find(std::get<routing::HttpManager>(listener->default_chain->manager).access_logs) == first);
  CHECK((*table)->find(std::get<routing::TcpManager>(listener->chains[1].manager).access_logs) == nullptr);
  CHECK((*table)->find(listener->access_logs) != first);
  CHECK((*table)->find(specs) == nullptr);  // not of that table
}

TEST_CASE("a table's errors name the listener, equal specifications once") {
  LogFiles files(nullptr);
  auto make = [](const char* name) {
    auto listener = std::make_shared<routing::Listener>();
    listener->name = name;
    listener->access_logs = {{"/dev/null", "%FOO%", "", false}};
    return listener;
  };
  auto table = AccessLogTable::compile(routing::ListenerTable({make("l"), make("m")}), files);
  REQUIRE(!table.has_value());
  CHECK(table.error().to_text() == "Listener \"l\": access log /dev/null: operator %FOO% at position 1 is not known");
}
