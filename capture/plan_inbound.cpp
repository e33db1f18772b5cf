// SPDX-License-Identifier: Apache-2.0
// From outside: which connections go to the proxy.
#include "capture/planner.h"

#include <fmt/format.h>

namespace weir::capture {

namespace {

void kube_virt(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  for (const std::string& interface : policy.kube_virt_interfaces) {
    const std::string why = "--kube-virt-interfaces " + interface;
    if (policy.outbound_cidrs.kind == Selection::all)
      planner.add(Chain::inbound, {.in_interface = interface}, Verdict::capture_outbound, why);
    else if (policy.outbound_cidrs.kind == Selection::list)
      planner.add(Chain::inbound, {.in_interface = interface, .destination = policy.outbound_cidrs.list},
                  Verdict::capture_outbound, why + " with --istio-service-cidr");
    planner.add(Chain::inbound, {.in_interface = interface}, Verdict::pass, why + ": not captured as inbound");
  }
}

}  // namespace

void plan_inbound(Planner& planner) {
  const CapturePolicy& policy = planner.policy();
  constexpr Chain chain = Chain::inbound;
  planner.add_only_new_tcp(chain);
  planner.add(chain, {.in_interface = "lo"}, Verdict::pass, "default: what stays in the sandbox was decided when it was sent");
  kube_virt(planner);
  for (const std::string& interface : policy.exclude_interfaces)
    planner.add(chain, {.in_interface = interface}, Verdict::pass, "--istio-exclude-interfaces " + interface);
  if (policy.inbound_ports.kind == Selection::none) {
    planner.add(chain, {}, Verdict::pass, "--istio-inbound-ports is empty: nothing inbound is captured");
    return;
  }
  // What is forwarded (to a virtual machine) is no socket's here, so a transparent one cannot take it: it is redirected.
  if (planner.is_transparent())
    planner.add(chain, {.to_this_sandbox = true}, Verdict::pass, "mode TPROXY: was decided before address translation");
  add_inbound_ports(planner, chain, Verdict::capture_inbound, false);
}

void add_inbound_ports(Planner& planner, Chain chain, Verdict capture, bool only_to_this_sandbox) {
  const CapturePolicy& policy = planner.policy();
  pass_sources(planner, chain);
  planner.add(chain, {.protocol = Match::Protocol::tcp, .ports = only(policy.tunnel_port)}, Verdict::pass,
              fmt::format("--inbound-tunnel-port {} is never captured", policy.tunnel_port));
  if (policy.inbound_ports.kind == Selection::list) {
    const PortSet& ports = policy.inbound_ports.list;
    planner.add(chain, {.protocol = Match::Protocol::tcp, .ports = ports, .to_this_sandbox = only_to_this_sandbox}, capture,
                "--istio-inbound-ports " + shortened(ports.to_text()));
    planner.add(chain, {}, Verdict::pass, "--istio-inbound-ports does not name the port");
    return;
  }
  planner.add_ports(chain, policy.inbound_exclude_ports, Verdict::pass, "--istio-local-exclude-ports");
  planner.add(chain, {.to_this_sandbox = only_to_this_sandbox}, capture, "--istio-inbound-ports *");
}

}  // namespace weir::capture
