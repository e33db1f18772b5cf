// SPDX-License-Identifier: Apache-2.0
// Small helpers to fill xDS messages. Include only in translate_*.cpp (heavy headers).
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/problem.h"
#include "mesh-rules/object.h"
#include "xds/proto/core.pb.h"

namespace weir::agent {

namespace core = envoy::config::core::v3;

/// Any with deterministic bytes: equal messages give equal resources, and so equal versions.
void pack(const google::protobuf::Message& message, google::protobuf::Any& out);
/// The same, under a name: filters, listener filters, access logs.
template <class Named>
void pack_named(std::string_view name, const google::protobuf::Message& message, Named& out) {
  out.set_name(std::string(name));
  pack(message, *out.mutable_typed_config());
}

void set(google::protobuf::Duration& out, std::chrono::nanoseconds value);
core::Address address(const IpAddr& ip, std::uint32_t port);

/// filter_metadata["istio"].config and filter_metadata["weir"] {rule, file, line}. `line` false leaves the line out: it would
/// make every shift of lines a change of listeners and clusters, and so drain connections.
void set_rule(core::Metadata& out, const mesh::Meta& meta, const SourceRef& where, bool line);

/// eds_config and rds.config_source: the same stream.
core::ConfigSource ads_source();

}  // namespace weir::agent
