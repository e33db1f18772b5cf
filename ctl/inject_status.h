// SPDX-License-Identifier: Apache-2.0
// Private to inject: the annotation sidecar.istio.io/status, which says what was put in. Istio's members come first, so that
// whoever reads Istio's (a CNI plugin) reads ours; what uninject needs besides stands in "weir".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::ctl {

struct Status {
  std::vector<std::string> init_containers, containers, volumes;
  std::string revision;
  /// What was not there: "metadata", "annotations", "initContainers", "volumes".
  std::vector<std::string> created;
  std::vector<std::string> annotations;  ///< that were added
  /// A container istio-proxy was there already. What was added to it, each as a way from it; the last word of a way into a list
  /// is the item's name.
  bool is_merged = false;
  std::vector<std::vector<std::string>> merged;
  std::string image;  ///< how its image was written ("auto"); "": as it is
};

std::string to_text(const Status& status);
/// The same in at most 63 bytes, since Podman takes no longer annotation: "weir: init volumes annotations podman". Names of
/// containers and volumes are those that we always give. nullopt: a merged container cannot be told so.
std::optional<std::string> to_short_text(const Status& status);
/// nullopt: another injector's. The error (usage) says what is wrong with one that seems to be ours.
Result<std::optional<Status>> parse_status(std::string_view text);

}  // namespace weir::ctl
