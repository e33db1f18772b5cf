// SPDX-License-Identifier: Apache-2.0
// Whether a pod is enrolled, why not, and with which policy. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capture/options.h"
#include "cni-plugin/pod_policy.h"

namespace weir::cni {

/// Why a pod is left alone.
enum class Skip : std::uint8_t {
  excluded_namespace,
  not_enrolled,    ///< nothing says that it has a sidecar
  inject_false,    ///< sidecar.istio.io/inject says no
  not_a_sidecar,   ///< its proxy is a gateway, or there is none (inject.istio.io/templates)
  init_container,  ///< its own init container captures it
  mode_none,       ///< sidecar.istio.io/interceptionMode NONE
};
/// "excluded-namespace", "not-enrolled", …
std::string_view name(Skip reason);

/// What a policy is made of: with it the same plan can be made again, whatever the configuration says by then.
struct PolicyInput {
  Texts flags;        ///< weir-init's, by long name
  Texts annotations;  ///< those that say what is captured, no others
  friend bool operator==(const PolicyInput&, const PolicyInput&) = default;
};

struct Decision {
  std::optional<Skip> skip;  ///< nullopt: enrol
  std::string why;           ///< a sentence
  PolicyInput input;         ///< if not skipped
  std::vector<std::string> notes;
  /// Errors: the pod or the policy file says something that cannot be understood. Warnings go to the log.
  std::vector<Problem> problems;
};

/// `rules`: of the policy file; only looked at if the runtime hands over no annotations.
Decision decide(const Request& request, const std::vector<PodRule>& rules);

/// The policy by the one parser of weir-init's flags.
capture::ParseOutcome policy_of(const PolicyInput& input);

}  // namespace weir::cni
