// SPDX-License-Identifier: Apache-2.0
// What is configured, in the shapes of envoy.admin.v3, so that istioctl and scripts made for Envoy can read it. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/problem.h"
#include "base/result.h"
#include "proxy/config.h"
#include "proxy/worker.h"
#include "xds/ads_client.h"

namespace envoy::config::bootstrap::v3 {
class Bootstrap;
}

namespace weir::proxy {

struct DumpSource {
  const envoy::config::bootstrap::v3::Bootstrap& bootstrap;  ///< with the node and the static resources
  const xds::AdsClient* ads = nullptr;                       ///< null: nothing dynamic
  const Config& config;
  std::vector<Problem> unsupported;
  std::chrono::steady_clock::time_point steady_now;
  std::chrono::system_clock::time_point system_now;
};

struct DumpQuery {
  std::string resource;    ///< "dynamic_listeners" …: only that list, flat; "" = all
  std::string name_regex;  ///< full match of the resource's name; "" = all
  bool include_eds = false;
};

/// JSON. What has no effect comes last, as a google.protobuf.Struct {"unsupported": […]}. Errors (usage): the resource or the
/// expression is wrong.
Result<std::string> config_dump(const DumpSource& source, const DumpQuery& query);

/// /listeners: "name::address" lines, or Listeners as JSON.
std::string listeners_text(const Config& config);
std::string listeners_json(const Config& config);

/// /clusters. `figures` of all workers, in any order.
std::string clusters_text(const Config& config, const std::vector<ClusterFigures>& figures);
std::string clusters_json(const Config& config, const std::vector<ClusterFigures>& figures);

}  // namespace weir::proxy
