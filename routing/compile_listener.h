// SPDX-License-Identifier: Apache-2.0
// Parts of compile_listener. Internal to the room.
#pragma once

#include <string>

#include "routing/compile_context.h"
#include "routing/listener_table.h"
#include "xds/proto/accesslog.pb.h"

namespace weir::routing {

using AccessLogs = google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>;
/// `path` ends in "access_log".
std::vector<AccessLogSpec> compile_logs(const AccessLogs& logs, const std::string& path, CompileContext& context);

HttpManager compile_hcm(const google::protobuf::Any& any, const std::string& path, CompileContext& context);
TcpManager compile_tcp(const google::protobuf::Any& any, const std::string& path, CompileContext& context);

/// Address and port; an error if it is no IP address.
SocketAddr to_socket_addr(const envoy::config::core::v3::Address& address, const std::string& path, CompileContext& context);

/// True for filters that only observe or negotiate ALPN: their absence changes no routing and opens no door.
bool may_be_skipped(std::string_view name, std::string_view type_url);

/// What an extension is called in messages: its type, else its name.
std::string filter_title(std::string_view name, const google::protobuf::Any& any);

}  // namespace weir::routing
