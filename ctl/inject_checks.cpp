// SPDX-License-Identifier: Apache-2.0
// What an application has that does not go well with a sidecar: warnings.
#include <algorithm>

#include "base/text.h"
#include "base/well_known.h"
#include "ctl/inject_sidecar.h"

namespace weir::ctl {

namespace {

using mesh::yaml::Node;

constexpr std::uint16_t kProxyPorts[] = {well_known::kAdminPort,       well_known::kOutboundPort, well_known::kInboundPort,
                                         well_known::kMergedStatsPort, well_known::kHealthPort,   well_known::kPrometheusPort};

struct Checker {
  const Workload& workload;
  std::vector<Problem>& problems;

  void warn(int line, std::string path, std::string message, std::string hint) {
    problems.push_back(workload.problem(Severity::warning, line, std::move(path), std::move(message), std::move(hint)));
  }

  void check_user(const Place& place) {
    const auto security = place.find("securityContext");
    const auto user = security ? security->find("runAsUser") : std::nullopt;
    if (user && parse_uint(user->node->text) == well_known::kProxyUid)
      warn(user->line, user->to_text(), fmt::format("{} is the proxy's uid: what runs as it is not captured", user->node->text),
           "choose another");
  }

  void check_ports(const Place& container) {
    const auto ports = container.find("ports");
    for (std::size_t i = 0; ports && i < ports->node->items.size(); ++i) {
      const Place item = ports->item(i);
      const auto number = parse_uint(item.node->text_of("containerPort"), 65535);
      if (number && std::find(std::begin(kProxyPorts), std::end(kProxyPorts), *number) != std::end(kProxyPorts))
        warn(item.line, item.to_text(), fmt::format("port {} is one of the proxy's", *number),
             "let the application listen on another");
    }
  }

  /// A redirected connection is accepted by the proxy, whether somebody listens behind it or not.
  void check_probes(const Place& container) {
    for (const char* name : {"livenessProbe", "readinessProbe", "startupProbe"}) {
      const auto probe = container.find(name);
      if (probe && probe->node->find("tcpSocket") != nullptr)
        warn(probe->line, probe->to_text(),
             "a tcpSocket probe succeeds as soon as the proxy accepts, whatever the application does",
             "use httpGet, grpc or exec, or name its port in traffic.sidecar.istio.io/excludeInboundPorts");
    }
  }
};

}  // namespace

void check_workload(const Workload& workload, std::vector<Problem>& problems) {
  Checker checker{workload, problems};
  checker.check_user(workload.spec);
  for (const char* list_name : {"initContainers", "containers"}) {
    const auto list = workload.spec.find(list_name);
    for (std::size_t i = 0; list && i < list->node->items.size(); ++i) {
      const Place container = list->item(i);
      if (container.node->text_of("name") == kProxyName) continue;
      checker.check_user(container);
      checker.check_ports(container);
      checker.check_probes(container);
    }
  }
}

}  // namespace weir::ctl
