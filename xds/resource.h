// SPDX-License-Identifier: Apache-2.0
// The four resource types and one serialised resource: what both sides of ADS speak about.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace google::protobuf {
class Message;
}

namespace weir::xds {

using TimePoint = std::chrono::steady_clock::time_point;
using Milliseconds = std::chrono::milliseconds;

/// In the order in which they must arrive so that nothing is used before it exists (make before break).
enum class ResourceType : std::uint8_t { cluster, endpoints, listener, route };
inline constexpr std::array kResourceTypes = {ResourceType::cluster, ResourceType::endpoints, ResourceType::listener,
                                              ResourceType::route};
/// For arrays that have one element for each type.
constexpr std::size_t index(ResourceType type) { return static_cast<std::size_t>(type); }
inline constexpr std::size_t kTypeCount = kResourceTypes.size();

/// "type.googleapis.com/envoy.config.cluster.v3.Cluster".
std::string_view type_url(ResourceType type);
std::optional<ResourceType> parse_type_url(std::string_view url);
/// "CDS", "EDS", "LDS", "RDS".
std::string_view short_name(ResourceType type);
/// CDS and LDS: a response is the whole set, and no names means all.
constexpr bool is_wildcard(ResourceType type) { return type == ResourceType::cluster || type == ResourceType::listener; }

/// A response may have this size at most, on both sides.
inline constexpr std::size_t kMaxMessageBytes = 64U * 1024 * 1024;

/// One resource as it goes over the wire. Immutable and shared.
struct Resource {
  std::string name;
  std::string body;        ///< the serialised message (what stands in Any.value); deterministic
  std::uint64_t hash = 0;  ///< of body
};
using ResourcePtr = std::shared_ptr<const Resource>;
using ResourceMap = std::map<std::string, ResourcePtr, std::less<>>;

/// An empty message of the type. Never null.
std::unique_ptr<google::protobuf::Message> new_message(ResourceType type);
/// `name` of a Cluster, Listener or RouteConfiguration; `cluster_name` of a ClusterLoadAssignment.
const std::string& resource_name(ResourceType type, const google::protobuf::Message& message);
/// Serialises (deterministically: equal messages give equal bytes) and hashes.
ResourcePtr make_resource(ResourceType type, const google::protobuf::Message& message);

}  // namespace weir::xds
