// SPDX-License-Identifier: Apache-2.0
#include <optional>
#include <unordered_set>

#include "base/text.h"
#include "proxy/cluster_compile.h"
#include "proxy/field_report.h"
#include "proxy/metadata.h"
#include "xds/proto/endpoint.pb.h"

namespace weir::proxy {

namespace {

using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::endpoint::v3::LbEndpoint;

const std::vector<std::string_view> kKnownFields = {
    "cluster_name",
    "policy.overprovisioning_factor",
    "endpoints.locality",
    "endpoints.priority",
    "endpoints.load_balancing_weight",
    "endpoints.metadata",
    "endpoints.proximity",
    "endpoints.lb_endpoints.endpoint.address",
    "endpoints.lb_endpoints.endpoint.additional_addresses.address",
    "endpoints.lb_endpoints.endpoint.hostname",
    "endpoints.lb_endpoints.health_status",
    "endpoints.lb_endpoints.load_balancing_weight",
    "endpoints.lb_endpoints.metadata",
};
constexpr std::uint32_t kMaxPriority = 128;  // as Envoy

Health health_of(const LbEndpoint& config) {
  switch (config.health_status()) {
    case envoy::config::core::v3::UNHEALTHY:
    case envoy::config::core::v3::TIMEOUT: return Health::unhealthy;
    case envoy::config::core::v3::DRAINING: return Health::draining;
    default: return Health::healthy;  // unknown counts as healthy, degraded as usable
  }
}

class Compiler {
 public:
  Compiler(const ClusterLoadAssignment& config, std::vector<Problem>& problems)
      : config_(config),
        problems_(problems),
        object_(fmt::format("ClusterLoadAssignment \"{}\"", printable(config.cluster_name()))) {}

  std::shared_ptr<const EndpointSet> run() {
    for (int i = 0; i < config_.endpoints_size(); ++i) {
      const auto& group = config_.endpoints(i);
      const std::string path = fmt::format("endpoints[{}]", i);
      if (group.priority() > kMaxPriority)
        error(path + ".priority", fmt::format("{} is above {}", group.priority(), kMaxPriority));
      for (int k = 0; k < group.lb_endpoints_size(); ++k)
        add(fmt::format("{}.lb_endpoints[{}]", path, k), group.lb_endpoints(k), group.priority());
    }
    if (config_.named_endpoints_size() > 0) error("named_endpoints", "is not implemented");
    report_unknown_fields(config_, kKnownFields, object_, problems_);
    return failed_ ? nullptr : std::make_shared<const EndpointSet>(std::move(set_));
  }

 private:
  void error(std::string path, std::string message, std::string hint = {}) {
    failed_ = true;
    problems_.push_back({Severity::error, {}, object_, std::move(path), std::move(message), std::move(hint)});
  }

  std::optional<SocketAddr> address(const std::string& where, const envoy::config::core::v3::Address& config) {
    auto wrong = [&](const std::string& path, std::string message, std::string hint) {
      error(path, std::move(message), std::move(hint));
      return std::nullopt;
    };
    if (!config.has_socket_address())
      return wrong(where, "is no IP address and port",
                   "unix sockets, internal listeners and named endpoints are not implemented");
    const auto& socket = config.socket_address();
    auto ip = IpAddr::parse(socket.address());
    if (!ip)
      return wrong(where + ".socket_address.address",
                   fmt::format("\"{}\" is no IP address, and names are not resolved yet", printable(socket.address())),
                   "give the endpoint's address");
    if (socket.port_value() == 0 || socket.port_value() > 65535)
      return wrong(where + ".socket_address.port_value", fmt::format("{} is no port", socket.port_value()), "use 1 to 65535");
    if (socket.protocol() != envoy::config::core::v3::SocketAddress::TCP)
      return wrong(where + ".socket_address.protocol", "UDP is not implemented", "use TCP, the default");
    return SocketAddr{*ip, static_cast<Port>(socket.port_value())};
  }

  void add(const std::string& path, const LbEndpoint& config, std::uint32_t priority) {
    auto first = address(path + ".endpoint.address", config.endpoint().address());
    if (!first) return;
    Endpoint endpoint;
    endpoint.address = *first;
    for (int i = 0; i < config.endpoint().additional_addresses_size(); ++i) {
      auto next = address(fmt::format("{}.endpoint.additional_addresses[{}].address", path, i),
                          config.endpoint().additional_addresses(i).address());
      if (!next) return;
      endpoint.additional.push_back(*next);
    }
    endpoint.priority = priority;
    endpoint.health = health_of(config);
    endpoint.workload = workload_of(config.metadata());
    if (config.has_load_balancing_weight()) endpoint.weight = config.load_balancing_weight().value();
    if (endpoint.weight == 0) return error(path + ".load_balancing_weight", "is 0", "use 1 or more, or leave the endpoint out");
    // One address is one endpoint, as in Envoy; the first wins.
    if (seen_.insert(endpoint.address).second) set_.endpoints.push_back(std::move(endpoint));
  }

  const ClusterLoadAssignment& config_;
  std::vector<Problem>& problems_;
  std::string object_;
  EndpointSet set_;
  std::unordered_set<SocketAddr> seen_;
  bool failed_ = false;
};

}  // namespace

std::shared_ptr<const EndpointSet> compile_endpoints(const ClusterLoadAssignment& config, std::vector<Problem>& problems) {
  return Compiler(config, problems).run();
}

}  // namespace weir::proxy
