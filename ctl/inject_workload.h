// SPDX-License-Identifier: Apache-2.0
// Private to inject: the objects of a text that make pods.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/problem.h"
#include "ctl/yaml_edit.h"

namespace weir::ctl {

struct Noted {
  std::string value;
  int line = 0;
};

/// A Pod, or the pod template of a Deployment …
struct Workload {
  std::string file, kind, api_version, name, ns;  ///< ns "": not said
  int line = 0;                                   ///< of the object
  Place object, pod;                              ///< pod: what has metadata and spec of the pods
  Place spec;
  std::map<std::string, Noted> annotations, labels;  ///< of the pods

  bool is_job() const { return kind == "Job" || kind == "CronJob"; }
  /// "Deployment default/web"
  std::string title() const;
  Problem problem(Severity severity, int at, std::string path, std::string message, std::string hint) const;
  Problem error(int at, std::string path, std::string message, std::string hint) const {
    return problem(Severity::error, at, std::move(path), std::move(message), std::move(hint));
  }
};

/// All of them, those in a List too. What is wrong with their shape becomes problems, and they are left out.
std::vector<Workload> find_workloads(const std::string& file, const YamlEdit& edit, std::vector<Problem>& problems);

/// Items of a list of maps, by the text of `key` ("name").
std::map<std::string, std::size_t> by_name(const Place& list, std::string_view key = "name");

}  // namespace weir::ctl
