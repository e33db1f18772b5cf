// SPDX-License-Identifier: Apache-2.0
// YAML → objects → what a proxy gets. Whatever a person writes, every table and listener that we send compiles: a proxy refuses
// it as a whole otherwise, and one object would hinder all others. The same rules give the same bytes.
#include "agent/dump.h"
#include "agent/translate.h"
#include "routing/listener_table.h"
#include "routing/route_table.h"
#include "tests/fuzz/fuzzing.h"

using namespace weir;
using namespace weir::fuzzing;

namespace {

void require_ok(const char* what, const std::string& name, const auto& result) {
  if (!result) require_same(std::string(what) + " " + name, result.error().to_text(), "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = text_of(data, size);
  auto file = std::make_shared<mesh::ParsedFile>(mesh::parse("fuzz.yaml", text));
  std::vector<Problem> problems;
  auto store = mesh::Store::build(nullptr, {file}, problems);
  mesh::validate(*store, "cluster.local");

  // The last good form of everything stays if the same file is cut in two.
  auto half = std::make_shared<mesh::ParsedFile>(mesh::parse("fuzz.yaml", text.substr(0, size / 2)));
  mesh::Store::build(store.get(), {half}, problems);

  agent::ProxyIdentity proxy;
  proxy.name = "client";
  proxy.ns = "default";
  proxy.ips = {IpAddr::v4(0x0A000001)};
  agent::MeshSettings settings;
  settings.config.access_log_file = "/dev/stdout";
  xds::ResourceSet resources = agent::translate(*store, settings, proxy);
  std::vector<Problem> unsupported;
  for (const auto& route : resources.routes) require_ok("routes", route.name(), routing::RouteTable::compile(route, unsupported));
  for (const auto& listener : resources.listeners) {
    require_ok("listener", listener.name(), routing::compile_listener(listener, unsupported));
  }
  require_same("two translations", agent::to_json(resources), agent::to_json(agent::translate(*store, settings, proxy)));
  return 0;
}
