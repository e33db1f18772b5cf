// SPDX-License-Identifier: Apache-2.0
// What is wrong with something that a person wrote: file, line, field, value, and what would be right.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir {

/// Where a person wrote it. An empty file means the command line or a stream; line 0 means "not known".
struct SourceRef {
  std::string file;
  int line = 0;
  friend bool operator==(const SourceRef&, const SourceRef&) = default;
};

/// The rule that decided: carried from the YAML file through xDS metadata to the access log and `explain`.
struct RuleRef {
  std::string rule;  ///< "VirtualService default/reviews"
  std::string file;
  int line = 0;
  bool empty() const { return rule.empty(); }
  friend bool operator==(const RuleRef&, const RuleRef&) = default;
};

enum class Severity { warning, error };

struct Problem {
  Severity severity = Severity::error;
  SourceRef where;
  std::string object;   ///< "VirtualService default/reviews", "flag --istio-inbound-ports", "" if none
  std::string path;     ///< "spec.http[0].route[1].weight", "" if the whole object
  std::string message;  ///< what is wrong, with the value: "weight -5 is negative"
  std::string hint;     ///< what would be right: "use 0 to 4294967295"
};

/// One line: "rules/a.yaml:12: VirtualService default/reviews: spec.http[0].route[1].weight: weight -5 is negative; use 0 to …".
/// Warnings begin with "warning: ". Control characters are written as \xNN.
std::string to_text(const Problem& problem);

/// Several problems, a line each.
std::string to_text(const std::vector<Problem>& problems);

/// True if at least one is an error.
bool has_errors(const std::vector<Problem>& problems);

/// A usage error whose text is all problems.
Error to_error(const std::vector<Problem>& problems);

}  // namespace weir
