// SPDX-License-Identifier: Apache-2.0
// For tests: messages from protobuf's text format, requests from tables.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "routing/route_table.h"
#include "xds/proto/route.pb.h"

namespace weir::routing::test {

template <class Message>
Message message(const std::string& text) {
  Message parsed;
  REQUIRE_MESSAGE(google::protobuf::TextFormat::ParseFromString(text, &parsed), text);
  return parsed;
}

inline Result<std::shared_ptr<const RouteTable>> compile(const std::string& text, std::vector<Problem>& unsupported) {
  return RouteTable::compile(message<envoy::config::route::v3::RouteConfiguration>(text), unsupported);
}

inline std::shared_ptr<const RouteTable> table(const std::string& text) {
  std::vector<Problem> unsupported;
  auto compiled = compile(text, unsupported);
  REQUIRE_MESSAGE(compiled.has_value(), (compiled ? "" : compiled.error().to_text()));
  CHECK(to_text(unsupported) == "");
  return *compiled;
}

/// One virtual host "h" for all domains with these routes.
inline std::shared_ptr<const RouteTable> routes(const std::string& text) {
  return table("name: 'r' virtual_hosts { name: 'h' domains: '*' " + text + " }");
}

/// A request that owns its headers.
struct Call {
  std::string method = "GET";
  std::string authority = "x.test";
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string scheme = "http";
  mutable http::HeaderMap map;

  Request request() const {
    map.clear();
    for (const auto& [name, value] : headers) map.append_view(name, value);
    return {scheme, method, authority, path, &map};
  }
};

/// Name of the route that takes the call; "-" if none does.
inline std::string taken(const RouteTable& table, const Call& call, std::uint32_t random = 0) {
  RouteTable::Found found = table.match(call.request(), random);
  return found.route == nullptr ? "-" : found.route->name;
}

/// Name of the virtual host for an authority; "-" if there is none.
inline std::string host_of(const RouteTable& table, const std::string& authority) {
  RouteTable::Found found = table.match(Call{.authority = authority}.request());
  return found.host == nullptr ? "-" : found.host->name;
}

}  // namespace weir::routing::test
