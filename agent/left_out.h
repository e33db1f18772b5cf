// SPDX-License-Identifier: Apache-2.0
// What a translation leaves out, for people who look for a rule in vain. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/translate.h"
#include "base/ip.h"
#include "base/problem.h"

namespace weir::agent {

struct LeftOut {
  SourceRef where;
  std::string route;  ///< its name, "" if it has none
  std::string why;    ///< "it is for callers with the labels app=web"
};

/// The matches of the http routes of `rule` ("VirtualService default/reviews") that this proxy does not get for this port, since
/// they are for other callers, ports or gateways. In the order of the rule.
std::vector<LeftOut> left_out(const mesh::Store& store, const MeshSettings& settings, const ProxyIdentity& proxy,
                              const std::string& rule, Port port);

}  // namespace weir::agent
