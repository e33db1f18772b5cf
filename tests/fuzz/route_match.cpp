// SPDX-License-Identifier: Apache-2.0
// Normalised paths and routes: what is normalised stays so and has no dot segments left; explain finds what match finds;
// rewritten paths and Locations bring no line end that the request did not have. Input: lines: method, authority, path, then
// "name: value" fields.
#include "routing/route_table.h"

#include <cstring>

#include <google/protobuf/text_format.h>

#include "tests/fuzz/fuzzing.h"
#include "xds/proto/route.pb.h"

using namespace weir;
using namespace weir::routing;
using namespace weir::fuzzing;

namespace {

constexpr const char* kTable = R"pb(
  name: "t"
  ignore_port_in_host_matching: true
  virtual_hosts {
    name: "a"
    domains: "a.test"
    domains: "*.a.test"
    domains: "b.*"
    routes {
      name: "exact"
      match {
        path: "/a"
        case_sensitive { value: false }
      }
      route { cluster: "c" prefix_rewrite: "/z" }
    }
    routes {
      name: "segment"
      match { path_separated_prefix: "/seg" }
      route { cluster: "c" prefix_rewrite: "/" }
    }
    routes {
      name: "regex"
      match { safe_regex { regex: "/r/[0-9a-f]+(/.*)?" } }
      route {
        cluster: "c"
        regex_rewrite {
          pattern { regex: "/r/([0-9a-f]+)" }
          substitution: "/\\1"
        }
      }
    }
    routes {
      name: "headers"
      match {
        prefix: "/h"
        headers {
          name: "x"
          string_match { contains: "Y" ignore_case: true }
        }
        headers {
          name: "z"
          string_match { suffix: "q" }
          invert_match: true
          treat_missing_header_as_empty: true
        }
        headers {
          name: ":method"
          string_match { safe_regex { regex: "P.*" } }
        }
      }
      route { cluster: "c" }
    }
    routes {
      name: "query"
      match {
        prefix: "/q"
        query_parameters {
          name: "k"
          string_match { prefix: "v" }
        }
        query_parameters { name: "p" present_match: true }
      }
      redirect { https_redirect: true prefix_rewrite: "/new" }
    }
    routes {
      name: "old"
      match { prefix: "/old" }
      redirect { path_redirect: "/new" port_redirect: 8443 }
    }
  }
  virtual_hosts {
    name: "rest"
    domains: "*"
    routes {
      name: "all"
      match { prefix: "/" }
      redirect {
        regex_rewrite {
          pattern { regex: "(/)+" }
          substitution: "/"
        }
      }
    }
  }
)pb";

const RouteTable& table() {
  static const std::shared_ptr<const RouteTable> compiled = [] {
    envoy::config::route::v3::RouteConfiguration config;
    std::vector<Problem> unsupported;
    if (!google::protobuf::TextFormat::ParseFromString(kTable, &config)) std::abort();
    auto result = RouteTable::compile(config, unsupported);
    if (!result) std::abort();
    return *result;
  }();
  return *compiled;
}

std::string_view next_line(std::string_view& rest) {
  std::string_view line = rest.substr(0, rest.find('\n'));
  rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  return line;
}

bool has_dot_segment(std::string_view path) {
  std::string bare = std::string(path.substr(0, path.find('?'))) + '/';
  return bare.find("/./") != std::string::npos || bare.find("/../") != std::string::npos;
}

void check_normalized(std::string_view path, std::string_view normalized) {
  if (path.empty() || path == "*") return;
  std::string storage;
  auto again = normalize_path(normalized, storage);
  require_same("normalised twice", std::string(normalized), again ? std::string(*again) : "refused");
  if (normalized[0] != '/' || has_dot_segment(normalized))
    require_same("dot segments", std::string(path), std::string(normalized));
  if (normalized.size() > path.size() + 1) require_same("grown", std::string(path), std::string(normalized));
  require_same("query", std::string(path.substr(std::min(path.find('?'), path.size()))),
               std::string(normalized.substr(std::min(normalized.find('?'), normalized.size()))));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest = text_of(data, size);
  Request request;
  request.scheme = "http";
  request.method = next_line(rest);
  request.authority = next_line(rest);
  std::string_view raw = next_line(rest);
  http::HeaderMap headers;
  while (!rest.empty() && headers.size() < 100) {
    std::string_view line = next_line(rest);
    std::size_t colon = std::min(line.find(':'), line.size());
    headers.append_view(line.substr(0, colon), line.substr(std::min(colon + 2, line.size())));
  }
  request.headers = &headers;
  std::string storage;
  auto normalized = normalize_path(raw, storage);
  if (!normalized) return 0;
  check_normalized(raw, *normalized);
  request.path = *normalized;
  RouteTable::Found found = table().match(request, 0);
  RouteTable::Explanation explanation = table().explain(request);
  if (explanation.found.host != found.host || explanation.found.route != found.route) std::abort();
  for (const auto& passed : explanation.passed) {
    if (passed.what.empty() || passed.why.empty() || passed.why.find('\n') != std::string::npos) std::abort();
  }
  if (found.route == nullptr) return 0;
  std::string rewritten;
  if (const auto* forward = std::get_if<Forward>(&found.route->action)) {
    (void)rewrite_path(*found.route, *forward, request.path, rewritten);
    (void)pick(*forward, size);
  } else if (const auto* redirect = std::get_if<Redirect>(&found.route->action)) {
    std::string location = redirect_location(*found.route, *redirect, request);
    if (location.find("://") == std::string::npos || location.find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
