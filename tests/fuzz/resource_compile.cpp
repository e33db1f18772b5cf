// SPDX-License-Identifier: Apache-2.0
// Route tables and listeners from the wire: compiled, or refused with a text that names the resource; what is compiled can be
// asked. Input: one byte (even: RouteConfiguration, odd: Listener), then the message's bytes.
#include <google/protobuf/message.h>

#include "routing/listener_table.h"
#include "tests/fuzz/fuzzing.h"
#include "xds/proto/listener.pb.h"
#include "xds/proto/route.pb.h"

using namespace weir;
using namespace weir::routing;
using namespace weir::fuzzing;

namespace {

void ask(const RouteTable& table) {
  http::HeaderMap headers;
  headers.append_view("x", "y");
  for (std::string_view authority : {"a.test", "A.TEST:80", "*", ""}) {
    for (std::string_view path : {"/", "/a/b?q=1&p", "*", ""}) {
      Request request{"http", "GET", authority, path, &headers};
      RouteTable::Found found = table.match(request);
      if (table.explain(request).found.route != found.route) std::abort();
      if (found.route == nullptr) continue;
      std::string storage;
      if (const auto* forward = std::get_if<Forward>(&found.route->action)) {
        (void)rewrite_path(*found.route, *forward, path, storage);
        if (pick(*forward, 12345).cluster.empty() && forward->cluster_header.empty()) std::abort();
      } else if (const auto* redirect = std::get_if<Redirect>(&found.route->action)) {
        (void)redirect_location(*found.route, *redirect, request);
      }
    }
  }
}

void ask(std::shared_ptr<const Listener> listener) {
  for (const char* destination : {"10.0.0.1:80", "[fd00::1]:443"}) {
    SocketAddr address = *SocketAddr::parse(destination);
    (void)needs_detection(*listener, address);
    for (std::string_view application : {"", "http/1.1"}) {
      for (std::string_view name : {"", "a.test"}) {
        Connection connection{address, address, name, name.empty() ? "raw_buffer" : "tls", application};
        const FilterChain* chain = match_chain(*listener, connection);
        if (chain == nullptr && listener->default_chain) std::abort();
      }
    }
  }
  ListenerTable table({listener});
  (void)table.for_destination(*listener, *SocketAddr::parse("10.0.0.1:80"));
}

template <class Result>
bool succeeded(const Result& result, const char* kind) {
  if (!result && result.error().to_text().find(kind) == std::string::npos) std::abort();
  return result.has_value();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::vector<Problem> unsupported;
  if ((data[0] & 1) == 0) {
    envoy::config::route::v3::RouteConfiguration config;
    if (!config.ParseFromArray(data + 1, static_cast<int>(size - 1))) return 0;
    auto compiled = RouteTable::compile(config, unsupported);
    if (succeeded(compiled, "RouteConfiguration \"")) ask(**compiled);
  } else {
    envoy::config::listener::v3::Listener config;
    if (!config.ParseFromArray(data + 1, static_cast<int>(size - 1))) return 0;
    auto compiled = compile_listener(config, unsupported);
    if (succeeded(compiled, "Listener \"")) ask(*compiled);
  }
  if (has_errors(unsupported)) std::abort();  // warnings only; errors refuse the resource
  return 0;
}
