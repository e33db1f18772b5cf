// SPDX-License-Identifier: Apache-2.0
#include "capture/annotations.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "capture/option_values.h"

namespace weir::capture {

namespace {

using Texts = std::map<std::string, std::string>;

constexpr std::string_view kTraffic = "traffic.sidecar.istio.io/";
constexpr std::string_view kStatusPort = "status.sidecar.istio.io/port";
constexpr std::string_view kExcludeInbound = "istio-local-exclude-ports";
constexpr std::string_view kInboundPorts = "istio-inbound-ports";

struct Row {
  std::string_view annotation, flag;
};
/// Of two rows for one flag the first that is there counts.
constexpr Row kRows[] = {
    {"sidecar.istio.io/interceptionMode", "istio-inbound-interception-mode"},
    {"traffic.sidecar.istio.io/includeInboundPorts", kInboundPorts},
    {"traffic.sidecar.istio.io/excludeInboundPorts", kExcludeInbound},
    {"traffic.sidecar.istio.io/includeOutboundIPRanges", "istio-service-cidr"},
    {"traffic.sidecar.istio.io/excludeOutboundIPRanges", "istio-service-exclude-cidr"},
    {"traffic.sidecar.istio.io/includeOutboundPorts", "istio-outbound-ports"},
    {"traffic.sidecar.istio.io/excludeOutboundPorts", "istio-local-outbound-ports-exclude"},
    {"traffic.sidecar.istio.io/excludeInterfaces", "istio-exclude-interfaces"},
    {"istio.io/reroute-virtual-interfaces", "kube-virt-interfaces"},
    {"traffic.sidecar.istio.io/kubevirtInterfaces", "kube-virt-interfaces"},
};
constexpr std::string_view kProxyVariables[] = {"ISTIO_META_DNS_CAPTURE", "INVALID_DROP", "ISTIO_DUAL_STACK"};

void warn_of_unknown(const Texts& annotations, std::vector<Problem>& problems) {
  std::vector<std::string_view> known;
  for (const Row& row : kRows) known.push_back(row.annotation);
  for (const auto& [name, value] : annotations) {
    if (!name.starts_with(kTraffic) || std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string_view near = nearest(name, known);
    problems.push_back({Severity::warning,
                        {},
                        "annotation " + printable(name),
                        "",
                        "is not known, so it has no effect",
                        near.empty() ? "see the list in weir-init's manual" : fmt::format("did you mean {}?", near)});
  }
}

/// What the proxy itself answers, and what the annotation adds to it.
std::string excluded_ports(const Texts& annotations, const std::string& asked, std::vector<Problem>& problems) {
  std::string ports = "15020,15021,15090";
  if (auto found = annotations.find(std::string(kStatusPort)); found != annotations.end() && found->second != "0") {
    // 0: no status port, as Istio has it.
    if (auto port = parse_uint(found->second, 65535))
      ports += "," + std::to_string(*port);
    else
      problems.push_back({Severity::error,
                          {},
                          fmt::format("annotation {}", kStatusPort),
                          "",
                          fmt::format("\"{}\" is not a port", printable(found->second)),
                          "write a number from 1 to 65535"});
  }
  return asked.empty() ? ports : ports + "," + asked;
}

/// `named`: the flag that a problem names → the annotation that it came from.
Texts read_flags(const Texts& annotations, const ProxyContainer& proxy, const Texts& defaults, Texts& named,
                 std::vector<Problem>& problems) {
  Texts flags;
  for (const Row& row : kRows) {
    auto found = annotations.find(std::string(row.annotation));
    if (found == annotations.end() || flags.contains(std::string(row.flag))) continue;
    flags.emplace(row.flag, found->second);
    named.emplace(fmt::format("flag --{}", row.flag), fmt::format("annotation {}", row.annotation));
  }
  for (const auto& [flag, value] : defaults) flags.try_emplace(flag, value);
  flags.try_emplace(std::string(kInboundPorts), "*");
  flags.try_emplace("istio-service-cidr", "*");
  std::string& excluded = flags[std::string(kExcludeInbound)];
  // Beside a list of ports they have no effect, and nobody asked for these.
  if (flags[std::string(kInboundPorts)] == "*") excluded = excluded_ports(annotations, excluded, problems);
  if (proxy.uid != 0) flags["proxy-uid"] = std::to_string(proxy.uid);
  if (proxy.gid != 0) flags["proxy-gid"] = std::to_string(proxy.gid);
  flags.try_emplace("proxy-uid", std::to_string(well_known::kProxyUid));
  flags.try_emplace("proxy-gid", std::to_string(well_known::kProxyGid));
  return flags;
}

}  // namespace

ParseOutcome parse_annotations(const Texts& annotations, const ProxyContainer& proxy, const Texts& defaults) {
  Texts environment, named;
  std::vector<Problem> problems;
  const Texts flags = read_flags(annotations, proxy, defaults, named, problems);
  for (std::string_view name : kProxyVariables)
    if (auto found = proxy.environment.find(std::string(name)); found != proxy.environment.end()) environment.insert(*found);

  // From outside the Pod its resolv.conf cannot be read; Istio's CNI plugin captures all DNS too.
  if (auto dns = environment.find("ISTIO_META_DNS_CAPTURE"); dns != environment.end() && parse_bool(dns->second) == true)
    environment["CAPTURE_ALL_DNS"] = "true";

  ParseOutcome outcome = parse_options(flags, environment, {});
  for (Problem& problem : outcome.problems) {
    if (auto found = named.find(problem.object); found != named.end()) problem.object = found->second;
    problems.push_back(std::move(problem));
  }
  warn_of_unknown(annotations, problems);
  outcome.problems = std::move(problems);
  return outcome;
}

Texts annotation_flags(const Texts& annotations, const ProxyContainer& proxy) {
  Texts named;
  std::vector<Problem> ignored;
  Texts flags = read_flags(annotations, proxy, {}, named, ignored);
  std::erase_if(flags, [](const auto& flag) { return flag.second.empty(); });
  for (const auto& [variable, flag] :
       {std::pair("INVALID_DROP", "drop-invalid"), std::pair("ISTIO_META_DNS_CAPTURE", "redirect-dns")})
    if (auto found = proxy.environment.find(variable); found != proxy.environment.end() && parse_bool(found->second) == true)
      flags[flag] = "true";
  if (flags.contains("redirect-dns")) flags["capture-all-dns"] = "true";
  return flags;
}

}  // namespace weir::capture
