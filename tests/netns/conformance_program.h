// SPDX-License-Identifier: Apache-2.0
// weir-init in this process, in the sandbox of conformance_lab.h, and what it says of the decision table's rows.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "capture/matrix.h"
#include "init/explain.h"
#include "init/program.h"

namespace weir::conformance {

/// A row's configuration as arguments and variables.
struct Config {
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;
};
Config config_of(const std::string& text);

/// Runs it; its machine is the table's (matrix::accounts).
init::Printed weir_init(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment = {});
/// `weir-init apply` with the run's backend; a refusal fails the test.
void apply_with_flags(const Config& config);
/// The plan with the flags that it keeps, as weir-init programs it.
capture::CapturePlan kept_plan_of(const std::string& config);

/// `explain --to …` for the packet of a row, without flags about the policy.
std::vector<std::string> question_of(const capture::matrix::Row& row);

/// What explain goes by if no flags are given: read back from the kernel once, asked for many rows.
class Standing {
 public:
  Standing();
  init::Explanation explain(const capture::matrix::Row& row) const;
  const init::Wanted& wanted() const { return wanted_; }
  const std::vector<IpAddr>& own_addresses() const { return own_; }
  const capture::Redirector& backend() const { return *backend_; }
  /// Differences between what stands and what explain goes by.
  const std::vector<std::string>& drift() const { return drift_; }

 private:
  init::Wanted wanted_;
  std::vector<IpAddr> own_;
  std::unique_ptr<capture::Redirector> backend_;
  std::vector<std::string> drift_;
};

}  // namespace weir::conformance
