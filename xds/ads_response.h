// SPDX-License-Identifier: Apache-2.0
// One DiscoveryResponse taken apart: what is good, what is bad and why. Part of AdsClient.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "xds/ads_client.h"

namespace envoy::service::discovery::v3 {
class DiscoveryResponse;
}

namespace weir::xds {

using Names = std::set<std::string, std::less<>>;

struct Candidate {
  std::string name;
  ResourcePtr resource;
  Compiled compiled;
  bool unchanged = false;  ///< the bytes are those that we have: nothing was compiled
};

struct ParsedResponse {
  std::vector<Candidate> good;
  std::vector<std::pair<std::string, std::string>> bad;  ///< name, why
  std::vector<std::string> nameless;                     ///< what is wrong with resources that could not even be named
  Names seen;                                            ///< good and bad
  std::vector<Problem> warnings;
  bool has_errors() const { return !bad.empty() || !nameless.empty(); }
  /// For error_detail: a line each, cut at 16 KiB.
  std::string error_text() const;
};

/// `subscribed`: names that were asked for, null for all. `latest`: the newest accepted version of a name, null if there is none.
ParsedResponse parse_response(ResourceType type, const envoy::service::discovery::v3::DiscoveryResponse& response,
                              std::size_t max_resources, const Names* subscribed,
                              const std::function<const Resource*(const std::string&)>& latest, ResourceSink& sink);

/// The texts of those that are errors.
std::string errors_of(const std::vector<Problem>& problems);

}  // namespace weir::xds
