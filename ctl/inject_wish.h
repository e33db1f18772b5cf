// SPDX-License-Identifier: Apache-2.0
// Private to inject: what a workload's labels and annotations ask for, in Istio's words.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ctl/inject.h"
#include "ctl/inject_workload.h"

namespace weir::ctl {

/// Kubernetes' amounts as they were written; "": not asked for.
struct Resources {
  std::string cpu, memory, cpu_limit, memory_limit;
  bool empty() const { return cpu.empty() && memory.empty() && cpu_limit.empty() && memory_limit.empty(); }
};

struct Readiness {
  int initial_delay = 0, period = 15, failures = 4;
};

struct Wish {
  std::string skip;                                ///< why this workload is not injected; "": it is
  std::map<std::string, std::string> capture;      ///< annotations for capture::annotation_flags
  std::map<std::string, std::string> environment;  ///< ProxyConfig's proxyMetadata
  bool tproxy = false;
  std::string image, log_level = "info";
  std::string drain_time;  ///< "": weir-proxy's default
  std::string admin_port, status_port;
  bool readiness_probe = true;
  unsigned concurrency = 0;  ///< 0: by CPU quota
  Resources resources;
  Readiness readiness;
  bool hold_application = false;
  std::optional<bool> native;
  std::string revision = "default";
};

/// Problems are added, warnings too; with an error in them the wish does not count.
Wish read_wish(const Workload& workload, const InjectOptions& options, std::vector<Problem>& problems);

/// The annotation proxy.istio.io/config: a ProxyConfig as YAML.
void read_proxy_config(const Workload& workload, Wish& wish, std::vector<Problem>& problems);

/// "100m", "1.5", "128Mi" as a number; nullopt: none that Kubernetes takes.
std::optional<double> parse_quantity(std::string_view text);

}  // namespace weir::ctl
