// SPDX-License-Identifier: Apache-2.0
// The mesh's access log: Istio's default line, and at its end which rule decided, and where that rule stands.
#include <google/protobuf/util/json_util.h>

#include "agent/translate_parts.h"
#include "agent/xds_values.h"
#include "xds/proto/accesslog.pb.h"
#include "xds/proto/file_access_log.pb.h"

namespace weir::agent {
namespace {

constexpr std::string_view kText =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% "
    "%BYTES_SENT% "
    "%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" "
    "\"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME% rule=\"%METADATA(ROUTE:weir:rule)%\" "
    "at=%METADATA(ROUTE:weir:file)%:%METADATA(ROUTE:weir:line)%\n";

struct Key {
  const char *name, *value;
};
constexpr Key kJson[] = {
    {"start_time", "%START_TIME%"},
    {"route_name", "%ROUTE_NAME%"},
    {"method", "%REQ(:METHOD)%"},
    {"path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"},
    {"protocol", "%PROTOCOL%"},
    {"response_code", "%RESPONSE_CODE%"},
    {"response_flags", "%RESPONSE_FLAGS%"},
    {"response_code_details", "%RESPONSE_CODE_DETAILS%"},
    {"connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"},
    {"bytes_received", "%BYTES_RECEIVED%"},
    {"bytes_sent", "%BYTES_SENT%"},
    {"duration", "%DURATION%"},
    {"upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"},
    {"x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"},
    {"user_agent", "%REQ(USER-AGENT)%"},
    {"request_id", "%REQ(X-REQUEST-ID)%"},
    {"authority", "%REQ(:AUTHORITY)%"},
    {"upstream_host", "%UPSTREAM_HOST%"},
    {"upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"},
    {"upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"},
    {"downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"},
    {"downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"},
    {"requested_server_name", "%REQUESTED_SERVER_NAME%"},
    {"upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"},
    {"rule", "%METADATA(ROUTE:weir:rule)%"},
    {"rule_file", "%METADATA(ROUTE:weir:file)%"},
    {"rule_line", "%METADATA(ROUTE:weir:line)%"},
};

void set_json(core::SubstitutionFormatString& out, const std::string& format) {
  google::protobuf::Struct& json = *out.mutable_json_format();
  if (!format.empty() && google::protobuf::util::JsonStringToMessage(format, &json).ok()) return;
  json.Clear();
  for (const Key& key : kJson) (*json.mutable_fields())[key.name].set_string_value(key.value);
}

}  // namespace

void add_access_log(const MeshView& view, LogOf of,
                    google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& out) {
  const mesh::MeshConfig& config = view.settings().config;
  if (config.access_log_file.empty()) return;
  envoy::extensions::access_loggers::file::v3::FileAccessLog file;
  file.set_path(config.access_log_file);
  core::SubstitutionFormatString& format = *file.mutable_log_format();
  if (config.log_encoding == mesh::MeshConfig::LogEncoding::json) {
    set_json(format, config.access_log_format);
  } else {
    std::string text = config.access_log_format.empty() ? std::string(kText) : config.access_log_format;
    if (!text.ends_with('\n')) text += '\n';
    format.mutable_text_format_source()->set_inline_string(text);
  }
  envoy::config::accesslog::v3::AccessLog& log = *out.Add();
  // The listener's own log tells of connections that no chain wanted; all others are told of by their filters.
  if (of == LogOf::listener) log.mutable_filter()->mutable_response_flag_filter()->add_flags("NR");
  pack_named("envoy.access_loggers.file", file, log);
}

}  // namespace weir::agent
