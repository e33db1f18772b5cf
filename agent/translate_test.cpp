// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "agent/dump.h"
#include "agent/names.h"
#include "agent/protocol.h"
#include "agent/translate.h"
#include "base/test_golden.h"
#include "base/text.h"

namespace weir::agent {
namespace {

const std::filesystem::path kData = std::filesystem::path(WEIR_TESTDATA) / "translate";

std::shared_ptr<const mesh::Store> store_of(const std::vector<std::pair<std::string, std::string>>& files) {
  std::vector<std::shared_ptr<const mesh::ParsedFile>> parsed;
  for (const auto& [name, text] : files) parsed.push_back(std::make_shared<mesh::ParsedFile>(mesh::parse(name, text)));
  std::vector<Problem> problems;
  auto store = mesh::Store::build(nullptr, parsed, problems);
  REQUIRE_MESSAGE(!has_errors(problems), to_text(problems));
  return store;
}

ProxyIdentity proxy_at(const std::string& name, const std::vector<std::string>& ips, mesh::Labels labels = {}) {
  ProxyIdentity proxy;
  proxy.name = name;
  proxy.ns = "shop";
  proxy.labels = std::move(labels);
  for (const std::string& ip : ips) proxy.ips.push_back(IpAddr::parse(ip).value());
  return proxy;
}

MeshSettings settings_of(const std::string& mesh_config) {
  MeshSettings settings;
  mesh::ParsedMeshConfig parsed = mesh::parse_mesh_config("mesh.yaml", mesh_config);
  REQUIRE(to_text(parsed.problems) == "");
  settings.config = parsed.config;
  return settings;
}

xds::ResourceSet run(const std::string& yaml, const ProxyIdentity& proxy, const std::string& mesh_config = "") {
  return translate(*store_of({{"rules.yaml", yaml}}), settings_of(mesh_config), proxy);
}

/// A service, in one line. `ports` as in YAML: "{name: http, port: 80}".
std::string service(const std::string& name, const std::string& ports, const std::string& rest = "clusterIP: 10.96.0.1",
                    const std::string& ns = "shop", const std::string& meta = "") {
  return fmt::format("---\napiVersion: v1\nkind: Service\nmetadata: {{name: {}, namespace: {}{}}}\nspec: {{{}, ports: [{}]}}\n",
                     name, ns, meta, rest, ports);
}

std::string rule(const std::string& name, const std::string& spec, const std::string& ns = "shop") {
  return fmt::format(
      "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {}, namespace: {}}}\nspec: {{{}}}\n",
      name, ns, spec);
}

std::string destination_rule(const std::string& name, const std::string& ns, const std::string& spec) {
  return fmt::format(
      "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {}, namespace: {}}}\nspec: {{{}}}\n",
      name, ns, spec);
}

std::string to(const std::string& host) { return "http: [{route: [{destination: {host: " + host + "}}]}]"; }

const ProxyIdentity kClient = proxy_at("client", {"10.1.0.50"});

/// "vhost name: cluster of its first route" for each virtual host of a table but the last.
std::string hosts(const xds::ResourceSet& set, const std::string& table) {
  std::string text;
  for (const auto& config : set.routes) {
    if (config.name() != table) continue;
    for (const auto& host : config.virtual_hosts()) {
      text += fmt::format("{}{} -> {}", text.empty() ? "" : "; ", host.name(), host.routes(0).route().cluster());
    }
  }
  return text;
}

std::set<std::string> names_of(const auto& messages) {
  std::set<std::string> names;
  for (const auto& message : messages) names.insert(message.name());
  return names;
}

const auto* find(const auto& messages, const std::string& name) {
  auto found = std::find_if(messages.begin(), messages.end(), [&](const auto& message) { return message.name() == name; });
  return found == messages.end() ? nullptr : &*found;
}

std::string routed_to(const xds::ResourceSet& set, const std::string& host = "a.shop.svc.cluster.local:80") {
  const auto* config = find(set.routes, "80");
  const auto* found = config == nullptr ? nullptr : find(config->virtual_hosts(), host);
  return found == nullptr ? "" : found->routes(0).route().cluster();
}

}  // namespace

TEST_CASE("rules become the resources that Istio would send") {
  struct Row {
    const char *name, *pod;
    std::vector<std::string> ips;
    const char* mesh_config;
    mesh::Labels labels;
  };
  for (const Row& row :
       {Row{"http_rules", "client", {"10.1.0.50"}, "", {{"app", "client"}}},
        Row{"protocols", "client", {"10.1.0.9", "fd01::9"}, "mesh_closed.yaml", {}},
        Row{"subsets", "client", {"10.1.0.50"}, "mesh_json.yaml", {}}, Row{"inbound", "me", {"10.1.0.9"}, "", {}}}) {
    CAPTURE(row.name);
    std::string file = std::string(row.name) + ".yaml";
    std::string mesh_config = *row.mesh_config == 0 ? "" : test::read_text(kData / row.mesh_config);
    auto store = store_of({{file, test::read_text(kData / file)}});
    std::string text = to_json(translate(*store, settings_of(mesh_config), proxy_at(row.pod, row.ips, row.labels)));
    test::check_golden(kData / (std::string(row.name) + ".json"), text);
  }
}

TEST_CASE("equal rules give equal resources, byte for byte") {
  std::string yaml = test::read_text(kData / "http_rules.yaml");
  std::string first = to_json(translate(*store_of({{"a.yaml", yaml}}), {}, kClient));
  std::string second = to_json(translate(*store_of({{"a.yaml", yaml}}), {}, kClient));
  CHECK(first == second);
}

TEST_CASE("a shift of lines changes route tables only") {
  for (const char* name : {"http_rules.yaml", "protocols.yaml", "subsets.yaml"}) {
    CAPTURE(name);
    std::string yaml = test::read_text(kData / name);
    xds::ResourceSet before = translate(*store_of({{"a.yaml", yaml}}), {}, kClient);
    xds::ResourceSet after = translate(*store_of({{"a.yaml", "# one line more\n" + yaml}}), {}, kClient);
    CHECK(to_json(before) != to_json(after));
    before.routes.clear();
    after.routes.clear();
    CHECK(to_json(before) == to_json(after));
  }
}

TEST_CASE("every route table and every EDS cluster that is referred to is sent") {
  for (const char* name : {"http_rules.yaml", "protocols.yaml", "subsets.yaml", "inbound.yaml"}) {
    CAPTURE(name);
    xds::ResourceSet set = translate(*store_of({{name, test::read_text(kData / name)}}), {}, kClient);
    std::string listeners;
    for (const auto& listener : set.listeners) listeners += to_json(listener);
    std::set<std::string> tables = names_of(set.routes);
    for (std::size_t at = 0; (at = listeners.find("route_config_name\": \"", at)) != std::string::npos;) {
      at += 21;
      CHECK(tables.contains(listeners.substr(at, listeners.find('"', at) - at)));
    }
    std::set<std::string> assigned;
    for (const auto& assignment : set.endpoints) assigned.insert(assignment.cluster_name());
    for (const auto& cluster : set.clusters) {
      if (cluster.has_eds_cluster_config()) CHECK(assigned.contains(cluster.name()));
    }
    CHECK(names_of(set.clusters).size() == set.clusters.size());
    CHECK(names_of(set.listeners).size() == set.listeners.size());
  }
}

TEST_CASE("a port's protocol comes from appProtocol, else from the first word of its name") {
  struct Row {
    const char *name, *app_protocol;
    Port port;
    Protocol protocol;
  };
  for (const Row& row : {Row{"http", "", 80, Protocol::http},
                         Row{"http-web", "", 80, Protocol::http},
                         Row{"HTTP", "", 80, Protocol::http},
                         Row{"http2", "", 80, Protocol::http2},
                         Row{"grpc-x", "", 80, Protocol::http2},
                         Row{"grpc-web", "", 80, Protocol::http},
                         Row{"https", "", 443, Protocol::tls},
                         Row{"tls-x", "", 443, Protocol::tls},
                         Row{"tcp", "", 80, Protocol::tcp},
                         Row{"mysql", "", 80, Protocol::tcp},
                         Row{"httpx", "", 80, Protocol::detect},
                         Row{"", "", 80, Protocol::detect},
                         Row{"", "", 3306, Protocol::tcp},
                         Row{"api", "", 27017, Protocol::tcp},
                         Row{"http", "tcp", 80, Protocol::tcp},
                         Row{"tcp", "http", 80, Protocol::http},
                         Row{"x", "kubernetes.io/h2c", 80, Protocol::http2},
                         Row{"x", "kubernetes.io/ws", 80, Protocol::http},
                         Row{"x", "kubernetes.io/wss", 80, Protocol::tls},
                         Row{"http", "my.own/thing", 80, Protocol::detect}}) {
    CAPTURE(row.name);
    CAPTURE(row.app_protocol);
    mesh::ServicePort port;
    port.name = row.name;
    port.app_protocol = row.app_protocol;
    port.port = row.port;
    CHECK(protocol_of(port) == row.protocol);
  }
  mesh::ServicePort udp;
  udp.protocol = "UDP";
  CHECK(protocol_of(udp) == Protocol::foreign);
}

TEST_CASE("a service is known by its short names in its own namespace only") {
  xds::ResourceSet set = run(
      service("a", "{name: http, port: 80}") + service("b", "{name: http, port: 80}", "clusterIP: 10.96.0.2", "other"), kClient);
  auto domains = [&](const std::string& host) {
    const auto& found = *find(find(set.routes, "80")->virtual_hosts(), host);
    return join({found.domains().begin(), found.domains().end()}, " ");
  };
  CHECK(domains("a.shop.svc.cluster.local:80") == "a.shop.svc.cluster.local a a.shop.svc a.shop 10.96.0.1");
  CHECK(domains("b.other.svc.cluster.local:80") == "b.other.svc.cluster.local b.other.svc b.other 10.96.0.2");
}

TEST_CASE("a headless service also answers for the names of its Pods") {
  xds::ResourceSet set = run(service("a", "{name: http, port: 80}", "clusterIP: None"), kClient);
  const auto& found = *find(find(set.routes, "80")->virtual_hosts(), "a.shop.svc.cluster.local:80");
  CHECK(join({found.domains().begin(), found.domains().end()}, " ") ==
        "a.shop.svc.cluster.local a a.shop.svc a.shop *.a.shop.svc.cluster.local *.a *.a.shop.svc *.a.shop");
  CHECK(find(set.clusters, "outbound|80||a.shop.svc.cluster.local")->type() == envoy::config::cluster::v3::Cluster::ORIGINAL_DST);
}

TEST_CASE("of several VirtualServices for one host the first by name counts") {
  std::string yaml =
      service("a", "{name: http, port: 80}") + rule("z", "hosts: [a], " + to("z")) + rule("b", "hosts: [a], " + to("b"));
  CHECK(routed_to(run(yaml, kClient)) == "outbound|80||b.shop.svc.cluster.local");
}

TEST_CASE("an exact host of a VirtualService beats a wildcard, a longer wildcard a shorter") {
  std::string base = service("a", "{name: http, port: 80}");
  std::string all = rule("a1", "hosts: [\"*.cluster.local\"], " + to("all"));
  std::string ns = rule("a2", "hosts: [\"*.shop.svc.cluster.local\"], " + to("ns"));
  std::string exact = rule("a3", "hosts: [a], " + to("exact"));
  CHECK(routed_to(run(base + all + ns + exact, kClient)) == "outbound|80||exact.shop.svc.cluster.local");
  CHECK(routed_to(run(base + all + ns, kClient)) == "outbound|80||ns.shop.svc.cluster.local");
  CHECK(routed_to(run(base + all, kClient)) == "outbound|80||all.shop.svc.cluster.local");
}

TEST_CASE("a VirtualService counts only where it is exported to and bound to the mesh") {
  std::string base = service("a", "{name: http, port: 80}");
  const std::string plain = "outbound|80||a.shop.svc.cluster.local";
  CHECK(routed_to(run(base + rule("r", "hosts: [a.shop.svc.cluster.local], exportTo: [\".\"], " + to("x"), "other"), kClient)) ==
        plain);
  CHECK(routed_to(run(base + rule("r", "hosts: [a.shop.svc.cluster.local], exportTo: [shop], " + to("x"), "other"), kClient)) ==
        "outbound|80||x.other.svc.cluster.local");
  CHECK(routed_to(run(base + rule("r", "hosts: [a], gateways: [ingress], " + to("x")), kClient)) == plain);
  CHECK(routed_to(run(base + rule("r", "hosts: [a], gateways: [ingress, mesh], " + to("x")), kClient)) ==
        "outbound|80||x.shop.svc.cluster.local");
}

TEST_CASE("hosts without a Service are routed on port 80 only") {
  std::string yaml =
      service("a", "{name: http, port: 80}, {name: http-2, port: 81}") + rule("r", "hosts: [outside.test], " + to("a"));
  xds::ResourceSet set = run(yaml, kClient);
  CHECK(hosts(set, "80").find("outside.test:80 -> ") != std::string::npos);
  CHECK(hosts(set, "81").find("outside.test") == std::string::npos);
}

TEST_CASE("a VirtualService without routes for this proxy leaves no virtual host, one without http routes leaves the default") {
  std::string base = service("a", "{name: http, port: 80}");
  CHECK(routed_to(run(base + rule("r", "hosts: [a], http: [{match: [{port: 81}], route: [{destination: {host: x}}]}]"),
                      kClient)) == "");
  CHECK(routed_to(run(base + rule("r", "hosts: [a], tcp: [{route: [{destination: {host: x}}]}]"), kClient)) ==
        "outbound|80||a.shop.svc.cluster.local");
}

TEST_CASE("a destination without a port takes the only port of its service, else the listener's") {
  std::string base = service("a", "{name: http, port: 80}") + service("one", "{name: http, port: 8000}") +
                     service("two", "{name: http, port: 1}, {name: http-b, port: 2}");
  CHECK(routed_to(run(base + rule("r", "hosts: [a], " + to("one")), kClient)) == "outbound|8000||one.shop.svc.cluster.local");
  CHECK(routed_to(run(base + rule("r", "hosts: [a], " + to("two")), kClient)) == "outbound|80||two.shop.svc.cluster.local");
  CHECK(routed_to(run(base + rule("r", "hosts: [a], http: [{route: [{destination: {host: two, port: {number: 2}}}]}]"),
                      kClient)) == "outbound|2||two.shop.svc.cluster.local");
}

TEST_CASE("hosts that no service has pass through or are refused, by policy") {
  std::string yaml = service("a", "{name: http, port: 80}");
  xds::ResourceSet open = run(yaml, kClient);
  const auto& last = *find(open.routes, "80")->virtual_hosts().rbegin();
  CHECK(last.name() == "allow_any");
  CHECK(last.routes(0).route().cluster() == "PassthroughCluster");
  xds::ResourceSet closed = run(yaml, kClient, "outboundTrafficPolicy: {mode: REGISTRY_ONLY}");
  const auto& refused = *find(closed.routes, "80")->virtual_hosts().rbegin();
  CHECK(refused.name() == "block_all");
  CHECK(refused.routes(0).direct_response().status() == 502);
  CHECK(to_json(*find(closed.listeners, "virtualOutbound")).find("PassthroughCluster") == std::string::npos);
}

TEST_CASE("the client's DestinationRule beats the service's, which beats the root namespace's; they are not merged") {
  std::string base = service("a", "{name: http, port: 80}", "clusterIP: 10.96.0.1", "other");
  std::string host = "host: a.other.svc.cluster.local, subsets: ";
  std::string client = destination_rule("c", "shop", host + "[{name: client}]");
  std::string server = destination_rule("s", "other", host + "[{name: server}]");
  std::string root = destination_rule("r", "istio-system", host + "[{name: root}]");
  auto subsets = [](const xds::ResourceSet& set) {
    std::string text;
    for (const auto& cluster : set.clusters) {
      std::vector<std::string_view> parts = split(cluster.name(), '|');
      if (parts.size() == 4 && !parts[2].empty()) text += std::string(parts[2]) + " ";
    }
    return text;
  };
  CHECK(subsets(run(base + client + server + root, kClient)) == "client ");
  CHECK(subsets(run(base + server + root, kClient)) == "server ");
  CHECK(subsets(run(base + root, kClient)) == "root ");
  CHECK(subsets(run(base + destination_rule("s", "other", host + "[{name: server}], exportTo: [\".\"]"), kClient)) == "");
  CHECK(subsets(run(base + server + destination_rule("t", "other", host + "[{name: server, labels: {x: y}}, {name: two}]"),
                    kClient)) == "server two ");
}

TEST_CASE("a service that is not exported to the client's namespace is not there") {
  xds::ResourceSet set = run(service("a", "{name: http, port: 80}", "clusterIP: 10.96.0.1", "other",
                                     ", annotations: {networking.istio.io/exportTo: \".\"}"),
                             kClient);
  CHECK(find(set.clusters, "outbound|80||a.other.svc.cluster.local") == nullptr);
}

TEST_CASE("the proxy's Pod is found by name and address together; labels that it claims count only if there is none") {
  std::string yaml = service("a", "{name: http, port: 80}") +
                     "---\napiVersion: v1\nkind: Pod\nmetadata: {name: client, namespace: shop, labels: {app: real}}\nstatus: "
                     "{podIP: 10.1.0.50}\n" +
                     rule("r",
                          "hosts: [a], http: [{match: [{sourceLabels: {app: real}}], route: [{destination: {host: real}}]}, "
                          "{match: [{sourceLabels: {app: claimed}}], route: [{destination: {host: claimed}}]}]");
  mesh::Labels claim = {{"app", "claimed"}};
  CHECK(routed_to(run(yaml, proxy_at("client", {"10.1.0.50"}, claim))) == "outbound|80||real.shop.svc.cluster.local");
  CHECK(routed_to(run(yaml, proxy_at("client", {"10.1.0.51"}, claim))) == "outbound|80||claimed.shop.svc.cluster.local");
}

TEST_CASE("Endpoints count only where no EndpointSlice of the service is there") {
  std::string base =
      service("a", "{name: http, port: 80}") +
      "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: a, namespace: shop}\n"
      "subsets: [{addresses: [{ip: 10.1.0.1}], notReadyAddresses: [{ip: 10.1.0.2}], ports: [{name: http, port: 8080}]}]\n";
  std::string slice =
      "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-1, namespace: shop, labels: "
      "{kubernetes.io/service-name: a}}\n"
      "addressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.1.0.9]}]\n";
  auto addresses = [](const xds::ResourceSet& set) {
    std::string text;
    for (const auto& assignment : set.endpoints) {
      for (const auto& group : assignment.endpoints()) {
        for (const auto& host : group.lb_endpoints()) text += host.endpoint().address().socket_address().address() + " ";
      }
    }
    return text;
  };
  CHECK(addresses(run(base, kClient)) == "10.1.0.1 ");
  CHECK(addresses(run(base + slice, kClient)) == "10.1.0.9 ");
}

TEST_CASE("wildcard listeners are there in both families where the proxy has them") {
  std::string yaml = service("a", "{name: http, port: 80}");
  auto families = [&](ProxyIdentity proxy) {
    return 1 + find(run(yaml, proxy).listeners, "0.0.0.0_80")->additional_addresses_size();
  };
  CHECK(families(kClient) == 1);
  CHECK(families(proxy_at("client", {"10.1.0.50", "fd00::50"})) == 2);
  ProxyIdentity ours = kClient;
  ours.user_agent = "weir 0.1.0";
  CHECK(families(ours) == 2);
}

TEST_CASE("a proxy in TPROXY mode gets transparent listeners, and its workload the clients' addresses") {
  ProxyIdentity proxy = kClient;
  auto captured = [&] {
    std::string text;
    for (const auto& listener : run(service("a", "{name: http, port: 80}"), proxy).listeners) {
      if (!listener.name().starts_with("virtual")) {
        CHECK(!listener.has_transparent());
        continue;
      }
      text += listener.name() + (listener.transparent().value() ? " transparent:" : ":");
      for (const auto& filter : listener.listener_filters()) text += ' ' + filter.name().substr(filter.name().rfind('.') + 1);
      text += '\n';
    }
    return text;
  };
  CHECK(captured() == "virtualOutbound:\nvirtualInbound: original_dst http_inspector\n");
  proxy.interception = "REDIRECT";
  CHECK(captured() == "virtualOutbound:\nvirtualInbound: original_dst http_inspector\n");
  proxy.interception = "TPROXY";
  CHECK(captured() == "virtualOutbound transparent:\nvirtualInbound transparent: original_dst original_src http_inspector\n");
}

TEST_CASE("of two services with one address and port the first has the listener") {
  xds::ResourceSet set = run(service("b", "{name: tcp, port: 9000}") + service("a", "{name: tcp, port: 9000}"), kClient);
  const std::string text = to_json(*find(set.listeners, "10.96.0.1_9000"));
  CHECK(text.find("outbound|9000||a.shop") != std::string::npos);
  CHECK(text.find("outbound|9000||b.shop") == std::string::npos);
}

TEST_CASE("tls routes choose by server name and take the service's own chain away") {
  xds::ResourceSet set = run(
      service("a", "{name: https, port: 443}") +
          rule("r",
               "hosts: [a, one.test], tls: [{match: [{port: 443, sniHosts: [one.test]}], route: [{destination: {host: b}}]}]"),
      kClient);
  const auto& listener = *find(set.listeners, "10.96.0.1_443");
  REQUIRE(listener.filter_chains_size() == 1);
  CHECK(listener.filter_chains(0).filter_chain_match().server_names(0) == "one.test");
  CHECK(listener.default_filter_chain().name() == "PassthroughFilterChain");
  CHECK(listener.listener_filters(0).name() == "envoy.filters.listener.tls_inspector");
}

TEST_CASE("each rule file of the samples is sound, and changes what its name says") {
  using Files = std::vector<std::pair<std::string, std::string>>;
  Files platform;
  std::filesystem::path samples = WEIR_SAMPLES;
  for (const auto& entry : std::filesystem::directory_iterator(samples / "bookinfo/platform")) {
    platform.emplace_back(entry.path().filename().string(), test::read_text(entry.path()));
  }
  platform.emplace_back("destination-rules.yaml", test::read_text(samples / "bookinfo/rules/destination-rules.yaml"));
  std::string plain = to_json(translate(*store_of(platform), {}, proxy_at("productpage-v1", {"10.244.1.11"})));
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(samples / "bookinfo/rules")) {
    std::string name = entry.path().filename().string();
    CAPTURE(name);
    if (name == "destination-rules.yaml") continue;
    Files files = platform;
    files.emplace_back(name, test::read_text(entry.path()));
    auto store = store_of(files);
    CHECK(to_text(mesh::validate(*store, "cluster.local")) == "");
    CHECK(to_json(translate(*store, {}, proxy_at("productpage-v1", {"10.244.1.11"}))) != plain);
    ++count;
  }
  CHECK(count > 5);
}

}  // namespace weir::agent
