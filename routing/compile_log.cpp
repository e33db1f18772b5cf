// SPDX-License-Identifier: Apache-2.0
#include <map>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "routing/compile_listener.h"
#include "routing/compile_route.h"
#include "routing/unpack.h"
#include "xds/proto/file_access_log.pb.h"
#include "xds/proto/stream_access_log.pb.h"

namespace weir::routing {

namespace {

namespace core = envoy::config::core::v3;
using envoy::config::accesslog::v3::AccessLog;
using envoy::config::accesslog::v3::AccessLogFilter;
using envoy::extensions::access_loggers::file::v3::FileAccessLog;
using envoy::extensions::access_loggers::stream::v3::StderrAccessLog;
using envoy::extensions::access_loggers::stream::v3::StdoutAccessLog;

void write_json(const google::protobuf::Struct& fields, std::string& out);

void write_json(const google::protobuf::Value& value, std::string& out) {
  using Value = google::protobuf::Value;
  switch (value.kind_case()) {
    case Value::kStringValue: out += json_quote(value.string_value()); break;
    case Value::kNumberValue: out += fmt::format("{}", value.number_value()); break;
    case Value::kBoolValue: out += value.bool_value() ? "true" : "false"; break;
    case Value::kStructValue: write_json(value.struct_value(), out); break;
    case Value::kListValue:
      out += '[';
      for (int i = 0; i < value.list_value().values_size(); ++i) {
        if (i > 0) out += ',';
        write_json(value.list_value().values(i), out);
      }
      out += ']';
      break;
    default: out += "null";
  }
}

/// Members by name: a protobuf map keeps no order of its own.
void write_json(const google::protobuf::Struct& fields, std::string& out) {
  std::map<std::string_view, const google::protobuf::Value*> sorted;
  for (const auto& [name, value] : fields.fields()) sorted.emplace(name, &value);
  out += '{';
  for (const auto& [name, value] : sorted) {
    if (out.back() != '{') out += ',';
    out += json_quote(name) + ':';
    write_json(*value, out);
  }
  out += '}';
}

void compile_format(const core::SubstitutionFormatString& format, const std::string& path, CompileContext& context,
                    AccessLogSpec& spec) {
  switch (format.format_case()) {
    case core::SubstitutionFormatString::kTextFormat: spec.text = format.text_format(); break;
    case core::SubstitutionFormatString::kTextFormatSource:
      spec.text = format.text_format_source().inline_string().empty() ? format.text_format_source().inline_bytes()
                                                                      : format.text_format_source().inline_string();
      break;
    case core::SubstitutionFormatString::kJsonFormat: write_json(format.json_format(), spec.json); return;
    default: context.error(path, "the format is empty", "use text_format_source.inline_string or json_format"); return;
  }
  if (spec.text.empty()) context.error(path, "the format is empty");
}

void compile_filter(const AccessLogFilter& filter, const std::string& path, CompileContext& context, AccessLogSpec& spec) {
  const auto& flags = filter.response_flag_filter().flags();
  if (filter.has_response_flag_filter() && flags.size() == 1 && flags[0] == "NR") {
    spec.only_no_route = true;
  } else {
    context.not_supported("access log filter", path, "only response_flag_filter with NR is implemented; everything is logged");
  }
}

template <class Stream>
void compile_stream(const google::protobuf::Any& any, const char* file, const std::string& path, CompileContext& context,
                    AccessLogSpec& spec) {
  auto config = unpack<Stream>(any, path, context);
  spec.path = file;
  if (config.has_log_format()) compile_format(config.log_format(), path + ".log_format", context, spec);
}

void compile_file(const google::protobuf::Any& any, const std::string& path, CompileContext& context, AccessLogSpec& spec) {
  auto config = unpack<FileAccessLog>(any, path, context);
  spec.path = config.path();
  if (spec.path.empty()) context.error(path + ".path", "the log names no file");
  if (config.has_log_format()) compile_format(config.log_format(), path + ".log_format", context, spec);
  spec.text += config.format();
  if (config.has_json_format()) write_json(config.json_format(), spec.json);
  if (config.has_typed_json_format()) write_json(config.typed_json_format(), spec.json);
}

}  // namespace

std::vector<AccessLogSpec> compile_logs(const AccessLogs& logs, const std::string& path, CompileContext& context) {
  std::vector<AccessLogSpec> specs;
  for (int i = 0; i < logs.size(); ++i) {
    const AccessLog& log = logs[i];
    std::string here = fmt::format("{}[{}]", path, i);
    AccessLogSpec spec;
    if (log.has_filter()) compile_filter(log.filter(), here + ".filter", context, spec);
    if (log.typed_config().Is<FileAccessLog>()) {
      compile_file(log.typed_config(), here + ".typed_config", context, spec);
    } else if (log.typed_config().Is<StdoutAccessLog>()) {
      compile_stream<StdoutAccessLog>(log.typed_config(), "/dev/stdout", here + ".typed_config", context, spec);
    } else if (log.typed_config().Is<StderrAccessLog>()) {
      compile_stream<StderrAccessLog>(log.typed_config(), "/dev/stderr", here + ".typed_config", context, spec);
    } else {
      std::string title = filter_title(log.name(), log.typed_config());
      context.not_supported("access log " + title, here, fmt::format("{} is not implemented; nothing is logged there", title));
      continue;
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

}  // namespace weir::routing
