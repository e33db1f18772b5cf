// SPDX-License-Identifier: Apache-2.0
// A Pod's annotations as a policy: for whoever reads Pods instead of flags.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "capture/options.h"

namespace weir::capture {

/// What else a Pod says about its capture: its proxy container.
struct ProxyContainer {
  std::uint32_t uid = 0, gid = 0;  ///< securityContext.runAsUser and runAsGroup; 0 or not set: 1337, as Istio's CNI plugin
  /// Of it ISTIO_META_DNS_CAPTURE, INVALID_DROP and ISTIO_DUAL_STACK count.
  std::map<std::string, std::string> environment;
};

/// The policy that `annotations` ask for: what Istio's injection would hand to istio-iptables as flags, by the same parser and
/// validator. Not annotated means: all inbound ports, all outbound destinations, and 15020, 15021, 15090 and the status port
/// (status.sidecar.istio.io/port) never captured inbound; ports of excludeInboundPorts come to these. Problems name the
/// annotation; one that begins with traffic.sidecar.istio.io/ and is not known is warned of. Other annotations are not looked at,
/// among them whether the Pod wants a proxy at all. `defaults`: flags by long name, of whoever runs the node; each counts where
/// the Pod says nothing, and problems name it as a flag. Pure.
ParseOutcome parse_annotations(const std::map<std::string, std::string>& annotations, const ProxyContainer& proxy = {},
                               const std::map<std::string, std::string>& defaults = {});

/// The same as flags of weir-init, by long name and without "--": for whoever writes its command line. Only if
/// parse_annotations() finds no error in them. Flags with an empty value, which is their default, are left out.
std::map<std::string, std::string> annotation_flags(const std::map<std::string, std::string>& annotations,
                                                    const ProxyContainer& proxy = {});

}  // namespace weir::capture
