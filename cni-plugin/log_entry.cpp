// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/log_entry.h"

#include <ctime>
#include <fcntl.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/unique_fd.h"
#include "base/utf8.h"
#include "kernel/datagram.h"

namespace weir::cni {

namespace {

namespace json = boost::json;

constexpr std::string_view kJournal = "/run/systemd/journal/socket";
constexpr std::string_view kSyslog = "/dev/log";

std::string_view name(log::Level level) {
  switch (level) {
    case log::Level::debug: return "debug";
    case log::Level::info: return "info";
    case log::Level::warn: return "warn";
    case log::Level::error: return "error";
  }
  return "info";
}

/// syslog(3)'s severities.
int severity(log::Level level) {
  switch (level) {
    case log::Level::debug: return 7;
    case log::Level::info: return 6;
    case log::Level::warn: return 4;
    case log::Level::error: return 3;
  }
  return 6;
}

std::string time_text(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch());
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(since).count();
  std::tm fields{};
  ::gmtime_r(&seconds, &fields);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &fields);
  return fmt::format("{}.{:03}Z", text, since.count() % 1000);
}

Result<> append(const std::string& path, const std::string& line) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640));
  if (!fd) return fail_errno(errno, "opening the log {}", path);
  const auto put = ::write(fd.get(), line.data(), line.size());  // at once: lines of others do not come between
  if (put < 0) return fail_errno(errno, "writing the log {}", path);
  return {};
}

bool is_socket(std::string_view path) { return ::access(std::string(path).c_str(), W_OK) == 0; }

}  // namespace

std::string to_json(const LogEntry& entry) {
  json::object object;
  const auto put = [&](std::string_view key, const std::string& value) {
    // What the environment holds need not be UTF-8.
    if (!value.empty()) object[json::string_view(key.data(), key.size())] = without_controls(value);
  };
  put("time", time_text(entry.time));
  put("level", std::string(name(entry.level)));
  put("trace", entry.trace);
  put("verb", entry.verb);
  put("outcome", entry.outcome);
  put("reason", entry.reason);
  put("why", entry.why);
  put("network", entry.network);
  put("container", entry.attachment.container);
  put("interface", entry.attachment.interface);
  put("netns", entry.netns);
  put("namespace", entry.pod.name_space);
  put("pod", entry.pod.name);
  put("uid", entry.pod.uid);
  put("backend", entry.backend);
  if (entry.code != 0) object["code"] = entry.code;
  put("msg", entry.message);
  put("details", entry.details);
  if (!entry.notes.empty()) {
    json::array notes;
    for (const std::string& note : entry.notes) notes.emplace_back(without_controls(note));
    object["notes"] = std::move(notes);
  }
  object["ms"] = static_cast<double>(entry.took.count() / 1000) / 1000.0;
  return compact_json(object);
}

Result<> write_log(const LogEntry& entry, const std::string& destination, log::Level least) {
  if (entry.level < least || destination == "none") return {};
  const std::string line = to_json(entry);
  if (destination.starts_with('/')) return append(destination, line + "\n");
  const bool is_auto = destination == "auto";
  if (destination == "journald" || (is_auto && is_socket(kJournal)))
    return kernel::send_datagram(std::string(kJournal),
                                 fmt::format("PRIORITY={}\nSYSLOG_IDENTIFIER=weir-cni\nSYSLOG_PID={}\nMESSAGE={}\n",
                                             severity(entry.level), ::getpid(), line));
  if (destination == "syslog" || (is_auto && is_socket(kSyslog)))
    return kernel::send_datagram(std::string(kSyslog),
                                 fmt::format("<{}>weir-cni[{}]: {}", 3 * 8 + severity(entry.level), ::getpid(), line));
  return {};  // auto, and nobody listens
}

}  // namespace weir::cni
