// SPDX-License-Identifier: Apache-2.0
// The rules, read as the agent reads them, and what each pod's proxy gets of them (by the agent's own translation).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "agent/left_out.h"
#include "agent/translate.h"
#include "base/problem.h"
#include "base/result.h"
#include "capture/plan.h"
#include "ctl/proxy_view.h"
#include "mesh-rules/store.h"

namespace weir::ctl {

struct RulesSource {
  std::vector<std::string> paths;  ///< files and directories
  std::string mesh_config;         ///< "": none
  std::string domain = "cluster.local";
};

struct LoadedRules {
  std::shared_ptr<const mesh::Store> store;
  agent::MeshSettings settings;
  std::vector<Problem> problems;
  std::map<std::string, int> ignored;
};

/// `extra`: texts that are not in a file, by the name to call them ("<stdin>"). Errors (environment): a path is not there.
Result<LoadedRules> load_rules(const RulesSource& source, const std::map<std::string, std::string>& extra = {});

/// Where a name leads.
struct Resolved {
  SocketAddr address;
  std::string service;  ///< "Service default/reviews, rules/reviews.yaml:4"; "" for a bare address
};

/// Not thread-safe; keeps what it made.
class Mesh {
 public:
  /// `capture_flags`: weir-init's flags of every pod; empty: the defaults of what weir sets up.
  Mesh(LoadedRules rules, std::vector<std::string> capture_flags);

  /// "client.default", "client" (of namespace default). Errors (usage) name near ones.
  Result<const mesh::Pod*> pod(const std::string& name) const;
  /// The pod that has this address; null if none.
  const mesh::Pod* pod_at(const IpAddr& address) const;
  /// `host` is an address or a Service's name as a program in namespace `ns` would write it.
  Result<Resolved> resolve(const std::string& host, Port port, const std::string& ns, std::optional<Family> family) const;
  const ProxyView& view(const mesh::Pod& pod);
  /// By its annotations and the flags. The error (usage) lists what is wrong with them.
  Result<const capture::CapturePlan*> plan(const mesh::Pod& pod);
  /// Of a pod without annotations.
  Result<const capture::CapturePlan*> default_plan();
  /// False: an annotation or label says that this pod gets no proxy.
  static bool is_enrolled(const mesh::Pod& pod);
  /// See agent::left_out.
  const std::vector<agent::LeftOut>& left_out(const mesh::Pod& pod, const std::string& rule, Port port);
  const LoadedRules& rules() const { return rules_; }

 private:
  LoadedRules rules_;
  std::vector<std::string> capture_flags_;
  std::map<IpAddr, const mesh::Pod*> pods_by_address_;
  std::map<std::string, const mesh::Service*> services_by_host_;
  std::map<const mesh::Pod*, std::shared_ptr<const ProxyView>> views_;
  std::map<std::tuple<const mesh::Pod*, std::string, Port>, std::vector<agent::LeftOut>> left_out_;
  Result<const capture::CapturePlan*> plan_of(const mesh::Pod* pod, const mesh::Labels& annotations);
  std::map<const mesh::Pod*, Result<capture::CapturePlan>> plans_;  // null: without annotations
};

/// The plan of a pod: by weir-init's flags if there are any, else by its annotations.
Result<capture::CapturePlan> make_plan(const std::vector<std::string>& flags, const mesh::Labels& annotations);

}  // namespace weir::ctl
