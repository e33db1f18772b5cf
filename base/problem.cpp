// SPDX-License-Identifier: Apache-2.0
#include "base/problem.h"

#include <algorithm>

#include "base/utf8.h"

namespace weir {

std::string to_text(const Problem& problem) {
  std::string text = problem.severity == Severity::warning ? "warning: " : "";
  if (!problem.where.file.empty()) {
    text += problem.where.file;
    if (problem.where.line > 0) text += fmt::format(":{}", problem.where.line);
    text += ": ";
  }
  if (!problem.object.empty()) text += problem.object + ": ";
  if (!problem.path.empty()) text += problem.path + ": ";
  text += problem.message;
  if (!problem.hint.empty()) text += "; " + problem.hint;
  return without_controls(text);
}

std::string to_text(const std::vector<Problem>& problems) {
  std::string text;
  for (const Problem& problem : problems) {
    if (!text.empty()) text += '\n';
    text += to_text(problem);
  }
  return text;
}

bool has_errors(const std::vector<Problem>& problems) {
  return std::any_of(problems.begin(), problems.end(), [](const Problem& p) { return p.severity == Severity::error; });
}

Error to_error(const std::vector<Problem>& problems) { return {ErrorCode::usage, to_text(problems)}; }

}  // namespace weir
