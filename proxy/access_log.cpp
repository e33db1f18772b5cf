// SPDX-License-Identifier: Apache-2.0
#include "proxy/access_log.h"

#include <algorithm>
#include <utility>

#include "proxy/log_file.h"

namespace weir::proxy {

namespace {

constexpr std::size_t kFlushAt = 16 * 1024;

Result<Format> compile_format(const routing::AccessLogSpec& spec) {
  if (!spec.json.empty()) return Format::json(spec.json);
  return Format::text(spec.text.empty() ? kDefaultTextFormat : std::string_view(spec.text));
}

}  // namespace

struct LogBuffers::Buffer {
  std::shared_ptr<LogFile> file;
  std::string text;
  std::uint64_t lines = 0;

  void flush() {
    if (lines == 0) return;
    file->push(text, lines);
    text.clear();
    lines = 0;
  }
};

LogBuffers::LogBuffers() = default;
LogBuffers::~LogBuffers() { flush(); }

void LogBuffers::flush() {
  for (Buffer& buffer : buffers_) buffer.flush();
}

struct AccessLog::Entry {
  std::shared_ptr<const Format> format;
  std::shared_ptr<LogFile> file;
  bool only_no_route = false;
};

AccessLog::AccessLog() = default;
AccessLog::AccessLog(AccessLog&&) noexcept = default;
AccessLog& AccessLog::operator=(AccessLog&&) noexcept = default;
AccessLog::~AccessLog() = default;

Result<AccessLog> AccessLog::compile(const std::vector<routing::AccessLogSpec>& specs, LogFiles& files) {
  AccessLog log;
  std::string problems;
  auto add = [&](const routing::AccessLogSpec& spec, const Error& error) {
    if (!problems.empty()) problems += '\n';
    problems += fmt::format("access log {}: {}", spec.path, error.to_text());
  };
  for (const routing::AccessLogSpec& spec : specs) {
    auto format = compile_format(spec);
    if (!format) add(spec, format.error());
    auto file = files.open(spec.path);
    if (!file) add(spec, file.error());
    if (format && file) log.entries_.push_back({std::make_shared<const Format>(std::move(*format)), *file, spec.only_no_route});
  }
  if (!problems.empty()) return fail(ErrorCode::usage, "{}", problems);
  return log;
}

void AccessLog::log(LogBuffers& buffers, const FormatInput& input) const {
  for (const Entry& entry : entries_) {
    if (entry.only_no_route && !input.info.flags.has(ResponseFlag::no_route)) continue;
    auto& list = buffers.buffers_;
    auto buffer = std::find_if(list.begin(), list.end(), [&](const auto& candidate) { return candidate.file == entry.file; });
    if (buffer == list.end()) buffer = list.insert(list.end(), {entry.file, {}, 0});
    entry.format->append(buffer->text, input, buffers.time_);
    if (buffer->text.empty() || buffer->text.back() != '\n') buffer->text += '\n';  // a record is a line, always
    ++buffer->lines;
    if (buffer->text.size() >= kFlushAt) buffer->flush();
  }
}

namespace {

/// Compiles each different list of specifications once.
class TableCompiler {
 public:
  explicit TableCompiler(LogFiles& files) : files_(files) {}

  /// Null if there is nothing to log or it does not compile.
  std::shared_ptr<const AccessLog> compile(const std::vector<routing::AccessLogSpec>& specs, const std::string& listener) {
    if (specs.empty()) return nullptr;
    for (const auto& [known, log] : done_) {
      if (*known == specs) return log;
    }
    auto log = AccessLog::compile(specs, files_);
    if (!log) problems_ += fmt::format("{}Listener \"{}\": {}", problems_.empty() ? "" : "\n", listener, log.error().message());
    done_.emplace_back(&specs, log ? std::make_shared<const AccessLog>(std::move(*log)) : nullptr);
    return done_.back().second;
  }
  const std::string& problems() const { return problems_; }

 private:
  LogFiles& files_;
  std::vector<std::pair<const std::vector<routing::AccessLogSpec>*, std::shared_ptr<const AccessLog>>> done_;
  std::string problems_;
};

const std::vector<routing::AccessLogSpec>& specs_of(const routing::FilterChain& chain) {
  return std::visit(
      [](const auto& manager) -> const auto& { return manager.access_logs; }, chain.manager);
}

}  // namespace

Result<std::shared_ptr<const AccessLogTable>> AccessLogTable::compile(const routing::ListenerTable& listeners, LogFiles& files) {
  auto table = std::make_shared<AccessLogTable>();
  TableCompiler compiler(files);
  for (const auto& listener : listeners.all()) {
    auto add = [&](const std::vector<routing::AccessLogSpec>& specs) {
      if (auto log = compiler.compile(specs, listener->name)) table->logs_.emplace(&specs, std::move(log));
    };
    add(listener->access_logs);
    for (const routing::FilterChain& chain : listener->chains) add(specs_of(chain));
    if (listener->default_chain) add(specs_of(*listener->default_chain));
  }
  if (!compiler.problems().empty()) return fail(ErrorCode::usage, "{}", compiler.problems());
  return std::shared_ptr<const AccessLogTable>(std::move(table));
}

const AccessLog* AccessLogTable::find(const std::vector<routing::AccessLogSpec>& specs) const {
  auto it = logs_.find(&specs);
  return it == logs_.end() ? nullptr : it->second.get();
}

}  // namespace weir::proxy
