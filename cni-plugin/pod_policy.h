// SPDX-License-Identifier: Apache-2.0
// The node's policy file: what a runtime that hands over no annotations cannot say about pods. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cni-plugin/request.h"

namespace weir::cni {

/// {"pods": [{"namespace": "shop", "name": "cart-*", "enrol": true, "annotations": {…}}, …]}
struct PodRule {
  std::string name_space, name;  ///< a last '*' stands for any ending; "" for any
  bool enrol = true;
  Texts annotations;
};

/// `file` is for messages. All problems at once.
std::vector<PodRule> parse_pod_policy(std::string_view text, const std::string& file, std::vector<Problem>& problems);

/// The first that matches; nullptr: none.
const PodRule* rule_for(const std::vector<PodRule>& rules, const Pod& pod);

}  // namespace weir::cni
