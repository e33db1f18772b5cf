// SPDX-License-Identifier: Apache-2.0
#include "xds/messages.h"

#include <array>
#include <map>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>

#include "base/text.h"
#include "xds/proto/admin.pb.h"
#include "xds/proto/cares_dns_resolver.pb.h"
#include "xds/proto/cors.pb.h"
#include "xds/proto/fault.pb.h"
#include "xds/proto/file_access_log.pb.h"
#include "xds/proto/grpc_stats.pb.h"
#include "xds/proto/http_connection_manager.pb.h"
#include "xds/proto/http_inspector.pb.h"
#include "xds/proto/original_dst.pb.h"
#include "xds/proto/original_src.pb.h"
#include "xds/proto/previous_hosts.pb.h"
#include "xds/proto/raw_buffer.pb.h"
#include "xds/proto/rbac_http_filter.pb.h"
#include "xds/proto/rbac_network_filter.pb.h"
#include "xds/proto/request_id.pb.h"
#include "xds/proto/router.pb.h"
#include "xds/proto/stream_access_log.pb.h"
#include "xds/proto/tcp_proxy.pb.h"
#include "xds/proto/tls_inspector.pb.h"
#include "xds/proto/upstream_http.pb.h"

namespace weir::xds {

namespace {

using google::protobuf::Any;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

/// Every message that may stand in an Any. Naming them here also keeps the linker from dropping them.
const std::map<std::string, const Message*, std::less<>>& registry() {
  namespace net = envoy::extensions::filters::network;
  namespace http = envoy::extensions::filters::http;
  namespace lis = envoy::extensions::filters::listener;
  namespace log = envoy::extensions::access_loggers;
  namespace tls = envoy::extensions::transport_sockets;
  namespace admin = envoy::admin::v3;
  static const auto map = [] {
    std::map<std::string, const Message*, std::less<>> types;
    for (const Message* message : std::initializer_list<const Message*>{
             &envoy::config::cluster::v3::Cluster::default_instance(),
             &envoy::config::endpoint::v3::ClusterLoadAssignment::default_instance(),
             &envoy::config::listener::v3::Listener::default_instance(),
             &envoy::config::route::v3::RouteConfiguration::default_instance(),
             &envoy::config::core::v3::TypedExtensionConfig::default_instance(),
             &envoy::config::route::v3::FilterConfig::default_instance(),
             &net::http_connection_manager::v3::HttpConnectionManager::default_instance(),
             &net::tcp_proxy::v3::TcpProxy::default_instance(),
             &net::rbac::v3::RBAC::default_instance(),
             &http::router::v3::Router::default_instance(),
             &http::fault::v3::HTTPFault::default_instance(),
             &http::cors::v3::Cors::default_instance(),
             &http::cors::v3::CorsPolicy::default_instance(),
             &http::grpc_stats::v3::FilterConfig::default_instance(),
             &http::rbac::v3::RBAC::default_instance(),
             &http::rbac::v3::RBACPerRoute::default_instance(),
             &lis::tls_inspector::v3::TlsInspector::default_instance(),
             &lis::http_inspector::v3::HttpInspector::default_instance(),
             &lis::original_dst::v3::OriginalDst::default_instance(),
             &lis::original_src::v3::OriginalSrc::default_instance(),
             &log::file::v3::FileAccessLog::default_instance(),
             &log::stream::v3::StdoutAccessLog::default_instance(),
             &log::stream::v3::StderrAccessLog::default_instance(),
             &tls::tls::v3::DownstreamTlsContext::default_instance(),
             &tls::tls::v3::UpstreamTlsContext::default_instance(),
             &tls::tls::v3::Secret::default_instance(),
             &tls::raw_buffer::v3::RawBuffer::default_instance(),
             &envoy::extensions::upstreams::http::v3::HttpProtocolOptions::default_instance(),
             &envoy::extensions::retry::host::previous_hosts::v3::PreviousHostsPredicate::default_instance(),
             &envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig::default_instance(),
             &envoy::extensions::network::dns_resolver::cares::v3::CaresDnsResolverConfig::default_instance(),
             &admin::ClustersConfigDump::StaticCluster::default_instance(),
             &admin::ClustersConfigDump::DynamicCluster::default_instance(),
             &admin::ListenersConfigDump::StaticListener::default_instance(),
             &admin::ListenersConfigDump::DynamicListener::default_instance(),
             &admin::RoutesConfigDump::StaticRouteConfig::default_instance(),
             &admin::RoutesConfigDump::DynamicRouteConfig::default_instance(),
             &admin::EndpointsConfigDump::StaticEndpointConfig::default_instance(),
             &admin::EndpointsConfigDump::DynamicEndpointConfig::default_instance(),
             &admin::BootstrapConfigDump::default_instance(),
             &admin::ClustersConfigDump::default_instance(),
             &admin::ListenersConfigDump::default_instance(),
             &admin::RoutesConfigDump::default_instance(),
             &admin::EndpointsConfigDump::default_instance(),
             &admin::SecretsConfigDump::default_instance(),
             &google::protobuf::Struct::default_instance(),
             &google::protobuf::Value::default_instance(),
             &google::protobuf::Duration::default_instance(),
             &google::protobuf::Empty::default_instance(),
             &google::protobuf::BoolValue::default_instance(),
             &google::protobuf::StringValue::default_instance(),
             &google::protobuf::UInt32Value::default_instance(),
         }) {
      types.emplace(message->GetDescriptor()->full_name(), message);
    }
    return types;
  }();
  return map;
}

struct LeftOut {
  std::string_view message;
  int number;
  std::string_view name;
};
/// Fields of the v3 API that are not in our subset, so that reports can name them.
constexpr std::array kLeftOut = std::to_array<LeftOut>({
    {"envoy.config.accesslog.v3.AccessLogFilter", 13, "log_type_filter"},
    {"envoy.config.cluster.v3.Cluster", 8, "health_checks"},
    {"envoy.config.cluster.v3.Cluster", 22, "lb_subset_config"},
    {"envoy.config.cluster.v3.Cluster.OriginalDstLbConfig", 4, "metadata_key"},
    {"envoy.config.cluster.v3.UpstreamConnectionOptions", 3, "happy_eyeballs_config"},
    {"envoy.config.core.v3.ConfigSource", 7, "authorities"},
    {"envoy.config.core.v3.GrpcService", 2, "google_grpc"},
    {"envoy.config.core.v3.GrpcService", 6, "retry_policy"},
    {"envoy.config.core.v3.GrpcService.EnvoyGrpc", 3, "retry_policy"},
    {"envoy.config.core.v3.Http1ProtocolOptions", 11, "ignore_http_11_upgrade"},
    {"envoy.config.core.v3.Node", 12, "dynamic_parameters"},
    {"envoy.config.core.v3.ProxyProtocolConfig", 2, "pass_through_tlvs"},
    {"envoy.config.core.v3.RemoteDataSource", 3, "retry_policy"},
    {"envoy.config.core.v3.SocketOption", 7, "type"},
    {"envoy.config.endpoint.v3.LocalityLbEndpoints", 8, "leds_cluster_locality_config"},
    {"envoy.config.listener.v3.Listener", 18, "udp_listener_config"},
    {"envoy.config.listener.v3.Listener", 36, "fcds_config"},
    {"envoy.config.rbac.v3.Policy", 3, "condition"},
    {"envoy.config.rbac.v3.Policy", 4, "checked_condition"},
    {"envoy.config.rbac.v3.Policy", 5, "cel_config"},
    {"envoy.config.rbac.v3.RBAC", 3, "audit_logging_options"},
    {"envoy.config.route.v3.RouteAction", 13, "rate_limits"},
    {"envoy.config.route.v3.RouteAction", 34, "internal_redirect_policy"},
    {"envoy.config.route.v3.RouteAction", 39, "inline_cluster_specifier_plugin"},
    {"envoy.config.route.v3.RouteAction.RequestMirrorPolicy", 7, "request_headers_mutations"},
    {"envoy.config.route.v3.RouteConfiguration", 9, "vhds"},
    {"envoy.config.route.v3.RouteConfiguration", 12, "cluster_specifier_plugins"},
    {"envoy.config.route.v3.Tracing", 4, "custom_tags"},
    {"envoy.config.route.v3.VirtualHost", 5, "virtual_clusters"},
    {"envoy.config.route.v3.VirtualHost", 6, "rate_limits"},
    {"envoy.extensions.filters.http.router.v3.Router", 9, "upstream_log_options"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", 31, "scoped_routes"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", 38, "local_reply_config"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", 43, "path_normalization_options"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", 61, "forward_proto_config"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing", 8, "custom_tags"},
    {"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing", 9, "provider"},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", 14, "on_demand"},
    {"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", 18, "backoff_options"},
    {"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext", 15, "key_log"},
    {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate", 6, "private_key_provider"},
    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig", 4, "alternate_protocols_cache_options"},
    {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.OutlierDetection", 1, "error_matcher"},
    {"envoy.service.discovery.v3.ResourceName", 2, "dynamic_parameter_constraints"},
});

std::string left_out_name(std::string_view message, int number) {
  for (const LeftOut& entry : kLeftOut) {
    if (entry.number == number && entry.message == message) return std::string(entry.name);
  }
  return {};
}

class Walker {
 public:
  explicit Walker(std::size_t limit) : limit_(limit) {}

  void walk(const Message& message, const std::string& path, int depth) {
    if (depth > kMaxDepth || found_.size() >= limit_) return;
    const Reflection& reflection = *message.GetReflection();
    const std::string& type = message.GetDescriptor()->full_name();
    const auto& unknown = reflection.GetUnknownFields(message);
    for (int i = 0; i < unknown.field_count(); ++i) add(path, type, unknown.field(i).number());
    if (type == "google.protobuf.Any") return walk_any(static_cast<const Any&>(message), path, depth);
    std::vector<const FieldDescriptor*> fields;
    reflection.ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) {
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
      std::string here = path.empty() ? field->name() : path + "." + field->name();
      if (!field->is_repeated()) {
        walk(reflection.GetMessage(message, field), here, depth + 1);
        continue;
      }
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        walk(reflection.GetRepeatedMessage(message, field, i), fmt::format("{}[{}]", here, i), depth + 1);
      }
    }
  }
  std::vector<UnknownField> take() { return std::move(found_); }

 private:
  static constexpr int kMaxDepth = 100;

  void walk_any(const Any& any, const std::string& path, int depth) {
    auto inner = unpack_any(any);
    if (!inner) return;  // who knows the field decides what an unknown type means
    walk(**inner, fmt::format("{}<{}>", path, (*inner)->GetDescriptor()->name()), depth + 1);
  }
  void add(const std::string& path, const std::string& type, int number) {
    for (const UnknownField& seen : found_) {  // a repeated field is one finding
      if (seen.number == number && seen.path == path) return;
    }
    if (found_.size() < limit_) found_.push_back({path, type, number, left_out_name(type, number)});
  }

  std::size_t limit_;
  std::vector<UnknownField> found_;
};

}  // namespace

std::string_view any_type(const Any& any) {
  std::string_view url = any.type_url();
  std::size_t slash = url.rfind('/');
  return slash == std::string_view::npos ? url : url.substr(slash + 1);
}

std::unique_ptr<Message> new_message_of(std::string_view full_name) {
  auto it = registry().find(full_name);
  return std::unique_ptr<Message>(it == registry().end() ? nullptr : it->second->New());
}

Result<std::unique_ptr<Message>> unpack_any(const Any& any) {
  std::unique_ptr<Message> message = new_message_of(any_type(any));
  if (!message) return fail(ErrorCode::protocol, "unknown type \"{}\"", printable(any.type_url()));
  if (!message->ParsePartialFromString(any.value())) {
    return fail(ErrorCode::protocol, "{} bytes are not a {}", any.value().size(), any_type(any));
  }
  return message;
}

Result<> unpack_any(const Any& any, Message& into) {
  const std::string& wanted = into.GetDescriptor()->full_name();
  if (any_type(any) != wanted) {
    return fail(ErrorCode::protocol, "type is \"{}\", wanted \"{}\"", printable(any.type_url()), wanted);
  }
  if (!into.ParsePartialFromString(any.value())) {
    return fail(ErrorCode::protocol, "{} bytes are not a {}", any.value().size(), wanted);
  }
  return {};
}

std::string UnknownField::to_text() const {
  std::string field = name.empty() ? fmt::format("#{}", number) : name;
  return fmt::format("{}{}{} (field {} of {})", path, path.empty() ? "" : ".", field, number, message);
}

std::vector<UnknownField> unknown_fields(const Message& message, std::size_t limit) {
  Walker walker(limit);
  walker.walk(message, "", 0);
  return walker.take();
}

Result<> from_json(std::string_view json, Message& into) {
  registry();
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  auto status = google::protobuf::util::JsonStringToMessage({json.data(), json.size()}, &into, options);
  if (!status.ok()) return fail(ErrorCode::usage, "{}", std::string(status.message()));
  return {};
}

}  // namespace weir::xds
