// SPDX-License-Identifier: Apache-2.0
// Filter chains: their matches and their terminal filter.
#include <fmt/format.h>

#include "base/text.h"
#include "routing/compile_chain.h"
#include "routing/compile_listener.h"
#include "routing/compile_route.h"
#include "routing/unpack.h"
#include "xds/metadata.h"
#include "xds/proto/http_connection_manager.pb.h"
#include "xds/proto/raw_buffer.pb.h"
#include "xds/proto/tcp_proxy.pb.h"

namespace weir::routing {

namespace {

using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
using Cidrs = google::protobuf::RepeatedPtrField<envoy::config::core::v3::CidrRange>;

std::vector<Cidr> compile_cidrs(const Cidrs& ranges, const std::string& path, CompileContext& context) {
  std::vector<Cidr> cidrs;
  for (int i = 0; i < ranges.size(); ++i) {
    std::string here = fmt::format("{}[{}]", path, i);
    auto address = IpAddr::parse(ranges[i].address_prefix());
    if (!address) {
      context.error(here + ".address_prefix", address.error().message());
      continue;
    }
    std::uint32_t length = ranges[i].prefix_len().value();  // absent: 0, as Envoy
    if (length > (address->is_v4() ? 32U : 128U)) {
      context.error(here + ".prefix_len", fmt::format("{} is too long for {}", length, address->to_text()));
      continue;
    }
    cidrs.emplace_back(*address, length);
  }
  return cidrs;
}

ChainMatch compile_chain_match(const listener_v3::FilterChainMatch& match, const std::string& path, CompileContext& context) {
  ChainMatch compiled;
  if (match.has_destination_port()) {
    std::uint32_t port = match.destination_port().value();
    if (port == 0 || port > 65535) {
      context.error(path + ".destination_port", fmt::format("port {} does not exist", port), "use 1 to 65535");
    }
    compiled.destination_port = static_cast<Port>(port);
  }
  compiled.prefixes = compile_cidrs(match.prefix_ranges(), path + ".prefix_ranges", context);
  compiled.source_prefixes = compile_cidrs(match.source_prefix_ranges(), path + ".source_prefix_ranges", context);
  for (int i = 0; i < match.server_names_size(); ++i) {
    std::string name = to_lower(match.server_names(i));
    std::string_view rest = name.starts_with("*.") ? std::string_view(name).substr(2) : std::string_view(name);
    if (rest.empty() || rest.find('*') != std::string_view::npos) {
      context.error(fmt::format("{}.server_names[{}]", path, i), fmt::format("\"{}\" is no server name", printable(name)),
                    "use x.y or *.y");
    }
    compiled.server_names.push_back(std::move(name));
  }
  compiled.transport_protocol = match.transport_protocol();
  compiled.application_protocols.assign(match.application_protocols().begin(), match.application_protocols().end());
  return compiled;
}

void check_transport_socket(const envoy::config::core::v3::TransportSocket& socket, const std::string& path,
                            CompileContext& context) {
  using envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
  if (socket.typed_config().Is<RawBuffer>() ||
      (socket.name() == "envoy.transport_sockets.raw_buffer" && !socket.has_typed_config())) {
    return;
  }
  context.error(
      path,
      fmt::format("transport socket {} is not implemented; without it what must be encrypted and authenticated would not be",
                  filter_title(socket.name(), socket.typed_config())));
}

/// True if the filter ended the chain.
bool compile_filter(const listener_v3::Filter& filter, const std::string& path, CompileContext& context, FilterChain& chain) {
  const google::protobuf::Any& any = filter.typed_config();
  if (any.Is<HttpConnectionManager>()) {
    chain.manager = compile_hcm(any, path + ".typed_config", context);
    return true;
  }
  if (any.Is<TcpProxy>()) {
    chain.manager = compile_tcp(any, path + ".typed_config", context);
    return true;
  }
  std::string title = filter_title(filter.name(), any);
  if (std::string reason = guard_reason(any.type_url(), filter.name()); !reason.empty()) {
    context.error(path, reason);
  } else if (may_be_skipped(filter.name(), any.type_url())) {
    context.not_supported("network filter " + title, path, fmt::format("filter {} is skipped", title));
  } else {
    context.error(path, fmt::format("filter {} is not implemented", title));
  }
  return false;
}

}  // namespace

FilterChain compile_chain(const listener_v3::FilterChain& config, const std::string& path, CompileContext& context) {
  FilterChain chain;
  chain.name = config.name();
  chain.rule = xds::rule_of(config.metadata());
  chain.match = compile_chain_match(config.filter_chain_match(), path + ".filter_chain_match", context);
  if (config.has_transport_socket()) check_transport_socket(config.transport_socket(), path + ".transport_socket", context);
  bool has_ended = false;
  for (int i = 0; i < config.filters_size(); ++i) {
    std::string here = fmt::format("{}.filters[{}]", path, i);
    if (has_ended) context.error(here, "it stands behind a filter that ends the chain");
    if (compile_filter(config.filters(i), here, context, chain)) has_ended = true;
  }
  if (!has_ended) {
    context.error(path + ".filters", "no filter ends the chain", "end with http_connection_manager or tcp_proxy");
  }
  return chain;
}

bool may_be_skipped(std::string_view name, std::string_view type_url) {
  static constexpr std::string_view kNames[] = {"istio.metadata_exchange", "istio.stats", "istio.alpn"};
  static constexpr std::string_view kTypes[] = {
      "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
      "envoy.tcp.metadataexchange.config.MetadataExchange",
      "io.istio.http.peer_metadata.Config",
      "stats.PluginConfig",
      "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
  };
  for (std::string_view known : kTypes) {
    if (type_name(type_url) == known) return true;
  }
  // Istio wraps some of its types in a TypedStruct, whose type says nothing.
  bool is_wrapped = type_name(type_url).ends_with(".TypedStruct");
  for (std::string_view known : kNames) {
    if (name == known && (type_url.empty() || is_wrapped)) return true;
  }
  return false;
}

std::string filter_title(std::string_view name, const google::protobuf::Any& any) {
  std::string_view type = type_name(any.type_url());
  if (name.empty()) return std::string(type);
  return type.empty() ? std::string(name) : fmt::format("{} ({})", name, type);
}

}  // namespace weir::routing
