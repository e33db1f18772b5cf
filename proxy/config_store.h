// SPDX-License-Identifier: Apache-2.0
// Compiles xDS resources to what the workers use and builds a new Config whenever what serves has changed. Main thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/problem.h"
#include "proxy/config.h"
#include "xds/ads_client.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap_StaticResources;
}

namespace weir::proxy {

class ConfigStore final : public xds::ResourceSink {
 public:
  struct Hooks {
    /// Adds what is wrong with a listener beyond its shape (access-log formats and files); may be empty.
    std::function<void(const std::shared_ptr<const routing::Listener>&, std::vector<Problem>&)> check_listener;
    /// The new Config, never null; its parts that did not change are the former's.
    std::function<void(std::shared_ptr<const Config>)> publish;
  };
  explicit ConfigStore(Hooks hooks);

  /// The listeners and clusters of a bootstrap, which stay beside what xDS brings (and win over the same name). Returns the
  /// errors, all at once, with paths from "listeners[0]…"; nothing is taken then. Publishes if there are any resources.
  std::vector<Problem> set_static(const envoy::config::bootstrap::v3::Bootstrap_StaticResources& resources);

  // ResourceSink: errors go to `problems`, what has no effect is kept here.
  xds::Compiled compile(xds::ResourceType type, const google::protobuf::Message& message,
                        std::vector<Problem>& problems) override;
  void publish(const xds::ActiveSet& active, const std::array<bool, xds::kTypeCount>& changed) override;

  /// Never null.
  const std::shared_ptr<const Config>& config() const { return config_; }
  /// Fields without effect of what is known now, by resource, for /config_dump.
  std::vector<Problem> unsupported() const;
  /// Those whose kind (type and field) was not returned before: each deserves one line in the log.
  std::vector<Problem> take_new_warnings();

 private:
  template <class Function>
  xds::Compiled compile_with(xds::ResourceType type, const std::string& name, std::vector<Problem>& problems, Function function);
  void build();

  Hooks hooks_;
  std::shared_ptr<const Config> config_;
  std::uint64_t generation_ = 0;
  std::vector<std::shared_ptr<const Cluster>> static_clusters_;
  std::vector<std::shared_ptr<const routing::Listener>> static_listeners_;
  xds::ActiveSet active_;
  /// A cluster joined with its endpoints, kept as long as neither changes.
  struct Joined {
    std::shared_ptr<const Cluster> bare;
    std::shared_ptr<const EndpointSet> endpoints;
    std::shared_ptr<const Cluster> result;
  };
  std::map<std::string, Joined> joined_;
  std::map<std::pair<xds::ResourceType, std::string>, std::vector<Problem>> unsupported_;
  std::set<std::string> told_;
  std::vector<Problem> news_;
};

}  // namespace weir::proxy
