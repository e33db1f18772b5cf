// SPDX-License-Identifier: Apache-2.0
// What weir and Istio write into filter_metadata of clusters and endpoints.
#pragma once

#include <string>
#include <string_view>

#include "proxy/config.h"

namespace envoy::config::core::v3 {
class Metadata;
}

namespace weir::proxy {

/// ["istio"].services[0]; a cluster without one is named by itself if it has a plain name (PassthroughCluster).
ServiceLabels service_of(const envoy::config::core::v3::Metadata& metadata, std::string_view cluster_name);
/// ["istio"].workload of an endpoint, "" if none.
std::string workload_of(const envoy::config::core::v3::Metadata& metadata);

}  // namespace weir::proxy
