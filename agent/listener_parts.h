// SPDX-License-Identifier: Apache-2.0
// What outbound and inbound listeners have in common. Private to the room.
#pragma once

#include "agent/translate_parts.h"
#include "agent/xds_values.h"
#include "xds/proto/http_connection_manager.pb.h"
#include "xds/proto/tcp_proxy.pb.h"

namespace weir::agent {

namespace lds = envoy::config::listener::v3;
namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
namespace tcp = envoy::extensions::filters::network::tcp_proxy::v3;

/// Name, address (wildcards get the other family too), direction, detection timeout.
lds::Listener make_listener(const MeshView& view, const std::string& name, const std::vector<IpAddr>& addresses, Port port,
                            core::TrafficDirection direction);
/// 0.0.0.0, and :: if the proxy has IPv6.
std::vector<IpAddr> wildcard(const MeshView& view);

/// The stock HTTP filters and all that istiod sets; the caller adds routes.
hcm::HttpConnectionManager make_http(const MeshView& view, const std::string& stat_prefix);
tcp::TcpProxy make_tcp(const MeshView& view, const std::string& stat_prefix);

void set_filter(lds::FilterChain& chain, const hcm::HttpConnectionManager& manager);
void set_filter(lds::FilterChain& chain, const tcp::TcpProxy& proxy);
/// A chain that forwards all to one cluster.
void set_tcp(const MeshView& view, lds::FilterChain& chain, std::string_view cluster);

/// Plain text that is HTTP by its first bytes.
void match_http(lds::FilterChain& chain);
void add_http_inspector(lds::Listener& listener);
void add_listener_filter(lds::Listener& listener, std::string_view name, const google::protobuf::Message& config);

}  // namespace weir::agent
