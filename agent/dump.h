// SPDX-License-Identifier: Apache-2.0
// A translation as text: for golden tests, and to look at what a proxy would get.
#pragma once

#include <string>

#include "xds/resource_set.h"

namespace google::protobuf {
class Message;
}

namespace weir::agent {

/// JSON of one message, fields in the order of their numbers; equal messages give equal texts.
std::string to_json(const google::protobuf::Message& message);

/// {"clusters": […], "endpoints": […], "listeners": […], "routes": […]}.
std::string to_json(const xds::ResourceSet& resources);

}  // namespace weir::agent
