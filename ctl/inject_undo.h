// SPDX-License-Identifier: Apache-2.0
// Private to inject: takes out what an earlier run has put in.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/problem.h"

namespace weir::ctl {

struct Undone {
  std::string text;                 ///< without errors only
  std::vector<Problem> problems;    ///< errors
  std::function<int(int)> line_of;  ///< where a line of the new text stood
};

Undone undo(const std::string& file, const std::string& text);

}  // namespace weir::ctl
