// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "base/test_golden.h"
#include "capture/annotations.h"

namespace weir::capture {
namespace {

using Texts = std::map<std::string, std::string>;

Texts traffic(const Texts& short_names) {
  Texts annotations;
  for (const auto& [name, value] : short_names) annotations.emplace("traffic.sidecar.istio.io/" + name, value);
  return annotations;
}

CapturePolicy policy_of(const Texts& annotations, const ProxyContainer& proxy = {}) {
  const ParseOutcome outcome = parse_annotations(annotations, proxy);
  REQUIRE_MESSAGE(outcome.problems.empty(), to_text(outcome.problems));
  return outcome.parsed.policy;
}

TEST_CASE("a Pod without annotations is captured as Istio's injection does it") {
  const auto flags = parse_options({{"istio-inbound-ports", "*"},
                                    {"istio-service-cidr", "*"},
                                    {"istio-local-exclude-ports", "15090,15021,15020"},
                                    {"proxy-uid", "1337"},
                                    {"proxy-gid", "1337"}},
                                   {}, {});
  CHECK(policy_of({}) == flags.parsed.policy);
  CHECK(policy_of({{"sidecar.istio.io/inject", "true"}, {"example.com/note", "x"}}) == flags.parsed.policy);
}

TEST_CASE("as flags of weir-init they come to the same policy") {
  const Texts annotations =
      traffic({{"includeInboundPorts", "80"}, {"excludeOutboundPorts", "5432"}, {"excludeOutboundIPRanges", ""}});
  const ProxyContainer proxy{2000, 0, {{"INVALID_DROP", "true"}, {"ISTIO_META_DNS_CAPTURE", "1"}, {"OTHER", "x"}}};
  const Texts flags = annotation_flags(annotations, proxy);
  CHECK(flags == Texts{{"istio-inbound-ports", "80"},
                       {"istio-service-cidr", "*"},
                       {"istio-local-outbound-ports-exclude", "5432"},
                       {"proxy-uid", "2000"},
                       {"proxy-gid", "1337"},
                       {"drop-invalid", "true"},
                       {"redirect-dns", "true"},
                       {"capture-all-dns", "true"}});
  CHECK(parse_options(flags, {}, {}).parsed.policy == parse_annotations(annotations, proxy).parsed.policy);
}

TEST_CASE("each annotation is the flag of the same meaning") {
  CHECK(policy_of(traffic({{"includeOutboundIPRanges", "10.0.0.0/8,fd00::/8"}})).outbound_cidrs.list.size() == 2);
  CHECK(policy_of(traffic({{"includeOutboundIPRanges", ""}})).outbound_cidrs.kind == Selection::none);
  CHECK(policy_of(traffic({{"excludeOutboundIPRanges", "10.1.0.0/16"}})).outbound_exclude_cidrs.size() == 1);
  CHECK(policy_of(traffic({{"includeOutboundPorts", "443"}})).outbound_include_ports.to_text() == "443");
  CHECK(policy_of(traffic({{"excludeOutboundPorts", "22,25"}})).outbound_exclude_ports.to_text() == "22,25");
  CHECK(policy_of(traffic({{"excludeInterfaces", "net1,net2"}})).exclude_interfaces.size() == 2);
  CHECK(policy_of({{"sidecar.istio.io/interceptionMode", "REDIRECT"}}).mode == Mode::redirect);
}

TEST_CASE("what the node's owner sets counts where the Pod says nothing, and is named as a flag where it is wrong") {
  const Texts defaults = {{"istio-service-exclude-cidr", "10.96.0.0/12"},
                          {"istio-local-exclude-ports", "22"},
                          {"proxy-uid", "2000"},
                          {"when-proxy-down", "open:5s"}};
  const CapturePolicy policy = parse_annotations({}, {}, defaults).parsed.policy;
  CHECK(policy.outbound_exclude_cidrs.size() == 1);
  CHECK(policy.inbound_exclude_ports.to_text() == "22,15020-15021,15090");
  CHECK(policy.proxy_uids == std::vector<std::uint32_t>{2000});
  CHECK(policy.open_after == std::chrono::seconds(5));
  const ParseOutcome annotated =
      parse_annotations(traffic({{"excludeOutboundIPRanges", ""}}), {.uid = 3000, .environment = {}}, defaults);
  CHECK(annotated.parsed.policy.outbound_exclude_cidrs.empty());
  CHECK(annotated.parsed.policy.proxy_uids == std::vector<std::uint32_t>{3000});
  CHECK(to_text(parse_annotations({}, {}, {{"start-gate", "wait"}}).problems).starts_with("flag --start-gate: "));
}

TEST_CASE("interception mode NONE is to capture nothing, where Istio's CNI plugin fails") {
  CHECK(policy_of({{"sidecar.istio.io/interceptionMode", "NONE"}}).mode == Mode::none);
}

TEST_CASE("excluded inbound ports come to those that the proxy answers itself, the status port among them") {
  CHECK(policy_of(traffic({{"excludeInboundPorts", "9000"}})).inbound_exclude_ports.to_text() == "9000,15020-15021,15090");
  CHECK(policy_of({{"status.sidecar.istio.io/port", "8888"}}).inbound_exclude_ports.to_text() == "8888,15020-15021,15090");
  CHECK(policy_of({{"status.sidecar.istio.io/port", "0"}}).inbound_exclude_ports.to_text() == "15020-15021,15090");
}

TEST_CASE("a list of inbound ports captures these only, an empty one nothing") {
  CHECK(policy_of(traffic({{"includeInboundPorts", "80,8080"}})).inbound_ports.list.to_text() == "80,8080");
  CHECK(policy_of(traffic({{"includeInboundPorts", ""}})).inbound_ports.kind == Selection::none);
}

TEST_CASE("the newer annotation for virtual machines beats the older one") {
  CHECK(policy_of(traffic({{"kubevirtInterfaces", "vnet1"}})).kube_virt_interfaces == std::vector<std::string>{"vnet1"});
  Texts both = traffic({{"kubevirtInterfaces", "vnet1"}});
  both["istio.io/reroute-virtual-interfaces"] = "vnet0";
  CHECK(policy_of(both).kube_virt_interfaces == std::vector<std::string>{"vnet0"});
}

TEST_CASE("the proxy's container gives uid, gid and settings; root and nothing count as 1337") {
  CHECK(policy_of({}, {.uid = 5, .gid = 6}).proxy_uids == std::vector<std::uint32_t>{5});
  CHECK(policy_of({}, {.uid = 5, .gid = 6}).proxy_gids == std::vector<std::uint32_t>{6});
  CHECK(policy_of({}, {.uid = 0, .gid = 0}).proxy_uids == std::vector<std::uint32_t>{1337});
  CHECK(policy_of({}, {.environment = {{"INVALID_DROP", "true"}, {"PROXY_UID", "7"}}}).drop_invalid);
  const ParseOutcome dns = parse_annotations({}, {.environment = {{"ISTIO_META_DNS_CAPTURE", "true"}}});
  CHECK(!has_errors(dns.problems));
  CHECK(dns.parsed.policy.dns == Selection::all);
}

TEST_CASE("wrong annotations, word by word") {
  const std::vector<std::pair<Texts, ProxyContainer>> cases = {
      {{{"sidecar.istio.io/interceptionMode", "TRANSPARENT"}}, {}},
      {{{"sidecar.istio.io/interceptionMode", "tproxy"}}, {}},
      {traffic({{"includeInboundPorts", "http,80,99999"}}), {}},
      {traffic({{"includeInboundPorts", "80"}, {"excludeInboundPorts", "90"}}), {}},
      {traffic({{"excludeInboundPorts", "*"}}), {}},
      {traffic({{"includeOutboundIPRanges", "10.0.0.0/ab,*"}}), {}},
      {traffic({{"excludeOutboundIPRanges", "*"}}), {}},
      {traffic({{"includeOutboundPorts", "443; rm"}, {"excludeOutboundPorts", "-1"}}), {}},
      {traffic({{"excludeInterfaces", "eth0,lo,an-interface-with-a-long-name"}}), {}},
      {traffic({{"kubevirtInterfaces", "lo"}}), {}},
      {{{"istio.io/reroute-virtual-interfaces", "a b"}}, {}},
      {{{"status.sidecar.istio.io/port", "http"}}, {}},
      {traffic({{"excludeOutboundPort", "80"}}), {}},
      {{}, {.environment = {{"ISTIO_META_DNS_CAPTURE", "on"}, {"INVALID_DROP", "maybe"}}}},
  };
  std::string text;
  for (const auto& [annotations, proxy] : cases) {
    const ParseOutcome outcome = parse_annotations(annotations, proxy);
    CHECK(!outcome.problems.empty());
    for (const auto& [name, value] : annotations) text += fmt::format("{}: \"{}\"\n", name, value);
    for (const auto& [name, value] : proxy.environment) text += fmt::format("{}={}\n", name, value);
    for (const Problem& problem : outcome.problems) text += fmt::format("  {}\n", to_text(problem));
  }
  test::check_golden(WEIR_TESTDATA "/wrong-annotations.txt", text);
}

}  // namespace
}  // namespace weir::capture
