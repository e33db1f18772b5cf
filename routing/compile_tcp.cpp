// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "routing/compile_listener.h"
#include "routing/unpack.h"
#include "xds/proto/tcp_proxy.pb.h"

namespace weir::routing {

TcpManager compile_tcp(const google::protobuf::Any& any, const std::string& path, CompileContext& context) {
  using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
  auto config = unpack<TcpProxy>(any, path, context);
  TcpManager tcp;
  tcp.stat_prefix = config.stat_prefix();
  std::uint64_t total = 0;
  if (config.has_weighted_clusters()) {
    for (int i = 0; i < config.weighted_clusters().clusters_size(); ++i) {
      const auto& entry = config.weighted_clusters().clusters(i);
      if (entry.name().empty()) {
        context.error(fmt::format("{}.weighted_clusters.clusters[{}].name", path, i), "the entry names no cluster");
      }
      tcp.clusters.push_back({entry.name(), entry.weight(), {}, {}, {}});
      total += entry.weight();
    }
    if (total == 0 || total > UINT32_MAX) {
      context.error(path + ".weighted_clusters", fmt::format("the weights sum to {}", total), "use 1 to 4294967295 in sum");
    }
  } else {
    if (config.cluster().empty()) context.error(path, "the TCP proxy names no cluster", "use cluster or weighted_clusters");
    tcp.clusters.push_back({config.cluster(), 1, {}, {}, {}});
    total = 1;
  }
  tcp.total_weight = static_cast<std::uint32_t>(total);
  if (config.has_idle_timeout()) tcp.idle_timeout = to_milliseconds(config.idle_timeout(), path + ".idle_timeout", context);
  if (config.has_max_connect_attempts()) {
    tcp.max_connect_attempts = config.max_connect_attempts().value();
    if (tcp.max_connect_attempts == 0) context.error(path + ".max_connect_attempts", "it is 0", "use 1 or more");
  }
  tcp.access_logs = compile_logs(config.access_log(), path + ".access_log", context);
  return tcp;
}

}  // namespace weir::routing
