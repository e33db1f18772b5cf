// SPDX-License-Identifier: Apache-2.0
// What a proxy says it is, as the agent takes it: within its limits, the same when said again, and whatever it says, what the
// agent translates for it compiles. Input: a Node message; or, after a first byte of '=', lines: the id, then KEY=VALUE of its
// metadata.
#include <google/protobuf/struct.pb.h>

#include "agent/dump.h"
#include "agent/translate.h"
#include "base/text.h"
#include "routing/listener_table.h"
#include "routing/route_table.h"
#include "tests/fuzz/fuzzing.h"
#include "xds/node.h"
#include "xds/proto/core.pb.h"

using namespace weir;
using namespace weir::fuzzing;

namespace {

constexpr std::string_view kRules = R"(
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec:
  clusterIP: 10.96.0.1
  selector: {app: reviews}
  ports: [{name: http, port: 9080}, {name: tcp, port: 9081}]
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, namespace: default, labels: {app: reviews, version: v1}}
spec: {containers: [{name: a, image: a, ports: [{containerPort: 9080}]}]}
status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: default}
spec:
  hosts: [reviews]
  http:
  - match: [{sourceLabels: {app: client}, sourceNamespace: default}]
    route: [{destination: {host: reviews}}]
)";

const mesh::Store& rules() {
  static const std::shared_ptr<const mesh::Store> store = [] {
    std::vector<Problem> problems;
    auto built = mesh::Store::build(nullptr, {std::make_shared<mesh::ParsedFile>(mesh::parse("rules.yaml", kRules))}, problems);
    require_same("the rules", to_text(problems), "");
    return built;
  }();
  return *store;
}

bool read_node(std::string_view bytes, envoy::config::core::v3::Node& node) {
  if (!bytes.starts_with('=')) return node.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  bool is_first = true;
  for (std::string_view line : split(bytes.substr(1), '\n')) {
    std::size_t equals = line.find('=');
    if (is_first) {
      node.set_id(std::string(line));
    } else if (equals != std::string_view::npos) {
      // "LABELS.app=x" is {LABELS: {app: x}}.
      std::string key(line.substr(0, equals)), value(line.substr(equals + 1));
      auto* fields = node.mutable_metadata()->mutable_fields();
      std::size_t dot = key.find('.');
      if (dot != std::string::npos) {
        fields = (*fields)[key.substr(0, dot)].mutable_struct_value()->mutable_fields();
        key.erase(0, dot + 1);
      }
      (*fields)[key].set_string_value(value);
    }
    is_first = false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  envoy::config::core::v3::Node node;
  if (!read_node(text_of(data, size), node)) return 0;
  auto identity = xds::parse_node(node);
  if (!identity) {
    require_one_line(identity.error().to_text());
    return 0;
  }
  if (identity->id.size() > 512 || identity->labels.size() > 64 || identity->ips.size() > 65) std::abort();
  auto again = xds::parse_node(xds::make_node(*identity));
  if (!again) require_same("said again", again.error().to_text(), "");
  require_same("said again", again->id + " " + again->ns + " " + again->name + " " + again->type,
               identity->id + " " + identity->ns + " " + identity->name + " " + identity->type);
  if (again->labels != identity->labels || again->ips != identity->ips)
    require_same("said again", "labels and addresses", "same");

  agent::MeshSettings settings;
  xds::ResourceSet resources = agent::translate(rules(), settings, *identity);
  std::vector<Problem> unsupported;
  for (const auto& route : resources.routes)
    if (auto table = routing::RouteTable::compile(route, unsupported); !table)
      require_same("routes", table.error().to_text(), "");
  for (const auto& listener : resources.listeners)
    if (auto compiled = routing::compile_listener(listener, unsupported); !compiled)
      require_same("listener", compiled.error().to_text(), "");
  require_same("two translations", agent::to_json(resources), agent::to_json(agent::translate(rules(), settings, *identity)));
  return 0;
}
