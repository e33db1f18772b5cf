// SPDX-License-Identifier: Apache-2.0
// What weir and Istio write into the filter_metadata of resources.
#pragma once

#include "base/problem.h"

namespace envoy::config::core::v3 {
class Metadata;
}

namespace weir::xds {

/// The rule that made a resource: filter_metadata["weir"] {rule, file, line}, else ["istio"].config, whose
/// "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/r" becomes "VirtualService shop/r"; else empty. A line that is
/// no positive number is 0, "not known".
RuleRef rule_of(const envoy::config::core::v3::Metadata& metadata);

}  // namespace weir::xds
