// SPDX-License-Identifier: Apache-2.0
// Columns as istioctl prints them: as wide as their widest cell, five blanks between.
#pragma once

#include <string>
#include <vector>

namespace weir::ctl {

/// Cells go through without_controls(). The first row is the head. "" where a row has fewer cells.
std::string columns(const std::vector<std::vector<std::string>>& rows);

}  // namespace weir::ctl
