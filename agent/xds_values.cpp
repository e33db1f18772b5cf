// SPDX-License-Identifier: Apache-2.0
#include "agent/xds_values.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "agent/names.h"

namespace weir::agent {
namespace {

/// Istio's word for a kind in its config paths; empty for kinds that Istio does not name there.
std::string_view path_kind(mesh::Kind kind) {
  if (kind == mesh::Kind::virtual_service) return "virtual-service";
  if (kind == mesh::Kind::destination_rule) return "destination-rule";
  return "";
}

}  // namespace

void pack(const google::protobuf::Message& message, google::protobuf::Any& out) {
  out.set_type_url("type.googleapis.com/" + message.GetDescriptor()->full_name());
  google::protobuf::io::StringOutputStream stream(out.mutable_value());
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
}

void set(google::protobuf::Duration& out, std::chrono::nanoseconds value) {
  out.set_seconds(value.count() / 1'000'000'000);
  out.set_nanos(static_cast<int>(value.count() % 1'000'000'000));
}

core::Address address(const IpAddr& ip, std::uint32_t port) {
  core::Address out;
  out.mutable_socket_address()->set_address(ip.to_text());
  out.mutable_socket_address()->set_port_value(port);
  return out;
}

void set_rule(core::Metadata& out, const mesh::Meta& meta, const SourceRef& where, bool line) {
  std::string_view kind = path_kind(meta.key.kind);
  auto& by_name = *out.mutable_filter_metadata();
  if (!kind.empty())
    (*by_name["istio"].mutable_fields())["config"].set_string_value(names::config_path(kind, meta.ns(), meta.name()));
  auto& fields = *by_name["weir"].mutable_fields();
  fields["rule"].set_string_value(meta.key.to_text());
  fields["file"].set_string_value(where.file);
  if (line) fields["line"].set_number_value(where.line);
}

core::ConfigSource ads_source() {
  core::ConfigSource source;
  source.mutable_ads();
  source.mutable_initial_fetch_timeout();
  source.set_resource_api_version(core::V3);
  return source;
}

}  // namespace weir::agent
