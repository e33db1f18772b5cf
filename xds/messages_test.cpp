// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <google/protobuf/unknown_field_set.h>

#include "xds/messages.h"
#include "xds/proto/admin.pb.h"
#include "xds/proto/bootstrap.pb.h"
#include "xds/proto/http_connection_manager.pb.h"
#include "xds/proto/route.pb.h"
#include "xds/proto/router.pb.h"
#include "xds/proto/tcp_proxy.pb.h"

using namespace weir;
using namespace weir::xds;

namespace {

void add_unknown(google::protobuf::Message& message, int number) {
  message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(number, "x");
}

std::string list(const std::vector<UnknownField>& fields) {
  std::string text;
  for (const UnknownField& field : fields) text += field.to_text() + "\n";
  return text;
}

}  // namespace

TEST_CASE("unknown fields are named with their path, also inside an Any") {
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy tcp;
  add_unknown(tcp, 14);
  envoy::config::listener::v3::Listener listener;
  auto& chain = *listener.add_filter_chains();
  chain.add_filters();
  chain.add_filters()->mutable_typed_config()->PackFrom(tcp);
  add_unknown(chain, 1000);
  add_unknown(chain, 1000);
  CHECK(list(unknown_fields(listener)) ==
        "filter_chains[0].#1000 (field 1000 of envoy.config.listener.v3.FilterChain)\n"
        "filter_chains[0].filters[1].typed_config<TcpProxy>.on_demand (field 14 of "
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy)\n");
}

TEST_CASE("a message that we know whole has no unknown fields, and an Any of unknown type is not looked into") {
  envoy::config::route::v3::RouteConfiguration table;
  auto& any = (*table.mutable_typed_per_filter_config())["x"];
  any.set_type_url("type.googleapis.com/some.Thing");
  any.set_value("\xff");
  CHECK(unknown_fields(table).empty());
}

TEST_CASE("the report of unknown fields is bounded") {
  envoy::config::route::v3::RouteConfiguration table;
  for (int i = 0; i < 1000; ++i) add_unknown(*table.add_virtual_hosts(), 5);
  CHECK(unknown_fields(table, 10).size() == 10);
}

TEST_CASE("an Any gives its message, or says why not") {
  google::protobuf::Any any;
  envoy::extensions::filters::http::router::v3::Router router;
  router.set_suppress_envoy_headers(true);
  any.PackFrom(router);
  CHECK(any_type(any) == "envoy.extensions.filters.http.router.v3.Router");
  auto message = unpack_any(any);
  REQUIRE(message);
  CHECK((*message)->ShortDebugString() == "suppress_envoy_headers: true");
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy tcp;
  CHECK(unpack_any(any, tcp).error().to_text() ==
        "type is \"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router\", wanted "
        "\"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\"");
  any.set_value("\xff\xff");
  CHECK(unpack_any(any).error().to_text() == "2 bytes are not a envoy.extensions.filters.http.router.v3.Router");
  any.set_type_url("type.googleapis.com/some.Thing");
  CHECK(unpack_any(any).error().to_text() == "unknown type \"type.googleapis.com/some.Thing\"");
}

TEST_CASE("JSON looks as Envoy's admin interface prints it, and an Any of unknown type does not make it fail") {
  envoy::config::route::v3::RouteConfiguration table;
  table.set_name("80");
  table.mutable_validate_clusters()->set_value(false);
  auto& route = *table.add_virtual_hosts()->add_routes();
  route.mutable_match()->set_prefix("/");
  route.mutable_route()->mutable_timeout()->set_nanos(200'000'000);
  route.mutable_route()->mutable_retry_policy()->set_host_selection_retry_max_attempts(5);
  route.mutable_redirect()->set_response_code(envoy::config::route::v3::RedirectAction::FOUND);
  auto& fields = *(*route.mutable_metadata()->mutable_filter_metadata())["weir"].mutable_fields();
  fields["line"].set_number_value(12);
  fields["rule"].set_string_value("VirtualService default/reviews");
  auto& any = (*table.mutable_typed_per_filter_config())["odd"];
  any.set_type_url("type.googleapis.com/some.Thing");
  any.set_value(std::string("\0\xff", 2));
  envoy::admin::v3::RoutesConfigDump dump;
  auto& dynamic = *dump.add_dynamic_route_configs();
  dynamic.mutable_last_updated()->set_seconds(1'700'000'000);
  dynamic.mutable_route_config()->PackFrom(table);
  CHECK(to_json(dump) == R"({
  "dynamic_route_configs": [
    {
      "route_config": {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": "80",
        "virtual_hosts": [
          {
            "routes": [
              {
                "match": {
                  "prefix": "/"
                },
                "redirect": {
                  "response_code": "FOUND"
                },
                "metadata": {
                  "filter_metadata": {
                    "weir": {
                      "line": 12,
                      "rule": "VirtualService default/reviews"
                    }
                  }
                }
              }
            ]
          }
        ],
        "validate_clusters": false,
        "typed_per_filter_config": {
          "odd": {
            "@type": "type.googleapis.com/some.Thing",
            "value": "AP8="
          }
        }
      },
      "last_updated": "2023-11-14T22:13:20Z"
    }
  ]
}
)");
  table.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_route()->mutable_timeout()->set_nanos(200'000'000);
  table.mutable_virtual_hosts(0)
      ->mutable_routes(0)
      ->mutable_route()
      ->mutable_retry_policy()
      ->set_host_selection_retry_max_attempts(5);
  std::string text = to_json(table.virtual_hosts(0).routes(0).route());
  CHECK(text.find("\"timeout\": \"0.200s\"") != std::string::npos);
  CHECK(text.find("\"host_selection_retry_max_attempts\": \"5\"") != std::string::npos);
}

TEST_CASE("a bootstrap as JSON is read, with typed filters inside; fields that we do not know are errors") {
  envoy::config::bootstrap::v3::Bootstrap bootstrap;
  REQUIRE(from_json(R"({"static_resources": {"listeners": [{"name": "l", "filter_chains": [{"filters": [{"name": "tcp",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", "cluster": "c",
    "idle_timeout": "5s"}}]}]}]}})",
                    bootstrap));
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy tcp;
  REQUIRE(unpack_any(bootstrap.static_resources().listeners(0).filter_chains(0).filters(0).typed_config(), tcp));
  CHECK(tcp.idle_timeout().seconds() == 5);
  CHECK_FALSE(from_json(R"({"static_resource": {}})", bootstrap));
  CHECK_FALSE(from_json("{", bootstrap));
}
