// SPDX-License-Identifier: Apache-2.0
#include "proxy/bootstrap.h"

#include "base/text.h"
#include "proxy/cluster_compile.h"
#include "xds/proto/bootstrap.pb.h"
#include "xds/proto/cluster.pb.h"

namespace weir::proxy {

namespace {

using Message = envoy::config::bootstrap::v3::Bootstrap;
using envoy::config::core::v3::ApiConfigSource;

class Checker {
 public:
  Checker(Bootstrap& bootstrap, std::vector<Problem>& problems) : bootstrap_(bootstrap), problems_(problems) {}

  void run() {
    Message& message = *bootstrap_.message;
    if (message.has_admin()) read_admin(message.admin());
    if (message.static_resources().secrets_size() > 0)
      error("static_resources.secrets", "TLS is not implemented", "remove the secrets");
    if (message.has_dynamic_resources()) read_dynamic(message.dynamic_resources());
  }

 private:
  void error(std::string path, std::string message, std::string hint = {}) {
    const int line = line_of(bootstrap_.lines, path);
    problems_.push_back({Severity::error, {bootstrap_.file, line}, "", std::move(path), std::move(message), std::move(hint)});
  }

  void read_admin(const envoy::config::bootstrap::v3::Admin& admin) {
    if (!admin.address().has_socket_address()) return error("admin.address", "has no socket_address");
    const auto& address = admin.address().socket_address();
    auto ip = IpAddr::parse(address.address());
    if (!ip) return error("admin.address.socket_address.address", ip.error().to_text());
    if (!ip->is_loopback())
      return error("admin.address.socket_address.address",
                   fmt::format("{} is not a loopback address: whoever reaches the admin port rules the proxy", ip->to_text()),
                   "use 127.0.0.1 or ::1");
    if (address.port_value() > 65535)
      return error("admin.address.socket_address.port_value", fmt::format("{} is no port", address.port_value()),
                   "use 0 to 65535");
    bootstrap_.admin = SocketAddr{*ip, static_cast<Port>(address.port_value())};
  }

  void read_dynamic(const envoy::config::bootstrap::v3::Bootstrap_DynamicResources& dynamic) {
    const std::string path = "dynamic_resources";
    if (dynamic.has_lds_config() && !dynamic.lds_config().has_ads())
      error(path + ".lds_config", "is not ads", "write lds_config: {ads: {}}");
    if (dynamic.has_cds_config() && !dynamic.cds_config().has_ads())
      error(path + ".cds_config", "is not ads", "write cds_config: {ads: {}}");
    if (!dynamic.has_ads_config()) return error(path, "has no ads_config", "all configuration comes over ADS");
    const ApiConfigSource& ads = dynamic.ads_config();
    if (ads.api_type() != ApiConfigSource::GRPC && ads.api_type() != ApiConfigSource::AGGREGATED_GRPC)
      error(path + ".ads_config.api_type", fmt::format("{} is not implemented", ApiConfigSource::ApiType_Name(ads.api_type())),
            "use GRPC (state of the world)");
    if (ads.grpc_services_size() != 1 || !ads.grpc_services(0).has_envoy_grpc())
      return error(path + ".ads_config.grpc_services", "must be one entry with envoy_grpc");
    take_agent(path + ".ads_config.grpc_services[0].envoy_grpc.cluster_name", ads.grpc_services(0).envoy_grpc().cluster_name());
  }

  /// The cluster of the agent is the channel's, not the data path's: it is taken out of the static resources.
  void take_agent(const std::string& path, const std::string& name) {
    auto& clusters = *bootstrap_.message->mutable_static_resources()->mutable_clusters();
    for (int i = 0; i < clusters.size(); ++i) {
      if (clusters[i].name() != name) continue;
      read_agent(fmt::format("static_resources.clusters[{}]", i), clusters[i]);
      clusters.DeleteSubrange(i, 1);
      // Later clusters keep the paths under which their lines are known.
      renumber(i);
      return;
    }
    error(path, fmt::format("names cluster \"{}\", which is not among the static clusters", printable(name)));
  }

  void renumber(int removed) {
    FieldLines renamed;
    const std::string prefix = "static_resources.clusters[";
    for (const auto& [path, line] : bootstrap_.lines) {
      if (path.compare(0, prefix.size(), prefix) != 0) {
        renamed[path] = line;
        continue;
      }
      const std::size_t end = path.find(']', prefix.size());
      const auto index = parse_uint(path.substr(prefix.size(), end - prefix.size()), INT32_MAX);
      if (!index || static_cast<int>(*index) == removed) continue;
      const auto number = static_cast<int>(*index) - (static_cast<int>(*index) > removed ? 1 : 0);
      renamed[fmt::format("{}{}{}", prefix, number, path.substr(end))] = line;
    }
    bootstrap_.lines = std::move(renamed);
  }

  void read_agent(const std::string& path, const envoy::config::cluster::v3::Cluster& cluster) {
    if (cluster.has_transport_socket())
      error(path + ".transport_socket", "TLS to the agent is not implemented", "use a unix socket or loopback");
    if (cluster.load_assignment().endpoints_size() == 0 || cluster.load_assignment().endpoints(0).lb_endpoints_size() == 0)
      return error(path + ".load_assignment", "has no endpoint of the agent");
    AgentTarget target;
    for (const auto& group : cluster.load_assignment().endpoints())
      for (const auto& endpoint : group.lb_endpoints()) add_address(path, endpoint.endpoint().address(), target);
    if (!target.unix_path.empty() || !target.addresses.empty()) bootstrap_.agent = std::move(target);
  }

  void add_address(const std::string& path, const envoy::config::core::v3::Address& address, AgentTarget& target) {
    const std::string text = address.has_pipe() ? "unix:" + address.pipe().path()
                                                : fmt::format("{}:{}", bracketed(address.socket_address().address()),
                                                              address.socket_address().port_value());
    auto parsed = parse_agent_target(text);
    if (!parsed) return error(path + ".load_assignment", parsed.error().to_text());
    if (target.text.empty()) target.text = text;
    if (!parsed->unix_path.empty()) target.unix_path = parsed->unix_path;
    target.addresses.insert(target.addresses.end(), parsed->addresses.begin(), parsed->addresses.end());
  }

  static std::string bracketed(const std::string& host) {
    return host.find(':') == std::string::npos ? host : fmt::format("[{}]", host);
  }

  Bootstrap& bootstrap_;
  std::vector<Problem>& problems_;
};

}  // namespace

ReadBootstrap parse_bootstrap(std::string_view file, std::string_view text) {
  ReadBootstrap read;
  read.bootstrap.message = std::make_shared<Message>();
  read.bootstrap.file = file;
  read.problems = read_yaml(file, text, *read.bootstrap.message, read.bootstrap.lines);
  Checker(read.bootstrap, read.problems).run();
  return read;
}

void locate(const Bootstrap& bootstrap, std::vector<Problem>& problems) {
  for (Problem& problem : problems) {
    problem.path = "static_resources." + problem.path;
    problem.where = {bootstrap.file, line_of(bootstrap.lines, problem.path)};
  }
}

}  // namespace weir::proxy
