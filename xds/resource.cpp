// SPDX-License-Identifier: Apache-2.0
#include "xds/resource.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <xxhash.h>

#include "xds/proto/cluster.pb.h"
#include "xds/proto/endpoint.pb.h"
#include "xds/proto/listener.pb.h"
#include "xds/proto/route.pb.h"

namespace weir::xds {

namespace {

using Cluster = envoy::config::cluster::v3::Cluster;
using Endpoints = envoy::config::endpoint::v3::ClusterLoadAssignment;
using Listener = envoy::config::listener::v3::Listener;
using Routes = envoy::config::route::v3::RouteConfiguration;

constexpr std::array<std::string_view, kTypeCount> kUrls = {
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
};
constexpr std::array<std::string_view, kTypeCount> kShort = {"CDS", "EDS", "LDS", "RDS"};

}  // namespace

std::string_view type_url(ResourceType type) { return kUrls[index(type)]; }
std::string_view short_name(ResourceType type) { return kShort[index(type)]; }

std::optional<ResourceType> parse_type_url(std::string_view url) {
  for (ResourceType type : kResourceTypes) {
    if (url == type_url(type)) return type;
  }
  return std::nullopt;
}

std::unique_ptr<google::protobuf::Message> new_message(ResourceType type) {
  switch (type) {
    case ResourceType::cluster: return std::make_unique<Cluster>();
    case ResourceType::endpoints: return std::make_unique<Endpoints>();
    case ResourceType::listener: return std::make_unique<Listener>();
    case ResourceType::route: break;
  }
  return std::make_unique<Routes>();
}

const std::string& resource_name(ResourceType type, const google::protobuf::Message& message) {
  switch (type) {
    case ResourceType::cluster: return static_cast<const Cluster&>(message).name();
    case ResourceType::endpoints: return static_cast<const Endpoints&>(message).cluster_name();
    case ResourceType::listener: return static_cast<const Listener&>(message).name();
    case ResourceType::route: break;
  }
  return static_cast<const Routes&>(message).name();
}

ResourcePtr make_resource(ResourceType type, const google::protobuf::Message& message) {
  auto resource = std::make_shared<Resource>();
  resource->name = resource_name(type, message);
  {
    // Maps have no order of their own: without this equal content could look changed.
    google::protobuf::io::StringOutputStream stream(&resource->body);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializePartialToCodedStream(&coded);
  }
  resource->hash = XXH3_64bits(resource->body.data(), resource->body.size());
  return resource;
}

}  // namespace weir::xds
